"""Differentiable views of a target: ways to its gain and to its detector's score.

A probe tries which gradients there are. It runs on its own faces, so that what is found out does not depend
on the images that are attacked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from magdr_core.adaptive.gradient_unmasking import Lifted
from magdr_core.adaptive.victim import Target
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError
from magdr_core.functional import straight_through

Value = Callable[[Tensor, SampleRng], Tensor]

SAME_DIRECTION = 0.99
"""Cosine from which on two ways' gradients are the same: one mode is enough for both."""

ENOUGH = 0.5
"""Share of the probe's faces with a usable gradient that makes a way worth walking."""

LEVELS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "autograd": nullcontext,
    "lifted": Lifted,
    "uncut": lambda: Lifted(uncut=True),
}
"""What is undone of a component's own dealings with gradients, from nothing to all."""


@dataclass(frozen=True, eq=False)
class Way:
    """A differentiable `[B]` of images `[B,3,H,W]` as they are received, behind a channel if there is one.

    Attributes:
        true: its values are the real pipeline's, so that looking is judging.
        rough: whether half precision does while it is followed; differences of near values need more.
        refresh: told the current images, 8-bit and as received, every few steps, where what is assumed about
            them gets old.
    """

    name: str
    value: Value
    true: bool
    refresh: Callable[[Tensor], None] | None = None
    rough: bool = True


@dataclass(frozen=True)
class Probed:
    """What the probe saw of a way.

    Attributes:
        zero, bad: shares of its faces whose gradient is zero, or not finite.
        error: why there is no gradient at all.
    """

    zero: float
    bad: float
    error: str = ""

    @property
    def usable(self) -> bool:
        return not self.error and self.zero + self.bad <= 1 - ENOUGH


def gradient_of(value: Tensor, x: Tensor) -> Tensor:
    """Of the sum of `[B]` values; zeros where they do not depend on x."""
    if not value.requires_grad:
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(value.sum(), x, allow_unused=True)
    return torch.zeros_like(x) if gradient is None else gradient


def through(target: Target, level: str) -> Way:
    """The gain through the defense's own gradients."""

    def value(x: Tensor, draw: SampleRng) -> Tensor:
        with LEVELS[level]():
            return target.gain(target.output(target.restored(x, draw), x, draw))

    return Way(level, value, True)


def scored(target: Target, level: str) -> Way:
    """The score through the detector's own gradients."""

    def value(x: Tensor, draw: SampleRng) -> Tensor:
        with LEVELS[level]():
            return target.score(x, draw)

    return Way(level, value, True)


def straight(target: Target) -> Way:
    """BPDA: the defense's values, the identity's gradient; an output of its own has that of G."""

    def value(x: Tensor, draw: SampleRng) -> Tensor:
        return around(target, x, x, draw)

    return Way("bpda", value, True)


def around(target: Target, x: Tensor, soft: Tensor, draw: SampleRng) -> Tensor:
    """The gain with the defense's values and the gradient of `soft`, `[B,3,H,W]`, in its place."""
    with torch.no_grad():
        hard = target.restored(x, draw)
    component = getattr(target.defense, "component", None)
    given = straight_through(hard, soft)
    if hasattr(component, "output_on") or not hasattr(component, "output"):
        return target.gain(target.output(given, x, draw))  # its values are the pipeline's own
    through_soft = target.G(given, target.c)
    with torch.no_grad():
        y = target.output(hard, x, draw)
    return target.gain(straight_through(y, through_soft))


def probed(ways: Sequence[Way], target: Target) -> tuple[list[Way], dict[str, Probed]]:
    """The ways that have a gradient of their own, and what was seen of each.

    Args:
        target: of the probe's faces; looked at are its oblivious images and noise around the clean ones.
    """
    kept: list[Way] = []
    seen: dict[str, Probed] = {}
    directions: list[Tensor] = []
    for way in ways:
        found, seen[way.name] = _probe(way, target)
        if seen[way.name].usable and not any(_same(found, other) for other in directions):
            kept.append(way)
            directions.append(found)
    return kept, seen


def _probe(way: Way, target: Target) -> tuple[Tensor, Probed]:
    noise = target.rng.fork(0).uniform(*target.x.shape[1:], low=-target.eps, high=target.eps)
    gradients = []
    for images in (target.oblivious, target.x + noise):
        x = target.inside(images).detach().requires_grad_(True)
        try:
            with torch.enable_grad():
                draw = next(target.forks(0))
                gradients.append(gradient_of(way.value(target.sent(x, draw), draw), x).flatten(1))
        except (MagdrError, RuntimeError, TypeError, ValueError) as e:
            return torch.zeros(0), Probed(0.0, 1.0, str(e).splitlines()[0] if str(e) else type(e).__name__)
    found = torch.cat(gradients)
    bad = ~found.isfinite().all(1)
    zero = ~bad & (found == 0).all(1)
    return found, Probed(float(zero.float().mean()), float(bad.float().mean()))


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two sets of gradients point the same way on (nearly) every face."""
    a, b = (torch.nan_to_num(t, 0.0, 0.0, 0.0).double() for t in (a, b))
    norms = a.norm(dim=1) * b.norm(dim=1)
    cosine = torch.where(norms > 0, (a * b).sum(1) / norms.clamp_min(1e-300), (a == b).all(1).double())
    return bool((cosine >= SAME_DIRECTION).all())
