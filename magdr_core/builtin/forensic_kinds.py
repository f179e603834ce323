"""The kinds of forensics: forgeries, and models that look for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from magdr_core.builtin.shipped import shipped
from magdr_core.components import forensics, specs
from magdr_core.components.kind import Kind
from magdr_core.components.trial import Trial
from magdr_core.forensics.guards import GuardedForensic, GuardedForgery

Labels = list[Annotated[str, Field(min_length=1)]]


class ForgeryTable(BaseModel):
    """How models deal with a forgery.

    Attributes:
        taught: whether models learn from it that name no families.
    """

    taught: bool = True


class ForensicTable(BaseModel):
    """What a model that learns is taught on.

    Attributes:
        families: labels of forgeries; if None, all of the registry's that forge a part of the picture and are
            taught.
        leave_out: labels or groups of those that it shall not see, nor what is made of their fakes.
        qualities: labels of augmentations and restorations that some of the pictures go through.
        dataset: label of the dataset whose pictures it learns from; the task's if empty.
    """

    families: Annotated[Labels, Field(min_length=1)] | None = None
    leave_out: Labels = []
    qualities: Labels = []
    dataset: str = ""


def _taught_on(spec: Any, instance: Any) -> Mapping[str, Any]:
    """Of a registry table, nothing where it says nothing; the pictures themselves are in another key."""
    told = {name: value for name, value in instance.keys.items() if value}
    return {"taught on": told} if told else {}


def _guarded_forgery(resolved: Any, component: Any, where: str) -> GuardedForgery:
    return GuardedForgery(component, where, spec=resolved.entry.spec)


def _guarded_forensic(resolved: Any, component: Any, where: str) -> GuardedForensic:
    return GuardedForensic(component, where, trained_on=resolved.entry.spec.trained_on)


def _call_forgery(subject: Any, f: Any, given: Any, rng: Mapping[str, Any]) -> Tensor:
    """Pictures and masks in one tensor, `[B,4,H,W]`."""
    from magdr_core.testing.forensic_inputs import donors_of, known_faces

    source = known_faces(given)
    donors = donors_of(given) if subject.spec.donor else source[:0]
    forged = f(source, donors, subject.rng(given))
    return torch.cat([forged.images, forged.masks], 1)


def _taught(subject: Any, component: Any) -> Any:
    from magdr_core.testing.forensic_inputs import forensic_data

    return component.fit(forensic_data(subject.device))


FORENSIC_KINDS = (
    Kind(
        name="forgery",
        plural="forgeries",
        spec=specs.ForgerySpec,
        protocol=forensics.Forgery,
        guard=_guarded_forgery,
        call="(batch, donors, rng) -> Forged",
        summary="Forgery families: 8-bit fakes of real pictures, with exact masks.",
        table=ForgeryTable,
        trial=Trial(
            call=_call_forgery,
            shape=lambda given: (len(given.images), 4, *given.images.shape[2:]),
            images=True,
        ),
        **shipped("forgery", "forged"),
    ),
    Kind(
        name="forensic",
        plural="forensics",
        spec=specs.ForensicSpec,
        protocol=forensics.Forensic,
        guard=_guarded_forensic,
        call="score(x) -> [B]",
        summary="Forensic models: is this picture forged, and where? Higher is more likely forged.",
        table=ForensicTable,
        identity=_taught_on,
        trial=Trial(
            call=lambda subject, f, given, rng: f.score(given.images),
            shape=lambda given: (len(given.images),),
            any_float=True,
            network=True,
            learns=True,
            taught=_taught,
            gradient=lambda spec: spec.gradient,
        ),
        **shipped("forensic", "located"),
    ),
)
