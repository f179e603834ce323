"""No defense: the bar that every defense must clear, also on clean images."""

from __future__ import annotations

from torch import Tensor

from magdr_core.api import AnyCondition, DefenseSpec, Generator, hookimpl, stateless

MAGDR_API = 1


def identity(x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
    """The input as it is."""
    return x.clone()


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [DefenseSpec(name="identity", build=stateless(identity), gradient="exact")]
