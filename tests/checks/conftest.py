"""Victims small enough for tests: a toy generator that an attack disrupts easily, on random images."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from magdr_core.bench.checks.victim import Victim
from magdr_core.components.batch import Condition, Samples
from magdr_core.components.protocols import CalibratedDetector
from magdr_core.guards import GuardedDefense, GuardedDetector
from magdr_core.toolkit import Toolkit

FACES = 6
EPS = 12 / 255

TABLES = """
[attack.pgd]
params = { eps = "12/255", steps = 8 }
"""


@pytest.fixture
def soft(toy: Callable[..., Toolkit]) -> Callable[..., Toolkit]:
    """`soft(more)`: a toolkit whose generator an attack disrupts in a few steps."""

    def make(more: str = "") -> Toolkit:
        return toy(f"params = {{ gain = 4.0 }}\n{TABLES}{more}")

    return make


@pytest.fixture
def clean() -> Samples:
    levels = torch.randint(0, 256, (FACES, 3, 12, 12), generator=torch.Generator().manual_seed(0))
    values = torch.zeros(FACES, 2)
    changed = torch.tensor([[True, False]]).expand(FACES, -1)
    return Samples(levels.float() / 255, Condition(values, changed), tuple(f"f{i}" for i in range(FACES)))


@pytest.fixture
def victim(soft, clean) -> Callable[..., Victim]:
    """`victim(defense=f, detector=g, gradient="exact")` with plain functions; the generator alone without."""

    def make(defense=None, detector=None, *, gradient="exact", stochastic=False, threshold=0.0) -> Victim:
        guarded = defense and GuardedDefense(defense, "defense under test", stochastic=stochastic)
        found = None
        if detector is not None:
            watched = GuardedDetector(detector, "detector under test", stochastic=stochastic)
            found = CalibratedDetector(watched, {"fpr": threshold})
        G = soft().generator("toy")
        return Victim(clean, G, "untargeted", defense=guarded, detector=found, gradient=gradient)

    return make
