"""What perturbations a run of an attack looks for: any, smooth ones, or ones that leave most pixels alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from magdr_core.functional._common import filter_separable, gaussian_taps

Shape = Callable[[Tensor], Tensor]
"""Of a run's momentum `[B,3,H,W]` the part to follow, same shape; steps take its sign."""

SIGMA = 2.0
"""Of the blur that leaves low frequencies, in pixels; it ends at two of them."""

SHARE = 0.25
"""Of the pixels that a concentrated perturbation touches."""


def everywhere(momentum: Tensor) -> Tensor:
    """All of it, `[B,3,H,W]` -> same."""
    return momentum


def low_frequency(momentum: Tensor) -> Tensor:
    """Its low frequencies, `[B,3,H,W]` -> same, which many detectors look at least (Guo et al., UAI 2019;
    Sharma et al., IJCAI 2019)."""
    return blurred(momentum)


class Concentrated:
    """Where the first gradient is largest, nothing elsewhere: what averages over an image sees less of it."""

    def __init__(self) -> None:
        self._inside: Tensor | None = None

    def __call__(self, momentum: Tensor) -> Tensor:
        """`[B,3,H,W]` -> same; the first call decides where."""
        if self._inside is None:
            strength = blurred(momentum.abs()).sum(1, keepdim=True)
            kept = max(1, round(SHARE * strength[0].numel()))
            least = strength.flatten(1).topk(kept, 1).values[:, -1]
            self._inside = strength >= least[:, None, None, None]
        return torch.where(self._inside, momentum, torch.zeros_like(momentum))


SHAPES: Mapping[str, Callable[[], Shape]] = MappingProxyType(
    {"": lambda: everywhere, "low-frequency": lambda: low_frequency, "concentrated": Concentrated}
)
"""By name what makes the shape of one run; that of most has no name."""


def blurred(values: Tensor) -> Tensor:
    """`[B,C,H,W]` of any values -> same, without high frequencies."""
    return filter_separable(values, gaussian_taps(SIGMA, int(2 * SIGMA)))
