"""Pipelines small enough to know the right answer of: two-line generators, detectors and defenses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from magdr_core.adaptive import Target
from magdr_core.components.batch import Condition, Samples
from magdr_core.components.objective import DisruptionObjective
from magdr_core.components.rng import SampleRng
from magdr_core.functional import round_toward
from magdr_core.guards import GuardedDefense, GuardedDetector, GuardedGenerator

EPS = 6 / 255
SIZE = 8


class Net:
    """A generator made of a function of images."""

    size = SIZE
    condition_names = ()

    def __init__(self, f: Callable) -> None:
        self.f = f

    def __call__(self, x, c):
        return self.f(x)


def copies(x):
    """The generator that copies: the largest disruption is 4 eps^2, at the corners of the ball."""
    return x * 1.0


def averages(x):
    """All that counts is the image's mean."""
    return x.flatten(1).mean(1)[:, None, None, None].expand_as(x)


def grey(n: int) -> torch.Tensor:
    """8-bit images far from black and white, all with the mean 128/255."""
    noise = SampleRng(0, "grey", [str(i) for i in range(n)]).integers(3, SIZE, SIZE // 2, high=40)
    return torch.cat([128 + noise, 128 - noise], 3) / 255


def target(
    f: Callable = copies, n: int = 3, *, detector=None, threshold=0.0, defense=None, eps=EPS, **options
) -> Target:
    """A target of `n` grey images, whose oblivious attack brightens every pixel as far as it may."""
    ids = tuple(f"{options.pop('name', 'face')}-{i}" for i in range(n))
    x = options.pop("x", grey(n))
    nothing = torch.zeros(n, 0)
    clean = Samples(x, Condition(nothing, nothing.bool()), ids)
    G = GuardedGenerator(Net(f), "generator toy")
    stochastic = options.pop("stochastic", False)
    if detector is not None:
        detector = GuardedDetector(detector, "detector toy", stochastic=stochastic)
    if defense is not None:
        defense = GuardedDefense(defense, "defense toy", stochastic=stochastic)
    return Target(
        G,
        clean,
        DisruptionObjective(G, x, clean.conditions),
        options.pop("oblivious", round_toward(x + eps, x)),
        eps,
        detector=detector,
        threshold=threshold,
        defense=defense,
        rng=options.pop("rng_of", None) or SampleRng(0, "attacker", ids),
        **options,
    )


@pytest.fixture
def pipeline() -> Callable[..., Target]:
    return target
