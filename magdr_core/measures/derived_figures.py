"""Figures that follow from others, and the sizes of differences that matter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from magdr_core.components.figure import Figure, Threshold

SHARE = Threshold(0.02)
SMALL = Threshold(0.01)
SQUARED = Threshold(1.0, 0.1)
DISRUPTS = Threshold(0.005, 0.1)
LET_PASS = Threshold(0.001, 0.1)

SUCCESSFUL = "undefended:success"
"""Which images an attack succeeds on where nothing defends, as in the paper's tables."""

FORWARDS = "forwards"
"""The one figure of a whole cell."""

REFERENCES = ("noise", "noise-l2", "benign")
"""Images that those of attacks are looked at beside."""

NOT_ATTACKED = ("clean", *REFERENCES)
"""Images of which nobody can say whether the attack was found."""


def with_median(*figures: Figure) -> Iterator[Figure]:
    """Each of them, and its median."""
    for figure in figures:
        yield figure
        yield replace(
            figure,
            name=f"median_{figure.name}",
            statistic="median",
            summary=f"median: {figure.summary}",
        )


def inside(figure: Figure) -> Figure:
    """An output's error inside the target alone."""
    name = f"{figure.name}_target"
    return replace(figure, name=name, needs=(name,), summary="the same over the region that is edited")


def successful(figure: Figure) -> Figure:
    """The figure of those images alone that the attack succeeds on, beside the same faces when clean."""
    return replace(
        figure,
        name=f"{figure.name}_successful",
        among=SUCCESSFUL,
        summary=f"of images that the attack succeeds on: {figure.summary}",
    )


def forwards(role: str) -> Figure:
    return Figure(
        name=FORWARDS,
        role=role,
        unit="passes per image",
        better="lower",
        digits=1,
        threshold=SMALL,
        summary="generator passes per image, as the method asks for them",
    )
