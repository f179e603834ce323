"""Making forgeries of a split's pictures: donors, the forgery itself, and what both classes go through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from magdr_core.components.batch import Batch
from magdr_core.components.forensics import Forged
from magdr_core.components.protocols import Split
from magdr_core.components.rng import SampleRng
from magdr_core.errors import DataError, MagdrError, RegistryError
from magdr_core.forensics.clips import drawn_by, going_along, one_by_one
from magdr_core.forensics.guards import GuardedForgery
from magdr_core.functional import to_8bit

QUALITY_KINDS = ("augmentation", "restoration")
"""Kinds whose components may stand in a list of qualities."""

PARTS_FOUND = "parts"
"""The annotation that holds what a parser finds."""

_TRIES = 16


@dataclass(frozen=True)
class ForgeryFamily:
    """A forgery of a registry.

    Attributes:
        label: of its table.
        name: registry name of its component, with which of its families it is (`ForgerySpec.named_by`), and
            those of the forgeries inside it.
        group: of its relatives; of one that changes what another makes, the other's.
        null: it is no forgery.
        known_as: its label, name and group, and those of the forgeries inside it.
    """

    label: str
    name: str
    group: str
    null: bool
    known_as: frozenset[str]


def family_of(toolkit: Any, label: str) -> ForgeryFamily:
    """Raises RegistryError if there is no such forgery."""
    resolved = toolkit.resolve("forgery", label)
    spec = resolved.entry.spec
    inside = [
        family_of(toolkit, resolved.needs[name])
        for name, need in spec.needs.items()
        if need.kind == "forgery" and isinstance(resolved.needs[name], str)
    ]
    own = f"{resolved.entry.name}:{resolved.params[spec.named_by]}" if spec.named_by else resolved.entry.name
    group = resolved.params[spec.grouped_by] if spec.grouped_by else spec.group
    name = " of ".join([own, *(family.name for family in inside)])
    group = inside[0].group if inside else group
    known_as = {label, name, group}.union(*(family.known_as for family in inside))
    return ForgeryFamily(label, name, group, spec.null, frozenset(known_as))


def quality_kind(toolkit: Any, label: str) -> str:
    """The kind of the component that a quality's label means: its table's, else the one that has such a name.

    Raises:
        RegistryError: there is none, or it moves pixels, whose masks would no longer fit.
    """
    declared = [kind for kind in QUALITY_KINDS if label in toolkit.registry.labels(kind)]
    fault: MagdrError | None = None
    for kind in declared or QUALITY_KINDS:
        try:
            resolved = toolkit.resolve(kind, label)
        except MagdrError as e:
            fault = fault or e
            continue
        if "geometric" in resolved.entry.spec.tags:
            raise RegistryError(f"quality {label!r} moves pixels; forged masks would no longer fit")
        return kind
    assert fault is not None
    raise fault


def takes_clips(toolkit: Any, label: str) -> bool:
    """Whether a quality is given the frames of a clip together.

    Raises:
        MagdrError: it cannot be built.
    """
    taken: bool = toolkit.build(quality_kind(toolkit, label), label).takes_clips
    return taken


def degrade(
    toolkit: Any, label: str, images: Tensor, ids: Sequence[str], seed: int, clips: Tensor | None = None
) -> Tensor:
    """8-bit pictures `[B,3,H,W]` after a quality, again 8-bit.

    The random draws are of the quality and the picture's id alone, so that a fake and its real, which have
    one id, get the same.

    Args:
        clips: which clip each picture is a frame of, `[B]`; whole clips, in order of time. A quality that
            takes clips is given each at once. None of pictures that are no frames.
    """
    kind = quality_kind(toolkit, label)
    f, name = toolkit.build(kind, label), toolkit.resolve(kind, label).entry.name
    if clips is not None and f.takes_clips:
        return to_8bit(one_by_one(f.clip, images, clips))
    if not f.stochastic:
        return to_8bit(f(images))
    return to_8bit(f(images, rng=toolkit.rng(f"quality/{name}", ids, seed)))


def forge(toolkit: Any, label: str, split: Split, batch: Batch, seed: int) -> Forged:
    """A forgery of every picture of a batch of a split, `[B,3,H,W]`.

    All frames of a clip have the same random draws and the same donor: a forged clip is one film.

    Raises:
        ComponentError: the forgery fails.
        DataError: a donor is wanted and the split shows nobody else.
    """
    forgery: GuardedForgery = toolkit.build("forgery", label)
    name = toolkit.resolve("forgery", label).entry.name
    others = with_parts(toolkit, donors(split, batch, seed)) if forgery.spec.donor else batch[:0]
    return forgery(with_parts(toolkit, batch), others, toolkit.rng(f"forgery/{name}", drawn_by(batch), seed))


def parser_of(toolkit: Any) -> str:
    """The label of the parser that finds the parts of faces of which a dataset knows no masks: the registry's
    first; empty if it has none."""
    found: list[str] = toolkit.registry.labels("parser")
    return found[0] if found else ""


def parser_identity(toolkit: Any) -> Any:
    """What forgeries depend on besides, as JSON; None without a parser."""
    label = parser_of(toolkit)
    return toolkit.resolve("parser", label).identity if label else None


def with_parts(toolkit: Any, batch: Batch) -> Batch:
    """A batch whose face parts are known as far as somebody knows them: where the dataset has no masks, those
    that the parser finds, `[B,12,H,W]`, are its annotation `parts`."""
    label = parser_of(toolkit)
    if batch.masks is not None or PARTS_FOUND in batch.annotations or not label or not len(batch):
        return batch
    found = toolkit.build("parser", label)(batch.images)
    return Batch(batch.images, batch.ids, annotations={**batch.annotations, PARTS_FOUND: found})


def donors(split: Split, batch: Batch, seed: int) -> Batch:
    """For each picture one of another person from the same split, which depends on the picture's id alone.

    A clip has one donor, whose frames go along with its own.

    Raises:
        DataError: none is found for some picture.
    """
    rng = SampleRng(seed, "forgery donors", drawn_by(batch))
    tries = rng.integers(_TRIES, high=len(split)).cpu()
    chosen, found = [0] * len(batch), [False] * len(batch)
    for t in range(_TRIES):
        open_ = [i for i, done in enumerate(found) if not done]
        if not open_:
            break
        asked = split[[int(tries[i, t]) for i in open_]]
        for row, i in enumerate(open_):
            if not _same_person(asked, row, batch, i):
                chosen[i], found[i] = int(tries[i, t]), True
    if not all(found):
        who = batch.ids[found.index(False)]
        raise DataError(f"no donor for {who}: {_TRIES} faces of its split show the same person")
    others = split[chosen]
    return others if batch.clips is None else going_along(split, chosen, others, batch)


def _same_person(a: Batch, i: int, b: Batch, j: int) -> bool:
    if a.identities is not None and b.identities is not None:
        return bool(a.identities[i] == b.identities[j])
    if a.clips is not None and b.clips is not None:
        return bool(a.clips[i] == b.clips[j])
    return a.ids[i] == b.ids[j]
