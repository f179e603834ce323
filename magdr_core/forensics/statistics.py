"""Statistics of forensic figures that other roles have no use for. `[..., n]` arrays give `[...]`.

Ties are never broken by the order of the samples: pictures with one score are passed by together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from magdr_core.measures.intervals import PairedChange, Ratio, Share
from magdr_core.measures.statistics import AUROC, SHARE
from magdr_core.measures.thresholds import Array


def average_precision(fakes: Array, reals: Array) -> Array:
    """Mean over the fakes of the precision at the threshold that just includes each.

    Args:
        fakes, reals: `[..., n]` and `[..., m]` scores; its value at random is n / (n + m).

    Source: `sklearn.metrics.average_precision_score`, which the tests compare with.
    """
    scores, labels, _ = _descending(fakes, reals)
    found = labels.cumsum(-1)
    precision = found / np.arange(1, scores.shape[-1] + 1)
    return _share(labels * _at(precision, _group_ends(scores)), fakes.shape[-1])


def equal_error_rate(fakes: Array, reals: Array) -> Array:
    """The rate at which as large a share of reals is flagged as of fakes is missed, between two thresholds by
    the straight line.

    Args:
        fakes, reals: `[..., n]` and `[..., m]` scores.
    """
    scores, labels, _ = _descending(fakes, reals)
    missed = 1 - labels.cumsum(-1) / fakes.shape[-1]
    alarms = (1 - labels).cumsum(-1) / reals.shape[-1]
    ends = _group_ends(scores)
    one = np.ones((*scores.shape[:-1], 1))
    # The first point is that of a threshold above all scores; from point to point alarms grow.
    missed = np.concatenate([one, _at(missed, ends)], -1)
    alarms = np.concatenate([0 * one, _at(alarms, ends)], -1)
    over = alarms - missed
    after = (over >= 0).argmax(-1)[..., None]
    before = after - 1
    low, high = (np.take_along_axis(over, i, -1)[..., 0] for i in (before, after))
    a, b = (np.take_along_axis(alarms, i, -1)[..., 0] for i in (before, after))
    return np.asarray(a + (b - a) * (-low) / (high - low))


def clip_auc(fakes: Array, reals: Array, weights: Array) -> Array:
    """The AUC of clips from the scores that their frames share.

    Args:
        fakes, reals: `[..., n]`, for each frame the mean score of its forged and of its real clip.
        weights: `[..., n]`, for each frame 1 / frames of its clip; a clip that is drawn twice counts twice.
    """
    scores, labels, w = _descending(fakes, reals, weights)
    of_reals = w * (1 - labels)
    total = of_reals.sum(-1, keepdims=True)
    above = of_reals.cumsum(-1)  # reals with the same score, or a higher one, up to here
    ends = _at(above, _group_ends(scores))
    starts = _at(np.concatenate([0 * total, above], -1), _group_starts(scores))
    won = total - (ends + starts) / 2
    return np.asarray((w * labels * won).sum(-1) / (total[..., 0] * (w * labels).sum(-1)))


def masked_mean(values: Array, known: Array) -> Array:
    """The mean of `[..., n]` over the samples that are known.

    Args:
        known: `[..., n]` of 1 and 0, some 1.
    """
    return np.asarray((values * known).sum(-1) / known.sum(-1))


AVERAGE_PRECISION = Share(average_precision)
EQUAL_ERROR_RATE = Share(equal_error_rate, smooth=False)
CLIP_AUC = Share(clip_auc)
AUC_CHANGE = PairedChange(AUROC)
SHARE_CHANGE = PairedChange(SHARE)
MASKED_MEAN = Ratio(masked_mean, lambda values, known: (values * known, known))
"""As figures name them."""


def _descending(fakes: Array, reals: Array, weights: Any = None) -> tuple[Array, Array, Array]:
    """Scores, labels (1 of a fake) and weights of both, `[..., n + m]`, from the highest score down."""
    scores = np.concatenate([fakes, reals], -1).astype(np.float64)
    labels = np.concatenate([np.ones(fakes.shape), np.zeros(reals.shape)], -1)
    each = np.ones_like(labels) if weights is None else np.concatenate([weights, weights], -1)
    order = np.argsort(-scores, axis=-1, kind="stable")
    sorted_ = (np.take_along_axis(values, order, -1) for values in (scores, labels, each))
    first, second, third = sorted_
    return first, second, third


def _group_ends(scores: Array) -> Array:
    """`[..., k]`: of each place in sorted scores, the last one with the same score."""
    k = scores.shape[-1]
    last = np.concatenate([scores[..., 1:] != scores[..., :-1], np.ones((*scores.shape[:-1], 1), bool)], -1)
    places = np.where(last, np.arange(k), k - 1)
    return np.asarray(np.minimum.accumulate(places[..., ::-1], -1)[..., ::-1])


def _group_starts(scores: Array) -> Array:
    """`[..., k]`: of each place in sorted scores, the first one with the same score."""
    k = scores.shape[-1]
    first = np.concatenate([np.ones((*scores.shape[:-1], 1), bool), scores[..., 1:] != scores[..., :-1]], -1)
    return np.asarray(np.maximum.accumulate(np.where(first, np.arange(k), 0), -1))


def _at(values: Array, places: Array) -> Array:
    return np.asarray(np.take_along_axis(values, places, -1))


def _share(values: Array, n: int) -> Array:
    return np.asarray(values.sum(-1) / n)
