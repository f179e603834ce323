"""ME-Net: drop pixels at random and fill the gaps by matrix estimation.

Yang, Zhang, Katabi and Xu, ME-Net, ICML 2019 (arXiv 1905.11971; github.com/YyzHarry/ME-Net): the three
channels lie side by side in one H x 3W matrix of values in [-1,1], of which every entry is kept with
probability p. The estimate is clipped and rounded to 8 bits.

Adapted: the authors train their classifier on such images, with p from 0.8 to 1 (or 0.4 to 0.6 together with
adversarial training), and test it with the middle. A generator is not trained again here: `keep = 0.9` and,
as a strong setting, `keep = 0.5` are those middles. Nuclear norms are minimised by proximal steps, theirs by
a general cone solver.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from magdr_core.api import AnyCondition, DefenseSpec, Field, Generator, SampleRng, hookimpl
from magdr_core.functional import straight_through, to_8bit

from ._matrix_completion import nuclear, soft_impute, usvt

MAGDR_API = 1

Method = Literal["usvt", "soft-impute", "nuclear"]


class MENet:
    """Random pixels dropped and filled in by matrix estimation: USVT, Soft-Impute or nuclear norm.

    Args:
        method: how the matrix is completed: `usvt`, `softimp` or `nucnorm`.
        keep: probability that an entry is observed.
        rank: rank of USVT's estimate, as a share of the image's height.
        mu: weight of the nuclear norm, without a unit.
    """

    def __init__(
        self,
        *,
        method: Method = "usvt",
        keep: Annotated[float, Field(gt=0, le=1)] = 0.9,
        rank: Annotated[float, Field(gt=0, le=1)] = 0.8,
        mu: Annotated[float, Field(gt=0, le=100)] = 1.0,
    ) -> None:
        self.method = method
        self.keep = keep
        self.rank = rank
        self.mu = mu

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same, 8-bit levels; the gradient is the identity's (BPDA)."""
        with torch.no_grad():
            matrix = side_by_side(2 * x.double() - 1)
            mask = (rng.uniform(*matrix.shape[1:]) < self.keep).double()
            estimate = one_above_another((self._estimate(matrix, mask) + 1) / 2)
        return straight_through(to_8bit(estimate).to(x.dtype), x)

    def _estimate(self, matrix: Tensor, mask: Tensor) -> Tensor:
        match self.method:
            case "usvt":
                return usvt(matrix, mask, max(1, int(self.rank * matrix.shape[1])))
            case "soft-impute":
                return soft_impute(matrix, mask)
            case "nuclear":
                return nuclear(matrix, mask, mu=self.mu)


def side_by_side(x: Tensor) -> Tensor:
    """`[B,3,H,W]` -> `[B,H,3W]`: red, green and blue from left to right."""
    return x.transpose(1, 2).flatten(2)


def one_above_another(matrix: Tensor) -> Tensor:
    """The inverse of `side_by_side`."""
    return matrix.unflatten(2, (3, -1)).transpose(1, 2)


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="me-net",
            build=MENet,
            stochastic=True,
            gradient="straight-through",
            cite="Yang et al., ME-Net, ICML 2019 (arXiv 1905.11971)",
            tags=("baseline",),
        )
    ]
