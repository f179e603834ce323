"""What every dataset holds to: pictures and ids that never change, splits that never meet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import CLIPS, FRAMES, Batch
from magdr_core.errors import one_line
from magdr_core.functional import CLASSES, to_8bit
from magdr_core.testing.rules import difference, rule
from magdr_core.testing.subject import Subject
from magdr_core.testing.watching import global_generators

SPLITS = ("train", "calibration", "test")
LOOKED_AT = 16


def looked_at(length: int) -> list[int]:
    """Some indices: the first ones, the last ones, and some in between."""
    if length <= LOOKED_AT:
        return list(range(length))
    return sorted({*range(4), *range(length - 4, length), *(i * length // 9 for i in range(9))})


def pictures(s: Subject, name: str) -> Batch | None:
    """What the dataset gives for those indices; None for an empty split."""
    if name not in s.memo:
        split = s.component.split(name)
        s.memo[name] = split[looked_at(len(split))] if len(split) else None
    found: Batch | None = s.memo[name]
    return found


def batches(s: Subject) -> Iterator[tuple[str, Batch]]:
    for name in SPLITS:
        batch = pictures(s, name)
        if batch is not None:
            yield name, batch


@rule("splits", "train, calibration and test are there and give batches")
def splits(s: Subject) -> Iterator[str]:
    if not isinstance(getattr(s.component, "size", None), int):
        yield f"size is {getattr(s.component, 'size', None)!r}, expected pixels"
        return
    found = 0
    with global_generators(0) as drew:
        for name in SPLITS:
            try:
                batch = pictures(s, name)
            except Exception as e:
                yield f"split {name!r}: {one_line(e)}"
                return
            if batch is None:
                continue
            found += 1
            if not isinstance(batch, Batch):
                yield f"split {name!r} gives a {type(batch).__name__}, expected a Batch"
                return
    if not found:
        yield f"all of {', '.join(SPLITS)} are empty"
    if drew:
        yield f"draws from {' and '.join(drew)} global generator"


@rule("images", "pictures are square, of the dataset's size, 8-bit levels in [0, 1]", after=("splits",))
def images(s: Subject) -> Iterator[str]:
    side = s.component.size
    for name, batch in batches(s):
        x = batch.images
        expected = (len(batch.ids), 3, side, side)
        if not isinstance(x, Tensor) or tuple(x.shape) != expected or x.dtype != torch.float32:
            given = f"{tuple(x.shape)} {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
            yield f"split {name!r}: images {given}, expected {expected} torch.float32"
        elif not bool(torch.isfinite(x).all()) or float(x.min()) < 0 or float(x.max()) > 1:
            yield f"split {name!r}: values in [{float(x.min()):.4g}, {float(x.max()):.4g}], expected [0, 1]"
        elif off := difference(to_8bit(x), x):
            yield f"split {name!r}: values up to {off * 255:.3g} off the 8-bit levels; use to_8bit"
        else:
            continue
        return


@rule("ids", "ids are different texts", after=("splits",))
def ids(s: Subject) -> Iterator[str]:
    for name, batch in batches(s):
        wrong = [one for one in batch.ids if not isinstance(one, str)]
        if wrong:
            yield f"split {name!r}: id {wrong[0]!r} is a {type(wrong[0]).__name__}, expected a text"
            return
        twice = [one for one in batch.ids if list(batch.ids).count(one) > 1]
        if twice:
            yield f"split {name!r}: id {twice[0]!r} names several pictures"
            return


@rule(
    "stable",
    "an index is one picture and id for ever, in any batch and after a rebuild",
    ("splits",),
)
def stable(s: Subject) -> Iterator[str]:
    again = s.rebuilt()
    one, other = s.component.fingerprint(), again.fingerprint()
    if not isinstance(one, str) or one != other:
        yield f"fingerprint is {one!r}, after a rebuild {other!r}"
    for name, batch in batches(s):
        split = again.split(name)
        rows = looked_at(len(split))
        for i in (len(rows) - 1, 0):
            alone = split[[rows[i]]]
            if tuple(alone.ids) != (batch.ids[i],):
                told = f"{alone.ids[0]!r} alone and {batch.ids[i]!r} in a batch"
                yield f"split {name!r}: index {rows[i]} is {told}"
                return
            if moved := difference(alone.images[0], batch.images[i]):
                yield f"split {name!r}: picture {batch.ids[i]!r} differs by {moved:.3g} alone and in a batch"
                return


@rule("disjoint", "splits share no id and no picture", after=("splits", "images", "ids"))
def disjoint(s: Subject) -> Iterator[str]:
    named: dict[str, str] = {}
    drawn: dict[bytes, tuple[str, str]] = {}
    shared = []
    for name, batch in batches(s):
        for one, image in zip(batch.ids, batch.images, strict=True):
            if named.setdefault(one, name) != name:
                yield f"{one!r} is in {named[one]} and in {name}"
                return
            first, known = drawn.setdefault(image.cpu().numpy().tobytes(), (name, one))
            if first != name:
                shared.append(f"{known!r} of {first} and {one!r} of {name}")
        # A double in a collection of photographs is no fault; whole splits of doubles are.
        if len(shared) > len(batch) // 2:
            yield f"splits show the same pictures: {shared[0]}, {len(shared)} of {len(batch)} looked at"
            return


@rule("facts", "what is known of the pictures has its form: a row for each", after=("splits",))
def facts(s: Subject) -> Iterator[str]:
    side = s.component.size
    for name, batch in batches(s):
        n = len(batch.ids)
        for attribute, values in batch.attributes.items():
            if tuple(values.shape) != (n,) or not bool(((values == 0) | (values == 1)).all()):
                yield f"split {name!r}: attribute {attribute!r} is {_told(values)}, expected [{n}] of 0 and 1"
                return
        for what, value, shape in (
            ("masks", batch.masks, (n, len(CLASSES), side, side)),
            ("action_units", batch.action_units, (n, 17)),
            ("identities", batch.identities, (n,)),
            (CLIPS, batch.clips, (n,)),
            (FRAMES, batch.annotations.get(FRAMES), (n,)),
        ):
            if value is not None and tuple(value.shape) != shape:
                yield f"split {name!r}: {what} {tuple(value.shape)}, expected {shape}"
                return
        if batch.masks is not None and float((batch.masks.sum(1) - 1).abs().max()) > 1e-3:
            worst = float(batch.masks.sum(1).flatten()[(batch.masks.sum(1) - 1).abs().argmax()])
            yield f"split {name!r}: the masks of a pixel sum to {worst:.4g}"
            return
        for what, value in batch.annotations.items():
            if tuple(value.shape[:1]) != (n,):
                yield f"split {name!r}: {what} {tuple(value.shape)}, expected a row for each of {n} pictures"
                return


def _told(values: Any) -> str:
    return f"{tuple(values.shape)} in [{float(values.min()):.3g}, {float(values.max()):.3g}]"


RULES = (splits, images, ids, stable, disjoint, facts)
