"""The control that every forensic table needs: 24 global numbers of a picture and a logistic regression.

What this finds is softness and colour, not forgery. A model that does not beat it has learned no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.api import DataError, Field, ForensicData, ForensicSpec, hookimpl
from magdr_core.functional import constant, luma

MAGDR_API = 1

BLOCK = 8
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
FLOOR = 1e-4
"""Added before logarithms: less than 8 bits can show."""

LAPLACIAN = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def global_statistics(x: Tensor) -> Tensor:
    """Of pictures `[B,3,H,W]` in [0,1], at least 8 pixels a side: `[B,24]`.

    Log energies of 8 bands of the 8x8 DCT of the brightness, log quantiles of the size of its Laplacian, and
    mean, standard deviation and skewness of each colour.

    Raises:
        DataError: smaller pictures.
    """
    if min(x.shape[2:]) < BLOCK:
        raise DataError(f"pictures of {x.shape[3]}x{x.shape[2]} pixels have no block of {BLOCK} a side")
    x = x.double()
    y = luma(x)
    return torch.cat([_bands(y), _details(y), _colours(x)], 1)


def _bands(y: Tensor) -> Tensor:
    """`[B,1,H,W] -> [B,8]`: coefficients (i, j) of a block with i + j in eight ranges, the mean left out."""
    height, width = (side // BLOCK * BLOCK for side in y.shape[2:])
    blocks = y[:, 0, :height, :width].unfold(1, BLOCK, BLOCK).unfold(2, BLOCK, BLOCK).flatten(1, 2)
    k = torch.arange(BLOCK, dtype=y.dtype, device=y.device)
    basis = torch.cos(torch.pi * k[:, None] * (2 * k + 1) / (2 * BLOCK)) * (2 / BLOCK) ** 0.5
    basis = torch.cat([basis[:1] / 2**0.5, basis[1:]])
    energy = (basis @ blocks @ basis.mT).square().mean(1)
    order = k[:, None] + k
    found = []
    for band in range(8):
        inside = (order > 1.75 * band) & (order <= 1.75 * (band + 1))
        found.append((energy * inside).sum((1, 2)) / inside.sum())
    return torch.log(torch.stack(found, 1) + FLOOR**2)


def _details(y: Tensor) -> Tensor:
    """`[B,1,H,W] -> [B,7]`."""
    kernel = constant(LAPLACIAN, y.device, y.dtype)
    sizes = F.conv2d(y, kernel[None, None]).abs().flatten(1).sort(1).values
    places = [round(q * (sizes.shape[1] - 1)) for q in QUANTILES]
    return torch.log(torch.stack([sizes[:, place] for place in places], 1) + FLOOR)


def _colours(x: Tensor) -> Tensor:
    """`[B,3,H,W] -> [B,9]`."""
    values = x.flatten(2)
    mean = values.mean(2, keepdim=True)
    spread = (values - mean).square().mean(2).sqrt()
    skew = (values - mean).pow(3).mean(2) / (spread.pow(3) + FLOOR)
    return torch.cat([mean[:, :, 0], spread, skew], 1)


class Statistics:
    """Logistic regression on 24 global statistics of the picture.

    Args:
        ridge: weight of the penalty on squared coefficients, beside the mean log loss.
    """

    def __init__(self, *, ridge: Annotated[float, Field(gt=0, le=10)] = 1e-3) -> None:
        self.ridge = ridge
        self.state: Mapping[str, Any] = {"mean": [0.0] * 24, "scale": [1.0] * 24, "weights": [0.0] * 25}

    def score(self, x: Tensor) -> Tensor:
        """Log odds of being forged, of pictures `[B,3,H,W]` in [0,1]: `[B]`."""
        mean, scale, weights = (
            constant(self.state[name], x.device, torch.float64) for name in ("mean", "scale", "weights")
        )
        standard = (global_statistics(x) - mean) / scale
        return (standard * weights[:-1]).sum(1) + weights[-1]

    def fit(self, data: ForensicData) -> dict[str, Any]:
        """The regression of pairs, each class half of it; JSON-able."""
        features = torch.cat(
            [global_statistics(part) for x in (data.fake, data.real) for part in x.split(256)]
        )
        mean, scale = features.mean(0), features.std(0).clamp_min(1e-6)
        labels = torch.cat([torch.ones(len(data)), torch.zeros(len(data))]).to(features)
        weights = logistic_regression((features - mean) / scale, labels, self.ridge)
        return {"mean": mean.tolist(), "scale": scale.tolist(), "weights": weights.tolist()}

    def load(self, state: Mapping[str, Any]) -> None:
        self.state = dict(state)


def logistic_regression(x: Tensor, labels: Tensor, ridge: float) -> Tensor:
    """Weights and, last, intercept `[F+1]` of features `[n,F]` for labels `[n]` of 0 and 1.

    Minimises the mean log loss plus `ridge / 2` times the squared weights, by Newton's method with halved
    steps.
    """
    design = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    penalty = torch.full((design.shape[1],), ridge, dtype=x.dtype, device=x.device)
    penalty[-1] = 0.0
    weights = torch.zeros_like(penalty)

    def loss(w: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(design @ w, labels) + (penalty * w.square()).sum() / 2

    for _ in range(100):
        p = torch.sigmoid(design @ weights)
        gradient = design.mT @ (p - labels) / len(x) + penalty * weights
        curvature = (design * (p * (1 - p))[:, None]).mT @ design / len(x)
        step = torch.linalg.solve(curvature + torch.diag(penalty + 1e-9), gradient)
        size = 1.0
        while size > 1e-6 and loss(weights - size * step) > loss(weights):
            size /= 2
        weights = weights - size * step
        if float(gradient.abs().max()) < 1e-9:
            break
    return weights


@hookimpl
def magdr_forensics() -> list[ForensicSpec]:
    return [ForensicSpec(name="statistics", build=Statistics, gradient="exact", tags=("control",))]
