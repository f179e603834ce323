"""Core's wrapper around an attack: 8 bits, and within its bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from magdr_core.components.objective import ObjectiveName
from magdr_core.components.rng import SampleRng
from magdr_core.components.specs import Norm
from magdr_core.functional import least_ssim, round_toward, to_8bit
from magdr_core.functional import psnr as psnr_of
from magdr_core.guards.base import Fitted
from magdr_core.isolation.expectations import expect

_BALL_SLACK = 1e-5

_PSNR_SLACK = 1e-3
"""Decibels, for sums of squares in another order."""

_SSIM_SLACK = 1e-5
"""For means of ratios of float32 moments."""


class GuardedAttack(Fitted):
    """An attack whose result is in 8 bits and within its bound.

    In an L-infinity ball it is rounded toward the clean image, so that it stays there. Under a PSNR or an
    SSIM it is rounded to the nearest level: the attack has to leave the room that this takes.

    Attributes:
        eps: L-infinity bound in [0,1] units; of an attack with another bound, the root mean square that
            `AttackSpec.strength` gives for it.
        psnr: the PSNR in dB that each image keeps; None of an attack with another bound.
        ssim: the SSIM that each image keeps, over all of it and, as usual, without its border; None of an
            attack with another bound.
        objective: what it aims at; the generator's own if None.
    """

    def __init__(
        self,
        component: Any,
        where: str,
        *,
        eps: float,
        psnr: float | None = None,
        ssim: float | None = None,
        objective: ObjectiveName | None = None,
        stochastic: bool = False,
    ) -> None:
        super().__init__(component, where, stochastic=stochastic)
        self.eps = eps
        self.psnr, self.ssim = psnr, ssim
        self.objective = objective

    @property
    def limit(self) -> float:
        """How far a channel of a pixel may move, in [0,1] units."""
        return self.eps if self.norm == "linf" else 1.0

    @property
    def norm(self) -> Norm:
        """What bounds it, as in `AttackSpec`."""
        return "psnr" if self.psnr is not None else "ssim" if self.ssim is not None else "linf"

    def __call__(self, x: Tensor, objective: Any, *, rng: SampleRng | None = None) -> Tensor:
        """Attacked images, 8-bit and within the bound around `x`, `[B,3,H,W]` in [0,1].

        Raises:
            ComponentError: another shape or range than that of `x`, or it fails.
        """
        return self._inside(self.call(self.component, x, objective, **self.arguments(rng)), x)

    def checkpoints(
        self, x: Tensor, objective: Any, steps: Sequence[int], *, rng: SampleRng | None = None
    ) -> list[Tensor]:
        """What one run has after each of these numbers of steps, each `[B,3,H,W]` as `__call__` gives it.

        Raises:
            ComponentError: the attack has no `checkpoints`, or not so many were returned.
        """
        if not hasattr(self.component, "checkpoints"):
            raise self.fail("has no checkpoints, so it cannot be swept over its steps")
        found = self.call(self.component.checkpoints, x, objective, list(steps), **self.arguments(rng))
        if not isinstance(found, list | tuple):
            raise self.fail(f"returned a {type(found).__name__}, expected a list of checkpoints")
        if len(found) != len(steps):
            raise self.fail(f"returned {len(found)} checkpoints, expected {len(steps)}")
        return [self._inside(x_hat, x) for x_hat in found]

    def _inside(self, x_hat: Any, x: Tensor) -> Tensor:
        x_hat = self.images(x_hat, x)
        if self.psnr is not None:
            return self._like_enough(to_8bit(x_hat.detach()), x, self.psnr)
        if self.ssim is not None:
            return self._similar_enough(to_8bit(x_hat.detach()), x, self.ssim)
        if x.numel():
            worst = (x_hat.detach() - x).abs().max()
            expect(
                worst <= self.eps + _BALL_SLACK,
                lambda: self.fail(
                    f"left its eps ball: a pixel moved by {float(worst):.4f}, eps is {self.eps:.4f}"
                ),
            )
        return round_toward(x_hat.detach(), x)

    def _like_enough(self, x_hat: Tensor, x: Tensor, least: float) -> Tensor:
        if x.numel():
            worst = psnr_of(x, x_hat).min()
            expect(
                worst >= least - _PSNR_SLACK,
                lambda: self.fail(
                    f"an image in 8 bits has a PSNR of {float(worst):.3f} dB, at least {least:g} are asked "
                    "for"
                ),
            )
        return x_hat

    def _similar_enough(self, x_hat: Tensor, x: Tensor, least: float) -> Tensor:
        if x.numel():
            worst = least_ssim(x, x_hat).min()
            expect(
                worst >= least - _SSIM_SLACK,
                lambda: self.fail(
                    f"an image in 8 bits has an SSIM of {float(worst):.5f}, at least {least:g} is asked for"
                ),
            )
        return x_hat
