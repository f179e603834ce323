"""MagDR in front of a generator, as a library: tensors in, decisions and restored images out."""

from __future__ import annotations

from collections.abc import Mapping

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

    def condition(self, attributes: Mapping[str, float | Tensor], **edits: float) -> Condition:
        """The condition that sets some attributes and leaves the others.

        Args:
            attributes: what the pictures show: `[B]` tensors (as in `Batch.attributes`) or numbers.
            edits: the generator's condition names with their new values.

        Raises:
            DataError: an unknown condition name, or an edit that changes nothing.
        """
        names = self.generator.condition_names
        for name in edits:
            if name not in names:
                raise DataError(f"the generator has no condition {name!r}{suggestion(name, names)}")
        columns = [torch.as_tensor(attributes.get(name, 0.0)).float().reshape(-1) for name in names]
        before = torch.stack(torch.broadcast_tensors(*columns), 1)
        after = before.clone()
        for name, value in edits.items():
            if name.endswith("_Hair") and value:
                # Hair has one colour.
                after[:, [i for i, n in enumerate(names) if n.endswith("_Hair")]] = 0.0
            after[:, names.index(name)] = value
        if not bool((after != before).any(1).all()):
            raise DataError("the edit changes nothing on at least one picture")
        return Condition(after, after != before)

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
