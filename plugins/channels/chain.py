"""Several channels, one after the other: what a platform does to a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from magdr_core.api import ChannelSpec, Need, SampleRng, hookimpl
from magdr_core.functional import straight_through

MAGDR_API = 1


class Chain:
    """One channel after the other, by their labels.

    Args:
        channels: labels of the channels, in the order that pictures go through them.
    """

    def __init__(self, *, channels: Sequence[Any]) -> None:
        self.channels = list(channels)
        self.random = any(channel.random for channel in self.channels)

    def __call__(self, x: Tensor, *, rng: SampleRng) -> Tensor:
        """Pictures `[B,3,H,W]` in [0,1] -> same; each link has draws of its own."""
        for link, channel in enumerate(self.channels):
            x = channel(x, rng=rng.fork(link))
        return x

    def soft(self, x: Tensor, *, rng: SampleRng) -> Tensor:
        """The links' own stand-ins one after the other, each on what is received from the link before:
        `[B,3,H,W]` in [0,1] -> same."""
        for link, channel in enumerate(self.channels):
            x = straight_through(channel(x, rng=rng.fork(link)), channel.soft(x, rng=rng.fork(link)))
        return x


@hookimpl
def magdr_channels() -> list[ChannelSpec]:
    needs = {"channels": Need("channel", depth=1)}
    return [ChannelSpec(name="chain", build=Chain, tags=("platform",), stochastic=True, needs=needs)]
