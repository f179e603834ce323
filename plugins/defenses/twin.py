"""A second generator in place of the first, for every image: what MagDR with a twin has to beat.

A twin (`magdr train twin-editing64`) was trained to make of attacked faces what the first generator makes of
clean ones. It pays with a difference on clean faces, everywhere and always.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from magdr_core.api import AnyCondition, DefenseSpec, Generator, Need, hookimpl

MAGDR_API = 1


class Twin:
    """The twin's output on the image as it was received.

    Args:
        twins: generators; the first that takes the conditions of the generator at hand is its twin,
            so that one defense serves a registry with several tasks.
    """

    def __init__(self, *, twins: Sequence[Generator]) -> None:
        self.twins = twins

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same: inputs are left alone."""
        return x.clone()

    def output(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        """The twin's output on images `[B,3,H,W]` in [0,1], or G's where it has none."""
        own = (t for t in self.twins if tuple(t.condition_names) == tuple(G.condition_names))
        return next(own, G)(x, c)


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="twin",
            build=Twin,
            needs={"twins": Need("generator", depth=1)},
            gradient="exact",
            tags=("baseline",),
        )
    ]
