"""What the checks of a component may take, what that leaves out, and what would bring it back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from magdr_core.bench.checks.check import LEAST, STANDS_FOR, SanityCheck
from magdr_core.bench.checks.component import Effort, number_of_checks, passes_per_image
from magdr_core.registry.settings import Checks

FEW = 5
"""Steps with which every check says what it is meant to say, on all faces."""

CHEAP = 20
"""How many times the passes are granted where they cost little: on a GPU."""


@dataclass(frozen=True)
class CheckedPart:
    """A component's checks: on how many faces, how hard."""

    faces: int
    effort: Effort


def granted(settings: Checks, device: str) -> float:
    """Generator passes that the checks of one row may take."""
    return settings.passes * (CHEAP if device == "cuda" else 1)


def fitted(
    faces: int, effort: Effort, own: float, *, stochastic: bool, step: float, passes: float
) -> CheckedPart | None:
    """The most faces and steps that `passes` allow: first steps go, then faces; None if nothing fits.

    Args:
        faces: as many as there are, or as are asked for.
        own: generator passes of one forward run of the component.
        step: of one step of the attack.
    """
    few, least = min(FEW, effort.steps), min(2, effort.steps)
    full = faces
    for faces, steps in (
        (full, effort.steps),
        (full, few),
        (full // 2, few),
        (full // 2, least),
        (LEAST, least),
    ):
        tried = Effort(effort.eps, steps, effort.draws)
        faces = max(faces, min(LEAST, full))
        if faces * passes_per_image(tried, own, stochastic=stochastic, step=step) <= passes:
            return CheckedPart(faces, tried)
    return None


def curtailed(
    part: CheckedPart | None,
    full: CheckedPart,
    own: float,
    settings: Checks,
    *,
    stochastic: bool,
    step: float,
    device: str,
) -> SanityCheck | None:
    """What the budget left out of a component's checks, and what would bring it back; None if nothing.

    Args:
        part: what was granted.
        full: all faces and steps.
    """
    few = min(FEW, full.effort.steps)
    if part is not None and part.faces >= full.faces and part.effort.steps >= few:
        return None
    enough = Effort(full.effort.eps, few, full.effort.draws)
    needed = full.faces * passes_per_image(enough, own, stochastic=stochastic, step=step)
    least = math.ceil(needed / granted(settings, device) * settings.passes / 100) * 100
    remedy = f"raise `checks.passes` to at least {least}"
    if part is None:
        said = f"the budget of {settings.passes} passes a row is too small, where one run takes {own:.0f}"
        return SanityCheck(
            "budget", "skipped", f"{said}; {remedy}", {STANDS_FOR: number_of_checks(stochastic)}
        )
    faces = f"on {part.faces} of {full.faces} faces"
    steps = f"with {part.effort.steps} of {full.effort.steps} steps"
    said = f"the others ran {faces} {steps}: {settings.passes} passes a row allow no more; {remedy}"
    return SanityCheck("budget", "skipped", said)
