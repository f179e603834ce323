"""The best fixed chain: what every adaptive choice has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.components.protocols import Family, FitData, Generator
from magdr_core.magdr.calibration_images import CalibrationImages
from magdr_core.magdr.chains import Chain, chain_of, explore


class FixedChain:
    """The best single chain of Rec-Net's grid on calibration faces, applied to every image.

    Best is the lowest mean log error on attacked faces. The bar for every adaptive choice: no detection, no
    picking, no generator pass.

    Args:
        layers: lists of restorations, one list per layer: at most one of each layer goes into the
            chain.
    """

    def __init__(self, layers: Sequence[Sequence[Family]]) -> None:
        self.layers = layers
        self.chain: Chain | None = None

    def __call__(self, x: Tensor, c: Condition, G: Generator) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same, 8-bit, by the chain that was fitted."""
        assert self.chain is not None, "load() first"
        return self.chain.apply(x)

    @torch.no_grad()
    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        seen = CalibrationImages(data.attacked, G)
        found = explore(self.layers, seen.x, seen.attacked, seen.errors, data.progress)
        best = min(found.logs, key=found.mean)
        return {"chain": found.chains[best].state(), "mean_log_error": found.mean(best)}

    def load(self, state: Mapping[str, Any]) -> None:
        self.chain = chain_of(self.layers, state["chain"])
