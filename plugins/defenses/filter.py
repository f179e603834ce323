"""Any restoration as a defense of its own: JPEG, Gaussian blur, non-local means, ..."""

from __future__ import annotations

from torch import Tensor

from magdr_core.api import AnyCondition, DefenseSpec, Generator, ImageMap, Need, hookimpl

MAGDR_API = 1


class FilterDefense:
    """One restoration with fixed parameters, applied to every input.

    Args:
        restoration: restoration that every picture goes through.
    """

    def __init__(self, *, restoration: ImageMap) -> None:
        self.restoration = restoration

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        return self.restoration(x)


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="filter", build=FilterDefense, needs={"restoration": Need("restoration")}, gradient="none"
        )
    ]
