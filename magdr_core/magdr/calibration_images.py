"""Calibration images whose true errors are known."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from magdr_core.components.batch import Condition, Samples
from magdr_core.components.protocols import Generator
from magdr_core.functional import batch_size


class CalibrationImages:
    """Attacked calibration images, then their clean ones (which must come out as they are).

    Args:
        attacked: by attack, `(attacked, clean)` samples.

    Attributes:
        x, c: `[M,3,H,W]` and their conditions.
        faces: `M` ids; an attacked image has its clean one's.
        attacked: bool `[M]`.
    """

    def __init__(self, attacked: Mapping[str, tuple[Samples, Samples]], G: Generator) -> None:
        pairs = list(attacked.values())
        pairs.append((pairs[0][1], pairs[0][1]))
        self.x = torch.cat([seen.images for seen, _ in pairs])
        self.c = Condition.cat([seen.conditions for seen, _ in pairs])
        self.faces = [i for seen, _ in pairs for i in seen.ids]
        self.attacked = torch.arange(len(self.x), device=self.x.device) < len(self.x) - len(pairs[-1][0])
        self._G = G
        self._wanted = _outputs(torch.cat([clean.images for _, clean in pairs]), self.c, G)

    def errors(self, candidates: Tensor) -> Tensor:
        """Eq. 8, `[M]`: MSE between what G makes of the candidates and of the clean images."""
        return self.output_errors(_outputs(candidates, self.c, self._G))

    def output_errors(self, outputs: Tensor) -> Tensor:
        """The same of outputs `[M,3,H,W]` that are there already."""
        return (outputs - self._wanted).square().flatten(1).mean(1)


def _outputs(x: Tensor, c: Condition, G: Generator) -> Tensor:
    every = torch.arange(len(x), device=x.device).split(batch_size(x.shape, "output", x.device))
    return torch.cat([G(x[idx], c[idx]) for idx in every])
