"""SafetyNet: a kernel machine on discrete codes of late activations (Lu, Issaranon, Forsyth, ICCV 2017).

Published: every late ReLU of a classifier becomes a small integer by fixed thresholds (two or four levels),
and an RBF support vector machine on these codes tells natural from adversarial images; rounding to codes
leaves an attacker little gradient to follow. No code was published.

Here the activations are the generator's, rectified and averaged over a grid of cells; each unit's thresholds
are quantiles on clean faces, so that every level is used. Layer, grid, C and gamma are those with the best
AUROC on calibration faces. The fitted machine is kept as its support vectors and evaluated in torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import product
from typing import Annotated, Any, Literal

import numpy as np
import torch
from sklearn.svm import SVC
from torch import Tensor
from torch.nn import functional as F

from magdr_core.api import (
    AnyCondition,
    ComponentError,
    DetectorSpec,
    FeatureSource,
    Field,
    FitData,
    hookimpl,
    pack_tensors,
    unpack_tensors,
)

from ._faces import Faces, choosing_faces, learning_faces

MAGDR_API = 1


Layers = Annotated[tuple[int, ...], Field(min_length=1)]
Grids = Annotated[tuple[Annotated[int, Field(ge=1, le=32)], ...], Field(min_length=1)]
Positive = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]


class SafetyNet:
    """RBF machine on codes of the generator's activations; `noise`, `edits`: such faces count as clean.

    Decision function of the machine, `[B]`, positive on the attacked side; one generator pass.

    Args:
        layers: indices of the generator's feature maps that the fit may choose from; negative ones
            count from the deepest.
        grids: cells along each side over which activations are averaged, of which the fit chooses.
        costs: weights C of misclassified faces that the fit may choose from.
        gammas: widths of the kernel that the fit may choose from, in units of 1 / (mean squared
            distance of two codes).
        levels: values that an activation's code can take.
        leave_out: labels of calibration attacks that the fit must not see; they are held-out ones
            then.
        noise: whether random sign noise, as strong as each attack, is taught as harmless.
        edits: whether the calibration's `benign` edits are taught as harmless.

    Attributes:
        device: where the support vectors live.
    """

    def __init__(
        self,
        *,
        layers: Layers = (1, -1),
        grids: Grids = (1, 4),
        levels: Literal[2, 4] = 4,
        costs: Positive = (0.1, 1.0, 10.0, 100.0),
        gammas: Positive = (0.1, 0.3, 1.0, 3.0),
        leave_out: tuple[str, ...] = (),
        noise: bool = False,
        edits: bool = False,
    ) -> None:
        self.layers, self.grids, self.levels = layers, grids, levels
        self.costs, self.gammas = costs, gammas
        self.leave_out, self.noise, self.edits = leave_out, noise, edits
        self.device = torch.device("cpu")
        self.machine: dict[str, Tensor] = {}
        self.place: Mapping[str, Any] = {}

    def __call__(self, x: Tensor, c: AnyCondition, G: FeatureSource) -> Tensor:
        """Raises ComponentError before `load`."""
        if not self.machine:
            raise ComponentError("safetynet is not fitted yet: run `magdr calibrate`")
        units = pooled(G.features(x, c, self.place["layer"]), self.place["grid"])
        codes = encode(units, self.machine["thresholds"])
        return decision(codes, self.machine, self.place["gamma"], self.place["bias"]).to(x.dtype)

    @torch.no_grad()
    def fit(self, data: FitData, G: FeatureSource) -> Mapping[str, Any]:
        """Learn from the features of the train split's faces.

        Raises:
            ValueError: nothing is left to learn from.
        """
        faces = learning_faces(data, self.leave_out, noise=self.noise, edits=self.edits)
        held = choosing_faces(data, self.leave_out, noise=self.noise, edits=self.edits)
        found: list[tuple[tuple[float, float], dict[str, Any], dict[str, Tensor]]] = []
        for layer in self.layers:
            look = partial(_features, G, layer, self.grids)
            clean = torch.cat([look(b.images, b.conditions) for b in data.clean.batches("learn")])
            measured, held_measured = faces.measure(look, data), held.measure(look, data)
            channels = clean.shape[1] // sum(g * g for g in self.grids)
            sizes = [channels * g * g for g in self.grids]
            columns = zip(*(t.split(sizes, 1) for t in (clean, measured, held_measured)), strict=True)
            for grid, (units, own, other) in zip(self.grids, columns, strict=True):
                thresholds = self._thresholds(units)
                codes, held_codes = encode(own, thresholds), encode(other, thresholds)
                quality, machine, rest = self._best_machine(codes, faces, held_codes, held)
                place = {"layer": layer, "grid": grid, **rest}
                found.append((quality, place, {"thresholds": thresholds, **machine}))
        quality, place, machine = max(found, key=lambda f: f[0])
        return {"machine": pack_tensors(machine), **place, "calibration_auroc": quality[0]}

    def _thresholds(self, units: Tensor) -> Tensor:
        shares = np.arange(1, self.levels) / self.levels
        return torch.from_numpy(np.quantile(units.cpu().numpy(), shares, axis=0)).to(units)

    def _best_machine(
        self, codes: Tensor, faces: Faces, held_codes: Tensor, held: Faces
    ) -> tuple[tuple[float, float], dict[str, Tensor], dict[str, float]]:
        own = squared_distances(codes, codes).double().cpu().numpy()
        other = squared_distances(held_codes, codes).double().cpu().numpy()
        scale = 1.0 / max(float(own.mean()), 1e-12)
        best: tuple[tuple[float, float], SVC, float] | None = None
        for gamma, cost in product(self.gammas, self.costs):
            # A random state although nothing is drawn: without one the global generator is asked for it.
            svc = SVC(kernel="precomputed", C=cost, class_weight="balanced", random_state=0)
            svc.fit(np.exp(-gamma * scale * own), faces.attacked)
            quality = held.quality(svc.decision_function(np.exp(-gamma * scale * other)))
            if best is None or quality > best[0]:
                best = quality, svc, gamma * scale
        assert best is not None
        quality, svc, gamma = best
        vectors = codes[torch.from_numpy(svc.support_).to(codes.device).long()]
        weights = torch.from_numpy(svc.dual_coef_[0].copy())
        rest = {"gamma": gamma, "bias": float(svc.intercept_[0]), "cost": float(svc.C)}
        return quality, {"vectors": vectors, "weights": weights}, rest

    def load(self, state: Mapping[str, Any]) -> None:
        self.machine = {k: v.to(self.device) for k, v in unpack_tensors(state["machine"]).items()}
        self.place = {k: state[k] for k in ("layer", "grid", "gamma", "bias")}


def _features(G: FeatureSource, layer: int, grids: tuple[int, ...], x: Tensor, c: AnyCondition) -> Tensor:
    maps = G.features(x, c, layer)
    return torch.cat([pooled(maps, grid) for grid in grids], 1)


def pooled(maps: Tensor, grid: int) -> Tensor:
    """`[B,C,h,w]` -> `[B,C*grid*grid]`: rectified, and averaged over each of grid x grid cells."""
    return F.adaptive_avg_pool2d(F.relu(maps), grid).flatten(1)


def encode(units: Tensor, thresholds: Tensor) -> Tensor:
    """Units `[B,F]` -> codes `[B,F]` uint8: how many of the unit's thresholds `[L-1,F]` it exceeds."""
    return (units[:, None] > thresholds).sum(1, dtype=torch.uint8)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """`[A,F]` and `[B,F]` codes -> `[A,B]` float32. Exact in any order of summation: small whole numbers."""
    p, q = a.float(), b.float()
    return p.square().sum(1)[:, None] + q.square().sum(1) - 2 * p @ q.T


def decision(codes: Tensor, machine: Mapping[str, Tensor], gamma: float, bias: float) -> Tensor:
    """The RBF machine's decision function, `[B]` float64."""
    kernel = torch.exp(-gamma * squared_distances(codes, machine["vectors"]).double())
    return (kernel * machine["weights"]).sum(1) + bias


@hookimpl
def magdr_detectors() -> list[DetectorSpec]:
    return [
        DetectorSpec(
            name="safetynet",
            build=SafetyNet,
            cite="Lu, Issaranon, Forsyth, SafetyNet, ICCV 2017 (arXiv 1704.00103)",
            supervised=True,
        )
    ]
