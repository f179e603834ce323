"""What a component must hold to: one rule each, told by name in every finding.

A rule is judged only where those that it builds on hold, so that one fault is one finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from magdr_core.components.trial import Rule, Trial
from magdr_core.errors import MagdrError
from magdr_core.testing.inputs import Inputs
from magdr_core.testing.subject import Subject, not_finite

CROWD = 200
"""Pictures of the crowd: a fault that one picture in a hundred has is found."""

STRIDED = 1e-4
"""By how much a result may depend on how images lie in memory: other kernels add in another order."""

Check = Callable[[Subject], Iterator[str]]


@dataclass(frozen=True, kw_only=True)
class CommonRule(Rule):
    """A rule of every kind that is called in a certain way.

    Attributes:
        concerns: whether it is asked of components that are called so.
    """

    concerns: Callable[[Trial], bool] = lambda trial: True


def rule(name: str, promise: str, after: tuple[str, ...] = ()) -> Callable[[Check], Rule]:
    """Make a rule of a check: one of a kind's own."""
    return lambda check: Rule(name=name, promise=promise, check=check, after=after)


def common(
    name: str,
    promise: str,
    concerns: Callable[[Trial], bool] = lambda trial: True,
    after: tuple[str, ...] = (),
) -> Callable[[Check], CommonRule]:
    """Make a rule of a check: one of all kinds that it concerns."""
    return lambda check: CommonRule(name=name, promise=promise, check=check, after=after, concerns=concerns)


@common(
    "output", "runs on a batch, and the result has the right shape, number type and device", after=("fit",)
)
def output(s: Subject) -> Iterator[str]:
    yield s.misshapen(s.first)


@common("finite", "no NaN, no infinity", after=("output",))
def finite(s: Subject) -> Iterator[str]:
    yield not_finite(s.first.output)


@common("range", "images are in [0, 1]", lambda trial: trial.images, after=("output",))
def in_range(s: Subject) -> Iterator[str]:
    wrong = s.out_of_range(s.first.output)
    yield f"returns {wrong}" if wrong else ""


@common("inputs", "inputs are not edited in place", after=("fit",))
def inputs(s: Subject) -> Iterator[str]:
    yield from s.first.edited


@common("networks", "modes, weights and gradients of networks are as before", after=("fit",))
def networks(s: Subject) -> Iterator[str]:
    yield from s.first.networks


@common("randomness", "the global random generators are neither drawn from nor looked at", after=("output",))
def randomness(s: Subject) -> Iterator[str]:
    if s.first.drew:
        remedy = "draw from `rng`" if s.spec.stochastic else "declare stochastic=True and draw from `rng`"
        yield f"draws from {' and '.join(s.first.drew)} global generator; {remedy}"
        return
    other = s.seen("another world", lambda: s.batch, world=1)
    again = s.seen("again", lambda: s.batch)
    if not other.error and not again.error and difference(again.output, s.first.output) == 0:
        moved = difference(other.output, s.first.output)
        if moved:
            yield f"results move by {moved:.3g} with the seed of the global generators"


@common("repeats", "the same inputs and streams give the same result", after=("output", "randomness"))
def repeats(s: Subject) -> Iterator[str]:
    again = s.seen("again", lambda: s.batch)
    if again.error:
        yield f"{again.failure}, the second time"
    elif moved := difference(again.output, s.first.output):
        yield f"the same call again differs by {moved:.3g}"


@common(
    "batch",
    "a result does not depend on the batch's size or order",
    after=("output", "finite", "randomness", "repeats", "networks"),
)
def batch(s: Subject) -> Iterator[str]:
    n = len(s.batch)
    whole = s.call(s.batch, pieces=True)
    if wrong := s.misshapen(whole):
        yield wrong
        return
    for i in (0, n - 1):
        alone = s.call(s.batch[[i]], pieces=True)
        if wrong := s.misshapen(alone):
            yield f"alone: {wrong}"
            return
        moved = difference(alone.output[0], whole.output[i])
        if moved > s.tolerance:
            yield f"image {i} differs by {moved:.3g} alone and in a batch of {n}"
            return
    back = list(range(n - 1, -1, -1))
    reverse = s.call(s.batch[back], pieces=True)
    if reverse.error:
        yield f"in another order: {reverse.failure}"
    elif (moved := difference(reverse.output[back], whole.output)) > s.tolerance:
        yield f"results differ by {moved:.3g} in another order"
    strided = s.call(s.batch, channels_last=True)
    if strided.error:
        yield f"stored channels last: {strided.failure}"
    elif (moved := difference(strided.output, s.first.output)) > STRIDED:
        yield f"results differ by {moved:.3g} for images stored channels last"


SHAPES = ((1, 24, 32), (2, 17, 23), (1, 32, 16))
"""Number, height and width: one image, odd sides, upright."""

SOUND = ("output", "finite", "range")


@common("sizes", "pictures of other shapes, odd ones too, and single ones", after=SOUND)
def sizes(s: Subject) -> Iterator[str]:
    side = s.generator.size
    shapes = ((1, side, side),) if s.trial.own_conditions else SHAPES
    for count, height, width in shapes:
        seen = s.call(s.inputs(count, height, width))
        if isinstance(seen.error, MagdrError) and not s.trial.any_size:
            continue  # refused in words: generators have one size
        if wrong := s.ill_valued(seen):
            yield wrong if seen.error else f"on {seen.inputs.shape}: {wrong}"
            return


@common(
    "crowd",
    f"holds for {CROWD} pictures (generators and parsers: {CROWD // 10}), flat, saturated and noisy ones too",
    after=SOUND,
)
def crowd(s: Subject) -> Iterator[str]:
    # Networks are slow, and no filters with a case for each picture.
    size = (CROWD // 10,) if s.trial.network else (CROWD, 16, 16)
    many = s.inputs(*size, odd_ones=True)
    parts = [many[range(i, min(i + 50, len(many)))] for i in range(0, len(many), 50)]
    for part in parts:
        seen = s.call(part)
        wrong = s.ill_valued(seen)
        if wrong:
            yield _blamed(s, part, wrong)
            return


def _blamed(s: Subject, part: Inputs, wrong: str) -> str:
    """The picture that is at fault, if a single one is."""
    for i in range(len(part)):
        alone = s.ill_valued(s.call(part[[i]]))
        if alone:
            return f"{part.ids[i]}, one of {CROWD}: {alone}"
    return f"{len(part)} pictures: {wrong}"


def difference(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference of two tensors of any shape; two NaN at one place are equal. Infinite
    if their shapes differ."""
    if a.shape != b.shape:
        return float("inf")
    gap = (a.detach().double() - b.detach().double()).abs()
    gap = torch.where((a == b) | (a.isnan() & b.isnan()), torch.zeros_like(gap), gap)
    return float(gap.nan_to_num(nan=float("inf")).max()) if gap.numel() else 0.0
