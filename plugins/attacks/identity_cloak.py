"""Identity cloaks: a face that encoders of identity no longer recognise, for whatever swaps it.

The aim of NullSwap (ICCV 2025), SCOL (ACM MM 2025) and FaceShield (Jeong et al., ICCV 2025): nothing is known
of the generator; the picture's identity is moved in the eyes of encoders that are at hand. What the output
shows moves little where the generator does not look at identities, so that its MSE says nothing of a cloak.
Theirs are networks or are not published; this is the direct ascent, with what is published of the rest:
encoders that still recognise the face count more at each step, pictures are looked at as swappers look at
them (mirrored, and brought to 112 pixels in two ways), and FaceShield's low-pass of the perturbation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import (
    AttackSpec,
    Eps,
    Field,
    IdentityEncoder,
    Need,
    Objective,
    SampleRng,
    hookimpl,
)
from magdr_core.functional import flip, project_linf, resize

from ._block_dct import lowpass
from ._sign_steps import DEFAULT_STEP, better

MAGDR_API = 1

SWAPPERS = 112
"""Side in pixels of the pictures that public face encoders take."""

SHARPNESS = 0.1
"""Cosines that differ by so much have weights that differ by e."""

LOOKS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda x: x,
    "mirrored": flip,
    "nearest": lambda x: resize(x, SWAPPERS, mode="nearest"),
    "area": lambda x: resize(x, SWAPPERS, mode="area"),
}
"""How a picture comes before an encoder."""


class IdentityCloak:
    """The least similarity of a face to itself in the eyes of encoders, best iterate kept.

    Args:
        encoders: identity encoders that the cloak is made for; on others it works as far as it transfers.
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps, of a pass of each encoder for each look.
        step: step size in [0,1] units; 0 means eps / 5.
        eot: also look at the picture mirrored and brought to 112 pixels, by nearest neighbours and by means.
        lowpass: keep the 25 lowest of the 64 cosines of each block of 8 x 8 pixels alone.
    """

    def __init__(
        self,
        *,
        encoders: Sequence[IdentityEncoder],
        eps: Eps = 4 / 255,
        steps: Annotated[int, Field(ge=1, le=100_000)] = 100,
        step: Eps = 0.0,
        eot: bool = True,
        lowpass: bool = False,
    ) -> None:
        self.encoders = list(encoders)
        self.eps, self.steps = eps, steps
        self.step_size = step or DEFAULT_STEP * eps
        self.looks = list(LOOKS.values()) if eot else [LOOKS["plain"]]
        self.lowpass = lowpass

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean images -> `[B,3,H,W]` cloaked ones, within eps and [0,1]; what a generator makes
        of them is not asked."""
        away = Recognition(self.encoders, self.looks, x)
        # At the picture itself the cosine is largest, and its gradient zero.
        current = self._inside(x + self.eps * rng.uniform(*x.shape[1:], low=-1.0, high=1.0), x)
        best, best_loss = x, torch.full((len(x),), -torch.inf, device=x.device)
        for _ in range(self.steps):
            loss, uphill = away.gradient(current)
            best, best_loss = better(current, loss, best, best_loss)
            current = self._inside(current + self.step_size * uphill.sign(), x)
        with torch.no_grad():
            loss = -away.cosines(current).mean(1)
        return better(current, loss, best, best_loss)[0]

    def _inside(self, moved: Tensor, x: Tensor) -> Tensor:
        return project_linf(x + lowpass(moved - x) if self.lowpass else moved, x, self.eps)


class Recognition:
    """How well encoders still recognise faces.

    Args:
        encoders: `[B,3,H,W] -> [B,D]` of length 1.
        looks: image maps before them.
        x: `[B,3,H,W]`, the faces as they were.
    """

    def __init__(
        self, encoders: Sequence[IdentityEncoder], looks: Sequence[Callable[[Tensor], Tensor]], x: Tensor
    ) -> None:
        self.encoders, self.looks = encoders, looks
        with torch.no_grad():
            self.own = [[encoder(look(x)) for look in looks] for encoder in encoders]

    def cosines(self, x: Tensor) -> Tensor:
        """Of each encoder the mean cosine over the looks, `[B,K]` of `[B,3,H,W]`."""
        seen = [look(x) for look in self.looks]
        return torch.stack(
            [
                torch.stack([(encoder(s) * o).sum(1) for s, o in zip(seen, own, strict=True)]).mean(0)
                for encoder, own in zip(self.encoders, self.own, strict=True)
            ],
            1,
        )

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(minus the mean cosine, `[B]`; the direction that lowers the cosines, `[B,3,H,W]`, above all
        those that are still large)."""
        with torch.enable_grad():
            moved = x.detach().requires_grad_(True)
            cosines = self.cosines(moved)
            weights = (cosines.detach() / SHARPNESS).softmax(1)
            (slope,) = torch.autograd.grad((weights * cosines).sum(), moved)
        return -cosines.detach().mean(1), -slope


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="identity-cloak",
            build=IdentityCloak,
            stochastic=True,
            needs={"encoders": Need("identity_encoder", depth=1)},
            cite="Wang et al., NullSwap: Proactive Identity Cloaking Against Deepfake Face Swapping, ICCV "
            "2025 (arXiv 2503.18678); Jeong et al., FaceShield, ICCV 2025",
        )
    ]
