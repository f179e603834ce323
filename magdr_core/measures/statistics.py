"""Figures of merit by name, and tests of their differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from scipy.stats import rankdata

from magdr_core.components.figure import LEVELS_PER_UNIT, Figure
from magdr_core.components.objective import SUCCESS
from magdr_core.errors import MagdrError, one_line, suggestion
from magdr_core.isolation import interrupts
from magdr_core.measures.evasion import kept_behind, kept_share, success_undetected, undetected
from magdr_core.measures.intervals import Known, PairedChange, Ratio, Share, Statistic, mean_of
from magdr_core.measures.thresholds import Array, scores_needed, threshold_at_fpr

FLIPS = 9999

TPR_RATES = {"tpr_at_1fpr": 0.01, "tpr_at_5fpr": 0.05}
"""False-positive rates by the metrics that are shares found at them."""


def sign_flip_p(differences: Array, identities: Array, seed: int, flips: int = FLIPS) -> float:
    """Two-sided p of paired differences having no preferred sign (permutation test of their mean).

    If two methods were the same, their names could be exchanged on any identity, which turns the sign of its
    differences. All assignments are tried where there are no more than `flips`, else so many random ones;
    no p is below 1 / (flips + 1).
    """
    names, group = np.unique(identities, return_inverse=True)
    sums = np.bincount(group, weights=differences, minlength=len(names))
    limit = abs(sums.sum()) * (1 - 1e-12)  # what differs by rounding only is as extreme
    n = len(names)
    if 2**n <= flips:
        signs = 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
        return float((np.abs(signs @ sums) >= limit).mean())
    rng = np.random.Generator(np.random.PCG64(seed))
    extreme = 0
    for start in range(0, flips, 1000):
        signs = 1.0 - 2.0 * rng.integers(0, 2, (min(1000, flips - start), n))
        extreme += int((np.abs(signs @ sums) >= limit).sum())
    return (1 + extreme) / (1 + flips)


def holm(p: Array) -> Array:
    """p-values adjusted for all of them being looked at (Holm, Scand. J. Statist. 6, 1979): those below a
    level are significant at that family-wise level. Same order, NaN-free, at most 1."""
    order = np.argsort(p, kind="stable")
    stepped = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted


def auroc(negatives: Array, positives: Array) -> Any:
    """Probability that a positive scores above a negative, ties counted half (Mann-Whitney).

    Args:
        negatives, positives: `[..., m]` and `[..., n]` scores.

    Returns:
        `[...]`, a float of one axis.
    """
    m, n = negatives.shape[-1], positives.shape[-1]
    ranks = rankdata(np.concatenate([positives, negatives], -1), axis=-1)[..., :n].sum(-1)
    twice = 2 * ranks - n * (n + 1)  # negatives below each positive, twice, summed: a whole number
    return _plain(twice / n / (2 * m))


def tpr_at_fpr(negatives: Array, positives: Array, fpr: float) -> Any:
    """Share of positives above the threshold for a false-positive rate that these negatives set.

    Args:
        negatives, positives: `[..., n]` and `[..., m]` scores.
        fpr: in (0, 1).

    Returns:
        `[...]` shares (a float of one axis), by the rule of calibration
        (:func:`~magdr_core.calibration.threshold_at_fpr`); NaN with fewer negatives than can tell that rate
        from a higher one, 99 for 1% and 19 for 5%.
    """
    limit = np.asarray(threshold_at_fpr(negatives, fpr))
    share = (positives > limit[..., None]).mean(-1)
    if negatives.shape[-1] < scores_needed(fpr):
        share = np.full_like(share, np.nan)
    return _plain(share)


def decisions(flagged: Array, clean_flagged: Array) -> Mapping[str, Any]:
    """Precision, recall and F1 of the positive class and support-weighted, accuracy, false-positive rate.

    A class that nothing is given to has precision and F1 0. The weighted figures are the means of both
    classes', weighted by their sizes: the convention of some rows of the paper's Table 1, not of others.

    Args:
        flagged, clean_flagged: bool `[..., p]` and `[..., n]`, of attacked and of clean images.

    Returns:
        `[...]` by name.
    """
    p, n = flagged.shape[-1], clean_flagged.shape[-1]
    tp, fp = flagged.sum(-1), clean_flagged.sum(-1)
    fn, tn = p - tp, n - fp

    def weighted(of_positives: Any, of_negatives: Any) -> Any:
        return (p * of_positives + n * of_negatives) / (p + n)

    f1, f1_of_negatives = _share(2 * tp, 2 * tp + fp + fn), _share(2 * tn, 2 * tn + fn + fp)
    precision = _share(tp, tp + fp)
    return {
        "precision": precision,
        "recall": tp / p,
        "f1": f1,
        "precision_weighted": weighted(precision, _share(tn, tn + fn)),
        "recall_weighted": weighted(tp / p, tn / n),
        "f1_weighted": weighted(f1, f1_of_negatives),
        "accuracy": (tp + tn) / (p + n),
        "fpr_clean": fp / n,
    }


def _share(part: Any, whole: Any) -> Any:
    """`part / whole`, 0 of nothing."""
    return part / np.maximum(whole, 1)


def _plain(value: Any) -> Any:
    """A float in place of an array without axes."""
    return value if np.ndim(value) else float(value)


# -- statistics by name ----------------------------------------------------------------------------------

TABLE_2_FACTOR = 4.433


def psnr_pooled(errors: Array) -> Any:
    """PSNR in dB of the pooled error; the mean of the images' own PSNR is another figure (Jensen).

    Args:
        errors: `[..., n]` squared errors, 0 to 255 squared.
    """
    return 10 * np.log10(255**2 / np.maximum(np.mean(errors, axis=-1), 255**2 * 1e-10))


def l2_table2(errors: Array) -> Any:
    """What the paper's Table 2 calls MSE: its values and PSNRs obey PSNR + 20 log10(value) = 61.06 dB, so
    they are 4.433 times a root mean squared error. For comparison with that column only.

    Args:
        errors: as of :func:`psnr_pooled`.
    """
    return table2_law(np.mean(errors, axis=-1))


def table2_law(error: Any) -> Any:
    """Table 2's "MSE" from a mean squared error, 0 to 255 squared."""
    return TABLE_2_FACTOR * np.sqrt(error)


