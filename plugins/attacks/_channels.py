"""What happens to a picture on its way through the net, with gradients, for attacks that survive it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from magdr_core import functional
from magdr_core.api import SampleRng

QUALITIES = {
    71: 0.0132,
    72: 0.0268,
    75: 0.0127,
    78: 0.0573,
    79: 0.0156,
    80: 0.2213,
    84: 0.0107,
    85: 0.2193,
    86: 0.0110,
    88: 0.0107,
    89: 0.0120,
    90: 0.0120,
    91: 0.0171,
    92: 0.2272,
    100: 0.1331,
}
"""JPEG qualities and how often they are met on social networks: Qu et al., DF-RAP, IEEE TIFS 2024."""

FORMS = "none, jpeg, jpeg:QUALITY, resize:SHARE or blur:SIGMA"


@dataclass(frozen=True)
class Channel:
    """One way through.

    Attributes:
        name: as a registry has it.
        at: `(draw) -> f`: the image map `[B,3,H,W] -> same` of a number in [0,1).
    """

    name: str
    at: Callable[[float], Callable[[Tensor], Tensor]]


def channel(name: str) -> Channel:
    """The channel of a name.

    Raises:
        ValueError: there is none of that name.
    """
    kind, _, value = name.partition(":")
    if name == "none":
        return Channel(name, lambda draw: lambda x: x)
    if name == "jpeg":
        return Channel(name, lambda draw: _through_jpeg(_drawn(draw)))
    try:
        number = float(value)
        if kind == "jpeg" and number == int(number) and 1 <= number <= 100:
            return Channel(name, lambda draw: _through_jpeg(int(number)))
        if kind == "resize" and 0 < number < 1:
            return Channel(name, lambda draw: lambda x: functional.down_up(x, number))
        if kind == "blur" and 0 < number <= 16:
            return Channel(name, lambda draw: lambda x: functional.gaussian_blur(x, number))
    except ValueError:
        pass
    raise ValueError(f"no channel {name!r}: expected {FORMS}")


def checked(names: tuple[str, ...]) -> tuple[str, ...]:
    """Raises ValueError if one of the names is of no channel."""
    for name in names:
        channel(name)
    return names


def numbers(step: int, count: int) -> list[float]:
    """`count` random numbers in [0,1) of a step, the same for every image of every batch."""
    drawn = SampleRng(0, "channels", ["all"]).fork(step).uniform(count)
    return [float(one) for one in drawn[0]]


def _through_jpeg(quality: int) -> Callable[[Tensor], Tensor]:
    return lambda x: functional.jpeg(x, quality)


def _drawn(draw: float) -> int:
    """The quality at which a number in [0,1) arrives among the shares of all."""
    left = draw * sum(QUALITIES.values())
    for quality, share in QUALITIES.items():
        left -= share
        if left < 0:
            return quality
    return max(QUALITIES)
