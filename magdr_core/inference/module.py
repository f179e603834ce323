"""MagDR as a layer: what stood before a generator stands before MagDR and the generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from magdr_core.components.batch import Condition, VectorCondition
from magdr_core.errors import DataError
from magdr_core.guards import GuardedGenerator
from magdr_core.inference.asked import Edits, Has
from magdr_core.inference.method import Method, output_behind
from magdr_core.magdr import Outcome

ValueRange = Literal["unit", "symmetric"]
"""Of images: [0,1], or [-1,1] as most generators' code has them."""

Told = Tensor | Edits | Condition | None
"""What a layer's generator is told: a vector `[B,C]` or `[1,C]`, names with values, a condition, nothing."""

RANGES: tuple[ValueRange, ...] = ("unit", "symmetric")


def full_precision(device: torch.device) -> torch.autocast:
    """Inside, autocast of a model around MagDR does not reach it: its thresholds are those of float32."""
    return torch.autocast(device.type, enabled=False)


class DefendingPipeline(Protocol):
    """What the module asks of a pipeline."""

    magdr: Method
    generator: GuardedGenerator
    device: torch.device

    def asked(
        self, count: int, c: Condition | None = None, edits: Edits | None = None, has: Has = ()
    ) -> Condition:
        """The condition of `count` images."""

    def defend(self, images: Tensor, c: Condition) -> Outcome:
        """Detect and reconstruct faces `[B,3,S,S]` in [0,1]."""


class MagDRModule(nn.Module):
    """`forward(x, c) = G(T(x), c)`, where T detects and, if need be, reconstructs.

    It has no parameters or buffers but those of `generator`, if one is given: `.to()`, `.half()`, `.train()`
    and `state_dict()` of a model around it leave MagDR's own frozen networks alone. They stay on the
    toolkit's device; images are brought there, and restored ones back to where they came from. T takes no
    gradient.

    Args:
        magdr: a pipeline (`toolkit.magdr(task)`), calibrated for the generator.
        generator: the network that is called on restored images, as `generator(x, c)` or `generator(x)`, in
            place of the pipeline's own. It must compute what the pipeline's generator computes (the same
            weights), since that is the one whose outputs MagDR judges.
        value_range: of `x` and of what comes back: "unit" for [0,1], "symmetric" for [-1,1].

    Attributes:
        outcome: of the last call, for whoever wants to know what was decided; None before.

    >>> from magdr_core import Toolkit
    >>> toolkit = Toolkit.from_registry(device="cpu")
    >>> layer = toolkit.magdr("editing").as_module(value_range="symmetric")
    >>> x = toolkit.build("dataset", "faces").split("test")[[0]].images * 2 - 1
    >>> y = layer(x, {"Eyeglasses": 1})
    >>> y.shape, len(layer.outcome), len(layer.state_dict())
    (torch.Size([1, 3, 64, 64]), 1, 0)
    """

    def __init__(
        self,
        magdr: DefendingPipeline,
        generator: nn.Module | None = None,
        *,
        value_range: ValueRange = "unit",
    ) -> None:
        super().__init__()
        if value_range not in RANGES:
            raise DataError(f"value_range = {value_range!r} is not one of {', '.join(RANGES)}")
        self.generator = generator
        # An object of this kind is no sub-module, so nothing of it is moved, trained or saved with the model.
        self.magdr = magdr
        self.value_range = value_range
        self.outcome: Outcome | None = None

    def forward(self, x: Tensor, c: Told = None, before: Tensor | None = None) -> Tensor:
        """`[B,3,S,S] -> [B,3,S,S]`, both in `value_range`, on `x`'s device and in its dtype.

        Args:
            c: what the generator is told: the `[B,C]` or `[1,C]` vector that it takes, names with values
                (`{"Smiling": 1}`), a `Condition`, or None if it takes nothing. A generator that was given
                gets it as it is, unless it is a `Condition` or names: then their `[B,C]` values.
            before: `[B,C]`, what the pictures show; entries of a vector `c` that differ from it are the edit,
                which says where the generator may change the image. Without it, entries other than 0 are.

        Raises:
            DataError: another size, range or number of conditions.
        """
        restored, condition = self.defended(x, c, before)
        if self.generator is None:
            assert self.outcome is not None
            if not len(x):
                return self._back(self.outcome.restored, x)
            with full_precision(self.magdr.device):
                made = output_behind(
                    self.magdr.magdr,
                    self.outcome.restored,
                    self._unit(x).float().to(self.magdr.device),
                    condition,
                    self.magdr.generator,
                )
                return self._back(made, x)
        if c is None:
            y: Tensor = self.generator(restored)
            return y
        told: Tensor | Condition = c if isinstance(c, Tensor) else condition.to(x.device)
        if isinstance(told, VectorCondition):  # which a network of one's own takes as a tensor
            told = told.values.to(x.dtype)
        y = self.generator(restored, told)
        return y

    @torch.no_grad()
    def defended(self, x: Tensor, c: Told = None, before: Tensor | None = None) -> tuple[Tensor, Condition]:
        """What the generator is given instead of `x`, and the condition that was meant.

        Args:
            x: `[B,3,S,S]` in `value_range`.
            c, before: as in `forward`.

        Returns:
            (`[B,3,S,S]` in the range, dtype and on the device of `x`; the condition, `[B,C]`).

        Raises:
            DataError: another size, range or number of conditions.
        """
        if not isinstance(x, Tensor) or x.ndim != 4:
            shown = tuple(x.shape) if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise DataError(f"a layer takes images [B,3,S,S], got {shown}")
        condition = self._condition(len(x), c, before)
        self.outcome = self.magdr.defend(self._unit(x).float(), condition)
        return self._back(self.outcome.restored, x), condition

    def _condition(self, count: int, c: Told, before: Tensor | None) -> Condition:
        if before is not None and not isinstance(c, Tensor):
            raise DataError("`before` belongs to a condition vector; a Condition and edits say it themselves")
        if isinstance(c, Tensor):
            values = c.detach().float()
            if values.ndim != 2 or (before is not None and before.shape != c.shape):
                shown = "" if before is None else f" and before {tuple(before.shape)}"
                raise DataError(f"a condition vector is [B,C], got {tuple(c.shape)}{shown}")
            changed = values != (0.0 if before is None else before.detach().float().to(values.device))
            return self.magdr.asked(count, VectorCondition(values, changed))
        if isinstance(c, Mapping):
            return self.magdr.asked(count, edits=c)
        return self.magdr.asked(count, c)

    def _unit(self, x: Tensor) -> Tensor:
        return (x + 1) / 2 if self.value_range == "symmetric" else x

    def _back(self, y: Tensor, like: Tensor) -> Tensor:
        y = y.to(like.device, like.dtype)
        return y * 2 - 1 if self.value_range == "symmetric" else y