def f1_of_all(positives: Array, negatives: Array) -> Any:
    """F1 `[...]` of flagging all of `[..., p]` attacked and `[..., n]` clean images: 2/3 of as many."""
    p, n = positives.shape[-1], negatives.shape[-1]
    return _plain(np.full(positives.shape[:-1], 2 * p / (2 * p + n)))


def _decision(name: str) -> Statistic:
    return Share(
        lambda flagged, clean_flagged: decisions(flagged, clean_flagged)[name],
        found=_FOUND.get(name, float),
    )


def _tpr_at(fpr: float) -> Statistic:
    return Share(lambda positives, negatives: tpr_at_fpr(negatives, positives, fpr), smooth=False)


def _pooled(of: Statistic, then: Callable[[float], Any]) -> Statistic:
    """A monotone function of the mean error."""
    return Ratio(of, MEAN.terms, then)


MEAN = mean_of(lambda values: values)

_FOUND: Mapping[str, Callable[[float], float]] = {
    "f1": lambda recall: 2 * recall / (1 + recall),
    "precision": lambda recall: 1.0,  # where nothing is flagged nothing is known
}
"""What figures that are 0 because nothing was found may be at most at a recall above 0."""


SHARE = Share(lambda values: np.mean(values, axis=-1))

AUROC = Share(lambda positives, negatives: auroc(negatives, positives))


STATISTICS: Mapping[str, Statistic] = {
    "mean": MEAN,
    "share": SHARE,
    "median": lambda values: np.median(values, axis=-1),
    "mean_difference": mean_of(lambda values, others: values - others),
    "psnr_pooled": _pooled(psnr_pooled, lambda error: psnr_pooled(np.array([error]))),
    "l2_table2": _pooled(l2_table2, table2_law),
    "auroc": AUROC,
    "f1_of_all": Known(f1_of_all),
    **{name: _tpr_at(rate) for name, rate in TPR_RATES.items()},
    **{
        name: _decision(name)
        for name in ("precision", "f1", "precision_weighted", "recall_weighted", "f1_weighted", "accuracy")
    },
    "mean_undetected": mean_of(undetected, most=lambda disruption, flagged: disruption),
    "success_undetected": Share(success_undetected),
    "kept_at_95_evasion": Ratio(
        kept_share,
        lambda disruption, flagged, whole, clean_flagged: (undetected(disruption, flagged), whole),
        most=lambda disruption, flagged, whole, clean_flagged: disruption,
    ),
    "kept": Ratio(
        lambda errors, whole: kept_behind(errors / LEVELS_PER_UNIT**2, whole),
        lambda errors, whole: (errors / LEVELS_PER_UNIT**2, whole),
    ),
    "kept_targeted": Ratio(kept_behind, lambda reached, whole: (reached, whole)),
    "success": Share(lambda disruption: (disruption > SUCCESS).mean(-1)),
    "ratio": Ratio(kept_behind, lambda reached, whole: (reached, whole)),
}
"""What a :class:`~magdr_core.components.figure.Figure` may name as its statistic: functions of arrays
`[..., n]` in the order of the figure's `needs`, which give `[...]`. What they are decides on their
intervals (:mod:`magdr_core.measures.intervals`)."""


def statistic_of(figure: Figure) -> Statistic:
    """The function behind a figure.

    Of a plugin's `module:function` whatever goes wrong is told as the figure's fault, when it is called.

    Raises:
        MagdrError: there is none of that name.
    """
    if (own := STATISTICS.get(figure.statistic)) is not None:
        return own
    where = f"figure {figure.name!r} of role {figure.role!r}: statistic {figure.statistic!r}"
    module, _, name = figure.statistic.partition(":")
    if not name:
        raise MagdrError(f"{where}: there is none{suggestion(figure.statistic, STATISTICS)}")
    try:
        found = getattr(import_module(module), name)
    except BaseException as e:  # a plugin's module may do anything
        if interrupts.is_users(e):
            raise
        raise MagdrError(f"{where}: cannot be imported: {one_line(e)}") from e
    if not callable(found):
        raise MagdrError(f"{where}: it is no function")
    return _checked(found, where)


def _checked(found: Any, where: str) -> Statistic:
    """A plugin's statistic that tells whose fault it is. One that says what it is keeps the interval that
    goes with it."""
    if isinstance(found, PairedChange):
        return replace(found, of=_checked(found.of, where))

    def checked(*arrays: Array) -> Any:
        try:
            value = np.asarray(found(*arrays), dtype=np.float64)
        except BaseException as e:  # a plugin's function may do anything
            if interrupts.is_users(e):
                raise
            raise MagdrError(f"{where}: {one_line(e)}") from e
        if value.shape != arrays[0].shape[:-1]:
            raise MagdrError(
                f"{where}: it gave shape {list(value.shape)} for arrays of shape {list(arrays[0].shape)}"
            )
        return _plain(value)

    return replace(found, of=checked) if isinstance(found, Known | Share | Ratio) else checked
