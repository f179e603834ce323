"""Detection learned from calibration faces: a logistic combination of standardised evidence.

Weights cannot be negative: more distortion or less consistency never makes an image look cleaner, which is
what keeps the fit honest on attacks that it did not see. Noise of the attacks' strength and harmless edits
are among the negatives; without them the fit becomes a detector of noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

from magdr_core.functional import constant

Array = np.ndarray[Any, Any]

RIDGE = 1e-2
"""Weight of the squared norm beside the mean log loss."""

SHRINKAGE = 0.1
"""Share of the identity in the covariance that familiarity is measured with."""

FAR = 1.5
"""An image further out than this many times the furthest calibration image is unlike all of them."""


def fit_logistic(positives: Array, negatives: Sequence[Array]) -> Mapping[str, Any]:
    """Non-negative logistic regression with an intercept.

    Args:
        positives: `[P,F]`, features of attacked images.
        negatives: one `[N,F]` array for each kind of harmless image; each kind weighs the same, and all of
            them together as much as the positives.

    Returns:
        JSON-able `weights` `[F]` and `bias`.

    Raises:
        ValueError: no positives or no negatives.
    """
    if not len(positives) or not negatives:
        raise ValueError("learning to detect needs attacked and harmless images")
    x = np.concatenate([positives, *negatives])
    sign = np.concatenate([np.ones(len(positives)), -np.ones(sum(map(len, negatives)))])
    weight = np.concatenate(
        [np.full(len(positives), 0.5 / len(positives))]
        + [np.full(len(n), 0.5 / len(n) / len(negatives)) for n in negatives]
    )

    def loss(parameters: Array) -> tuple[float, Array]:
        w, b = parameters[:-1], parameters[-1]
        margin = sign * (x @ w + b)
        slope = -weight * sign * expit(-margin)
        value = float((weight * np.logaddexp(0.0, -margin)).sum() + 0.5 * RIDGE * (w @ w))
        return value, np.append(x.T @ slope + RIDGE * w, slope.sum())

    features = x.shape[1]
    bounds = [(0.0, None)] * features + [(None, None)]
    found = minimize(loss, np.zeros(features + 1), jac=True, method="L-BFGS-B", bounds=bounds)
    return {"weights": found.x[:-1].tolist(), "bias": float(found.x[-1])}


def log_odds(state: Mapping[str, Any], features: Tensor) -> Tensor:
    """`[B]` from `[B,F]`."""
    weights = constant(state["weights"], features.device, features.dtype)
    # Summed in a fixed order, so that a result does not depend on its batch.
    return (features * weights).sum(1) + state["bias"]


def fit_familiarity(features: Array) -> Mapping[str, Any]:
    """What calibration images look like, attacked and harmless ones alike: `[M,F]`, kept as JSON."""
    mean = features.mean(0)
    covariance = np.cov(features.T).reshape(features.shape[1], features.shape[1])
    scale = max(float(np.trace(covariance)) / len(covariance), 1e-6)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * scale * np.eye(len(covariance))
    whiten = np.linalg.inv(np.linalg.cholesky(covariance))
    state = {"mean": mean.tolist(), "whiten": whiten.tolist(), "limit": 0.0}
    return widened(state, features)


def widened(state: Mapping[str, Any], features: Array) -> Mapping[str, Any]:
    """Familiarity to which these images, `[M,F]`, are known too."""
    mean, whiten = np.array(state["mean"]), np.array(state["whiten"])
    furthest = float(np.linalg.norm((features - mean) @ whiten.T, axis=1).max())
    return {**state, "limit": max(state["limit"], FAR * furthest)}


def familiar(state: Mapping[str, Any], features: Tensor) -> Tensor:
    """bool `[B]`: whether calibration saw anything like these images."""
    mean = constant(state["mean"], features.device, features.dtype)
    whiten = constant(state["whiten"], features.device, features.dtype)
    distance = ((features - mean)[:, None] * whiten).sum(2).norm(dim=1)
    return distance <= state["limit"]
