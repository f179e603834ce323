"""MagDR in front of a generator, as a library: tensors in, decisions and restored images out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy

import torch
from torch import Tensor

from magdr_core.errors import DataError, suggestion
from magdr_core.guard import GuardedGenerator
from magdr_core.magdr import MagDR, Outcome
from magdr_core.types import Condition


class Pipeline:
    """Detection and reconstruction for one task.

    Attributes:
        generator: the generator that is defended.
        magdr: the calibrated method.
    """

    def __init__(self, generator: GuardedGenerator, magdr: MagDR) -> None:
        self.generator = generator
        self.magdr = magdr

    def condition(
        self, attributes: Mapping[str, float | Tensor], *, count: int = 1, **edits: float | Tensor
    ) -> Condition:
        """The condition that sets some attributes and leaves the others.

        Args:
            attributes: what the pictures show: `[B]` tensors (as in `Batch.attributes`) or numbers.
            count: how many pictures, where `attributes` does not tell: numbers, or a generator that takes no
                condition (face replacement).
            edits: the generator's condition names with their new values, `[B]` or a number each.

        Raises:
            DataError: an unknown condition name, or an edit that changes nothing.
        """
        return condition_of(self.generator, attributes, edits, count=count)

    @torch.no_grad()
    def inspect(self, x: Tensor, c: Condition) -> Outcome:
        """The verdict and its evidence; nothing is reconstructed, `restored` is `x`."""
        only = copy(self.magdr)
        only.rounds = 0
        return only.run(x, c, self.generator)

    @torch.no_grad()
    def detect(self, x: Tensor, c: Condition) -> Tensor:
        """Which images are disrupted: bool `[B]` for `x` `[B,3,H,W]` in [0,1]."""
        return self.magdr.evidence(x, c, self.generator) > self.magdr.detector.threshold

    @torch.no_grad()
    def reconstruct(self, x: Tensor, c: Condition) -> Tensor:
        """One pass of Rec-Net whatever the detector says: `[B,3,H,W]`, 8-bit."""
        return self.magdr.reconstruct(x, c, self.generator).images

    @torch.no_grad()
    def defend(self, x: Tensor, c: Condition) -> Outcome:
        """Detect, and reconstruct what is disrupted; the outcome holds the evidence."""
        return self.magdr.run(x, c, self.generator)

    @torch.no_grad()
    def __call__(self, x: Tensor, c: Condition) -> Tensor:
        """The generator's output on the defended input, `[B,3,H,W]`."""
        return self.generator(self.defend(x, c).restored, c)


def condition_of(
    generator: GuardedGenerator,
    attributes: Mapping[str, float | Tensor],
    edits: Mapping[str, float | Tensor],
    *,
    count: int = 1,
) -> Condition:
    """The condition that sets some of a generator's conditions and leaves the others as they are.

    Args:
        attributes: what the pictures show, `[B]` tensors or numbers; what is not named counts as 0.
        edits: condition names with their new values. A hair colour takes the place of the others.
        count: the number of pictures, where `attributes` do not tell.

    Raises:
        DataError: an unknown condition name, no edit, or one that changes nothing.
    """
    names = generator.condition_names
    known_name(generator, edits)
    if not names:
        return Condition(torch.zeros(count, 0), torch.zeros(count, 0, dtype=torch.bool))
    columns = [torch.as_tensor(attributes.get(name, 0.0)).float().reshape(-1) for name in names]
    before = torch.stack(torch.broadcast_tensors(*columns), 1)
    if len(before) == 1:
        before = before.expand(count, -1)
    after = before.clone()
    colours = torch.tensor([n.endswith("_Hair") for n in names])
    for name, value in edits.items():
        new = torch.as_tensor(value).float().expand(len(after))
        if name.endswith("_Hair"):
            # Hair has one colour.
            after = after.masked_fill((new != 0)[:, None] & colours, 0.0)
        after[:, names.index(name)] = new
    if not bool((after != before).any(1).all()):
        raise DataError("the edit changes nothing on at least one picture")
    return Condition(after, after != before)


def known_name(generator: GuardedGenerator, given: Iterable[str]) -> None:
    """Raises DataError for the first name that is none of the generator's conditions."""
    names = generator.condition_names
    for name in given:
        if not names:
            raise DataError(f"the generator takes no condition, so {name!r} cannot be set")
        if name not in names:
            raise DataError(f"the generator has no condition {name!r}{suggestion(name, names)}")
