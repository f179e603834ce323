"""Disruption that survives what happens to a picture on its way: resizing, JPEG, blur.

Expectation over transformations (Athalye et al., ICML 2018) with the channels of DF-RAP (Qu et al., IEEE TIFS
2024) in place of the camera; one draw a step is what Ruiz et al. (arXiv 2003.01279) call spread spectrum.
JPEG is the real one, whose quantiser has the gradient of a soft staircase. A network that imitates a channel,
as DF-RAP trains one, is not needed for that. Channels of the registry, whatever they are, can be among them:
with the gradient of their `soft` form or, where they have none, of the picture itself (BPDA, Athalye,
Carlini & Wagner, ICML 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator
from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Need, Objective, SampleRng, hookimpl
from magdr_core.functional import project_linf

from ._channels import channel, checked, numbers
from ._sign_steps import DEFAULT_STEP, Mean, sign_steps

MAGDR_API = 1


class ChannelEOT:
    """The largest disruption seen through channels.

    Every image sees the same channels in the same order, so that its result does not depend on its batch.

    Args:
        channels: `none`, `jpeg` (another quality of social networks at each step), `jpeg:75`, `resize:0.5`
            (to that share of the side, and back), `blur:1` (sigma in pixels).
        registered: labels of channels of the registry, which come after these in turn; none if left out.
        draws: channels that a step looks through, in turn; 0 for all of them, whose mean loss also says which
            iterate is kept. With fewer losses cannot be compared, and the last iterate is kept.
        eps: L-infinity bound in [0,1] units.
        steps: gradient steps, of a pass for each channel that they look through.
        step: step size in [0,1] units; 0 means eps / 5.
    """

    def __init__(
        self,
        *,
        channels: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(checked)] = (
            "none",
            "jpeg",
            "resize:0.5",
            "blur:0.7",
        ),
        registered: Sequence[Any] | None = None,
        draws: Annotated[int, Field(ge=0, le=1000)] = 0,
        eps: Eps = 6 / 255,
        steps: Annotated[int, Field(ge=1, le=100_000)] = 30,
        step: Eps = 0.0,
    ) -> None:
        self.channels = [channel(name) for name in channels]
        self.registered = list(registered or ())
        self.draws = draws
        self.eps, self.steps, self.step = eps, steps, step
        self.step_size = step or DEFAULT_STEP * eps

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean images -> `[B,3,H,W]` attacked ones, within eps and [0,1]."""
        start = x + self.eps * rng.uniform(*x.shape[1:], low=-1.0, high=1.0)
        seen = Mean(self._looks(objective, rng))
        if not self.draws:
            return sign_steps(start, x, seen, self.eps, self.steps, self.step)
        current = project_linf(start, x, self.eps)
        for _ in range(self.steps):
            _, slope = seen.gradient(current)
            current = project_linf(current + self.step_size * slope.sign(), x, self.eps)
        return current

    def _looks(self, objective: Objective, rng: SampleRng) -> Callable[[], list[Objective]]:
        """Gives the objective through the channels of one step after the other."""
        count, looks = len(self.channels) + len(self.registered), 0

        def drawn() -> list[Objective]:
            nonlocal looks
            taken = self.draws or count
            numbers_of_step, first, streams = numbers(looks, taken), looks * taken, rng.fork(looks)
            looks += 1
            ways = []
            for i, number in enumerate(numbers_of_step):
                place = (first + i) % count
                if place < len(self.channels):
                    ways.append(self.channels[place].at(number))
                else:
                    ways.append(_Received(self.registered[place - len(self.channels)], streams.fork(i)))
            return [objective.preprocessed(way) for way in ways]

        return drawn


class _Received:
    """What is received of pictures through a channel of the registry, with a gradient."""

    def __init__(self, channel: Any, rng: SampleRng) -> None:
        self.channel, self.rng = channel, rng

    def __call__(self, x: Tensor) -> Tensor:
        # One map, one draw, however often it is called.
        received: Tensor = self.channel.through(x, rng=self.rng)
        return received


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="channel-eot",
            version=2,
            build=ChannelEOT,
            stochastic=True,
            needs={"registered": Need("channel", depth=1, optional=True)},
            cite="Athalye et al., Synthesizing Robust Adversarial Examples, ICML 2018; Qu et al., DF-RAP: A "
            "Robust Adversarial Perturbation for Defending against Deepfakes in Real-world Social Network "
            "Scenarios, IEEE TIFS 2024",
        )
    ]
