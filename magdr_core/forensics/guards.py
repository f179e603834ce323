"""Core's wrappers around forgeries and forensic models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.components.batch import Batch
from magdr_core.components.forensics import ForensicData, Forged, TaughtForensic
from magdr_core.components.rng import SampleRng
from magdr_core.components.specs import ForgerySpec, TrainedOn
from magdr_core.functional import in_pieces
from magdr_core.guards.base import RANGE_SLACK, Guard
from magdr_core.isolation.expectations import expect

NOTHING = TrainedOn()

_OFF_LEVEL = 1e-3
"""How far from a level of 8 bits, in levels, a value may be for its number's sake."""


class GuardedForgery(Guard):
    """A forgery whose pictures and masks are checked: a table of wrong masks would look like any other."""

    def __init__(self, component: Any, where: str, *, spec: ForgerySpec) -> None:
        super().__init__(component, where, stochastic=True)
        self.spec = spec

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Forgeries of the pictures `[B,3,H,W]` of a batch, with masks `[B,1,H,W]`.

        Raises:
            ComponentError: pictures that are not 8-bit, masks of other values than 0 and 1, a forgery without
                a mask (unless masks are recorded ones) or a null one with one, a pixel that changed where
                nothing is forged, or it fails.
        """
        return self._checked(batch, self.call(self.component, batch, donors, rng), null=self.spec.null)

    @property
    def has_innocent(self) -> bool:
        """Whether the component has a pipeline without the forgery."""
        return hasattr(self.component, "innocent")

    def innocent(self, batch: Batch, rng: SampleRng) -> Forged:
        """The pipeline without the forgery, where the component has it as `innocent(batch, rng)`: pictures
        `[B,3,H,W]`, and masks `[B,1,H,W]` that are empty.

        Raises:
            ComponentError: it has none, or as of a call of a null forgery.
        """
        if not self.has_innocent:
            raise self.fail("has no pipeline without a forgery (innocent)")
        return self._checked(batch, self.call(self.component.innocent, batch, rng), null=True)

    def _checked(self, batch: Batch, made: Any, *, null: bool) -> Forged:
        if not all(hasattr(made, name) for name in ("images", "masks")):
            raise self.fail(f"returned a {type(made).__name__}, expected Forged")
        x, (n, _, height, width) = batch.images, batch.images.shape
        images = self.images(made.images, x, "returned images of")
        masks = self.scores(made.masks, (n, 1, height, width))
        alpha = getattr(made, "alpha", None)
        if alpha is not None:
            alpha = self.scores(alpha, (n, 1, height, width))
        if n:
            self._check(x, images, masks, alpha, null)
        return Forged(images, masks, alpha)

    def _check(self, x: Tensor, images: Tensor, masks: Tensor, alpha: Tensor | None, null: bool) -> None:
        levels = images * 255
        expect(
            ((levels - levels.round()).abs() <= _OFF_LEVEL).all(),
            lambda: self.fail("returned images that are not 8-bit"),
        )
        expect(
            ((masks == 0) | (masks == 1)).all(),
            lambda: self.fail("returned masks that are not 0 and 1"),
        )
        there = masks.flatten(1).any(1)
        if null:
            expect(~there.any(), lambda: self.fail("is a null forgery, and returned a mask"))
        elif self.spec.definition != "recorded":
            expect(there.all(), lambda: self.fail(f"returned an empty mask for image {_first(~there)}"))
        if null or self.spec.group == "whole":
            return
        support = grown(masks, self.spec.reach) > 0 if alpha is None else alpha > 0
        moved = (images != x).any(1, keepdim=True) & ~support
        expect(
            ~moved.any(),
            lambda: self.fail(f"changed image {_first(moved.flatten(1).any(1))} where nothing is forged"),
        )


class GuardedForensic(Guard):
    """A forensic model whose scores and masks are checked.

    On a CPU a batch is looked at in pieces, so that a picture's score is the same in any batch.

    Attributes:
        trained_on: what its spec says that it has seen.
        locates: whether it says where.
        learns: whether it has to be fitted, or to load what it was fitted to, first.
    """

    def __init__(self, component: Any, where: str, *, trained_on: TrainedOn = NOTHING) -> None:
        super().__init__(component, where)
        self.trained_on = trained_on

    @property
    def locates(self) -> bool:
        return callable(getattr(self.component, "locate", None))

    @property
    def learns(self) -> bool:
        return self.contained(lambda: isinstance(self.component, TaughtForensic))

    def score(self, x: Tensor) -> Tensor:
        """Scores `[B]` of pictures `[B,3,H,W]` in [0,1].

        Raises:
            ComponentError: it fails, or returns anything but finite numbers `[B]`.
        """
        return self.scores(self.call(_by_pieces(self.component.score), x), (x.shape[0],))

    __call__ = score

    def locate(self, x: Tensor) -> Tensor:
        """Where pictures `[B,3,H,W]` are forged: `[B,1,H,W]` in [0,1], above 1/2 where they are.

        Raises:
            ComponentError: it does not say so, fails, or returns another shape or range.
        """
        if not self.locates:
            raise self.fail("does not say where a picture is forged")
        found = self.call(_by_pieces(self.component.locate), x)
        found = self.scores(found, (x.shape[0], 1, *x.shape[2:]))
        if found.numel():
            low, high = found.detach().aminmax()
            expect(
                (low >= -RANGE_SLACK) & (high <= 1 + RANGE_SLACK),
                lambda: self.fail(f"located with values in [{float(low):.3g}, {float(high):.3g}]"),
            )
        return found.clamp(0, 1)

    def fit(self, data: ForensicData) -> Any:
        """What the component's `fit` returns for a private copy of `data`; nobody has checked it.

        Raises:
            ComponentError: it fails, edits the data, or changes the state of the process.
        """
        with torch.enable_grad():
            return self.call(self.component.fit, data, free=True, failed="fitting failed")

    def load(self, state: Mapping[str, Any]) -> None:
        """Have the component take its fitted state.

        Raises:
            ComponentError: it fails, or changes the state of the process.
        """
        self.call(self.component.load, state, free=True, failed="its fitted state cannot be loaded")


def grown(masks: Tensor, by: int) -> Tensor:
    """Masks `[B,1,H,W]` with every pixel that is at most so far from one of theirs, along both axes."""
    return F.max_pool2d(masks, 2 * by + 1, stride=1, padding=by) if by else masks


def _by_pieces(f: Any) -> Any:
    """`f` of pictures `[B,3,H,W]`, in pieces that give the same bits in any batch."""
    return lambda x: in_pieces(lambda i: f(x[i]), x) if len(x) else f(x)


def _first(wrong: Tensor) -> int:
    """The index of the first true one of `[B]`."""
    return int(wrong.nonzero()[0])
