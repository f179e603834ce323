"""Which candidate is best: a score that is learned to order candidates by their true error (Eq. 8).

On calibration faces the clean output is known, and with it every candidate's true error. The score is
fitted to pairs of candidates of the same image, each pair weighing as much as their log errors differ.
Three forms compete on faces that were held out, and the one whose picks have the lowest error is taken:
non-negative weights (more distortion never looks better), free weights, and boosted trees on evidence
centred within the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

from magdr_core.functional import constant

Array = np.ndarray[Any, Any]

FORMS = ("nonnegative", "linear", "boosted")
ERROR_FLOOR = 1e-5
"""Added to errors (MSE in [0,1] units, about a squared 8-bit step) before the logarithm."""

RIDGE = 1e-3
HELD_OUT = 3
"""Every so many-th face is held out while the forms are compared."""

TREES = {"n_estimators": 120, "max_depth": 3, "learning_rate": 0.08, "subsample": 0.7, "random_state": 0}


class Ranker:
    """Scores candidates; lower is better.

    Args:
        state: JSON-able, from :func:`fit_ranker`.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.state = state
        self.form: str = state["form"]

    def __call__(self, features: Tensor) -> Tensor:
        """`[B,n,F]` features of the n candidates of each image -> `[B,n]`."""
        if self.form == "boosted":
            return _boosted_score(self.state, features)
        weights = constant(self.state["weights"], features.device, features.dtype)
        return (features * weights).sum(2)


def log_error(error: Array) -> Array:
    return np.log(error + ERROR_FLOOR)


def fit_ranker(features: Array, errors: Array, faces: Array, form: str = "auto") -> Mapping[str, Any]:
    """Learn to rank.

    Args:
        features: `[M,n,F]`, of the same n candidates of M images.
        errors: `[M,n]`, their true errors (MSE in [0,1] units).
        faces: `[M]`, which face an image shows; a face is held out with all its images.
        form: one of `FORMS`, or `auto` to compare them on held-out faces.

    Returns:
        The state of a :class:`Ranker`, with the held-out comparison under `compared`: the mean log error of
        each form's picks over that of the best candidates.
    """
    if form != "auto":
        return _FITS[form](features, log_error(errors))
    held = np.isin(faces, np.unique(faces)[HELD_OUT - 1 :: HELD_OUT])
    compared = {}
    for name in FORMS:
        state = _FITS[name](features[~held], log_error(errors[~held]))
        score = Ranker(state)(torch.from_numpy(features[held])).numpy()
        compared[name] = regret(score, errors[held])
    chosen = min(FORMS, key=compared.__getitem__)
    return {**_FITS[chosen](features, log_error(errors)), "compared": compared}


def regret(scores: Array, errors: Array) -> float:
    """Mean log error of the lowest-scored candidates, less that of the best ones."""
    logs = log_error(errors)
    picked = np.take_along_axis(logs, scores.argmin(1)[:, None], 1)[:, 0]
    return float((picked - logs.min(1)).mean())


def _pairwise(features: Array, logs: Array, lower: float | None) -> Mapping[str, Any]:
    n = features.shape[1]
    first, second = np.triu_indices(n, 1)
    difference = (features[:, first] - features[:, second]).reshape(-1, features.shape[2])
    gap = (logs[:, first] - logs[:, second]).reshape(-1)
    weight = np.abs(gap) / max(float(np.abs(gap).sum()), 1e-12)
    oriented = difference * np.sign(gap)[:, None]  # a worse candidate less a better one

    def loss(w: Array) -> tuple[float, Array]:
        margin = oriented @ w
        slope = -weight * expit(-margin)
        value = float((weight * np.logaddexp(0.0, -margin)).sum() + 0.5 * RIDGE * (w @ w))
        return value, oriented.T @ slope + RIDGE * w

    start = np.zeros(features.shape[2])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(lower, None)] * len(start))
    return {"weights": found.x.tolist()}


def _nonnegative(features: Array, logs: Array) -> Mapping[str, Any]:
    return {"form": "nonnegative", **_pairwise(features, logs, 0.0)}


def _linear(features: Array, logs: Array) -> Mapping[str, Any]:
    return {"form": "linear", **_pairwise(features, logs, None)}


def _centred(features: Array) -> Array:
    """Features less their mean over an image's candidates, beside that mean."""
    mean = features.mean(1, keepdims=True)
    return np.concatenate([features - mean, np.broadcast_to(mean, features.shape)], 2)


def _boosted(features: Array, logs: Array) -> Mapping[str, Any]:
    from sklearn.ensemble import GradientBoostingRegressor

    wide = _centred(features)
    target = logs - logs.mean(1, keepdims=True)
    model = GradientBoostingRegressor(**TREES).fit(wide.reshape(-1, wide.shape[2]), target.reshape(-1))
    trees = [
        {
            "feature": t.feature.tolist(),
            "threshold": t.threshold.tolist(),
            "left": t.children_left.tolist(),
            "right": t.children_right.tolist(),
            "value": t.value[:, 0, 0].tolist(),
        }
        for t in (stage[0].tree_ for stage in model.estimators_)
    ]
    return {"form": "boosted", "rate": TREES["learning_rate"], "trees": trees}


def _boosted_score(state: Mapping[str, Any], features: Tensor) -> Tensor:
    """The sum of all trees, walked level by level for all candidates at once."""
    mean = features.mean(1, keepdim=True)
    wide = torch.cat([features - mean, mean.expand_as(features)], 2).flatten(0, 1).double()
    total = wide.new_zeros(len(wide))
    for tree in state["trees"]:
        feature = constant(tree["feature"], wide.device)
        threshold = constant(tree["threshold"], wide.device, wide.dtype)
        children = constant([tree["left"], tree["right"]], wide.device)
        node = torch.zeros(len(wide), dtype=torch.int64, device=wide.device)
        for _ in range(int(TREES["max_depth"])):
            inner = feature[node] >= 0
            value = wide.gather(1, feature[node].clamp_min(0)[:, None])[:, 0]
            # scikit-learn compares in single precision.
            right = (value.float() > threshold[node]).long()
            node = torch.where(inner, children[right, node], node)
        total += constant(tree["value"], wide.device, wide.dtype)[node]
    return (state["rate"] * total).to(features.dtype).unflatten(0, features.shape[:2])


_FITS = {"nonnegative": _nonnegative, "linear": _linear, "boosted": _boosted}
