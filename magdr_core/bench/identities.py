"""Whether outputs still show the same person: a success rule that looks at faces and not at pixels.

A cloak, and whatever else works on who is shown, changes few pixels of an output: its squared error stays
under the line of .05 while nobody would take the two for one person. Where a profile has a table `identity`,
outputs are compared by encoders of identity, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.cells import PlannedCell
from magdr_core.components.task_run import Planning, TaskRun

COMPARED = 64
"""Images that an encoder is given at once."""


def check(plan: Planning) -> None:
    """The profile's encoders are there. Raises RegistryError if one is not."""
    if plan.profile.identity is not None:
        for label in plan.profile.identity.encoders:
            plan.check("identity_encoder", label)


def measured_by(run: TaskRun, cell: PlannedCell) -> Mapping[str, Any]:
    """What similarities depend on besides outputs, as a part of a cell's key; nothing where nobody asks for
    them, so that results of such profiles keep theirs."""
    rule = run.profile.identity
    if rule is None:
        return {}
    encoders = [run.toolkit.resolve("identity_encoder", label).identity for label in rule.encoders]
    return {"success_identity": {"encoders": encoders, "below": rule.below}}


def similarities(run: TaskRun, output: Tensor) -> dict[str, list[float]]:
    """By name a value for each image: `identity_o`, how alike the persons of an output and of the clean
    output are, the cosine of that encoder which finds them most alike; `success_identity`, whether even that
    is under the profile's line. Nothing where the profile has no table `identity`.

    Args:
        output: `[n,3,H,W]` in [0,1], on the first n of the run's images.
    """
    rule = run.profile.identity
    if rule is None:
        return {}
    reference = run.images.reference[: len(output)]
    encoders = [run.toolkit.build("identity_encoder", label) for label in rule.encoders]
    alike = most_alike(encoders, output, reference)
    return {"identity_o": alike.tolist(), "success_identity": (alike < rule.below).float().tolist()}


def most_alike(encoders: Sequence[Any], a: Tensor, b: Tensor) -> Tensor:
    """The highest cosine of the encoders for each pair of faces: `[n,3,H,W]` twice -> `[n]` in [-1,1]."""
    found = []
    with torch.no_grad():
        for one, other in zip(a.split(COMPARED), b.split(COMPARED), strict=True):
            cosines = torch.stack([(encode(one) * encode(other)).sum(1) for encode in encoders])
            found.append(cosines.amax(0).clamp(-1, 1))
    return torch.cat(found) if found else a.new_zeros(0)
