"""Chains of restorations, and pre-training: which of them are worth having (Algorithm 1, lines 1 to 5).

The score is the true error of Eq. 8, since on calibration faces it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from math import factorial, prod
from typing import Any

import numpy as np
from torch import Tensor

from magdr_core.components.protocols import Family, Setting
from magdr_core.functional import to_8bit
from magdr_core.magdr.ranker import Array, log_error

Layers = Sequence[Sequence[Family]]

Errors = Callable[[Tensor], Tensor]
"""Candidates of all training images `[M,3,H,W]` -> their true errors `[M]`."""

TOP = 4
"""Categories of each layer, by mean error, that chains are built from."""


@dataclass(frozen=True)
class Chain:
    """Restorations applied one after the other; none of them is the image itself."""

    steps: tuple[tuple[str, Setting], ...] = ()

    def __str__(self) -> str:
        return " > ".join(f"{label}({s.label()})" if s.params else label for label, s in self.steps)

    def __call__(self, x: Tensor) -> Tensor:
        """As `apply`: `[B,3,H,W]` in [0,1] -> same, 8-bit."""
        return self.apply(x)

    def apply(self, x: Tensor) -> Tensor:
        """8-bit images `[B,3,H,W]` of such."""
        for _, setting in self.steps:
            x = setting.apply(x)
        return to_8bit(x)

    def state(self) -> list[Any]:
        return [[label, dict(s.params)] for label, s in self.steps]


def chain_count(sizes: Sequence[int], top: int = TOP) -> int:
    """How many chains :func:`explore` tries of layers with so many categories: in every order of them."""
    return factorial(len(sizes)) * prod(min(size, top) for size in sizes) if len(sizes) > 1 else 0


def chain_of(layers: Layers, steps: Sequence[Any]) -> Chain:
    """The chain of a state's `[label, parameters]` pairs; ValueError if the grid has no such setting."""
    families = {f.label: f for layer in layers for f in layer}
    settings = []
    for label, params in steps:
        members = families[label].settings if label in families else ()
        match = [s for s in members if dict(s.params) == params]
        if not match:
            raise ValueError(f"the calibration is of another grid: {label} has no setting {params}")
        settings.append((label, match[0]))
    return Chain(tuple(settings))


@dataclass(eq=False)
class Explored:
    """What pre-training tried.

    Attributes:
        chains: by name.
        logs: log errors `[M]` of those that may be used, by name; the image itself comes first.
        attacked: bool `[M]`.
        order: of the layers.
    """

    chains: dict[str, Chain]
    logs: dict[str, Array]
    attacked: Array
    order: tuple[int, ...] = (0,)

    def mean(self, name: str) -> float:
        """Mean log error over the attacked images."""
        return float(self.logs[name][self.attacked].mean())

    def best(self, count: int) -> list[str]:
        """The image itself and the `count` chains that between them serve the images best."""
        names = list(self.logs)
        return [names[i] for i in _cover(np.stack([self.logs[n] for n in names]), count)]


def explore(
    layers: Layers,
    x: Tensor,
    attacked: Tensor,
    errors: Errors,
    progress: Callable[[int, int], None] = lambda done, total: None,
    top: int = TOP,
) -> Explored:
    """Every setting, the best one of each category, then the order of the layers.

    Args:
        layers: families of settings, layer after layer.
        x: `[M,3,H,W]`, calibration images: attacked ones and clean ones.
        attacked: bool `[M]`; means are taken over these only.
        errors: true errors of a candidate of each image.
        top: categories of each layer that chains are built from.
    """
    found = Explored({}, {}, attacked.cpu().numpy())
    total = 1 + sum(len(f.settings) for layer in layers for f in layer)

    def tried(chain: Chain) -> float:
        name = str(chain)
        if name not in found.logs:
            found.chains[name] = chain
            found.logs[name] = log_error(errors(chain.apply(x)).double().cpu().numpy())
            progress(min(len(found.logs), total), total)
        return found.mean(name)

    tried(Chain())
    best: list[list[Chain]] = []
    for layer in layers:
        categories = []
        for family in layer:
            settings = [Chain(((family.label, s),)) for s in family.settings]
            categories.append(min(settings, key=tried))
        best.append(sorted(categories, key=tried)[:top])
    orders = list(permutations(range(len(best)))) if len(best) > 1 else []
    whole = {o: [_joined(parts) for parts in product(*(best[i] for i in o))] for o in orders}
    total += sum(map(len, whole.values()))
    reached = {}
    for order, chains in whole.items():
        for chain in chains:
            tried(chain)
        reached[order] = float(np.min([found.logs[str(c)][found.attacked] for c in chains], 0).mean())
    if reached:
        found.order = min(reached, key=reached.__getitem__)
        right = {str(c) for c in whole[found.order]}
        for chains in whole.values():
            for name in {str(c) for c in chains} - right:
                found.logs.pop(name, None)
    return found


def _joined(parts: Sequence[Chain]) -> Chain:
    return Chain(tuple(step for part in parts for step in part.steps))


def _cover(logs: Array, size: int) -> list[int]:
    """Greedily the rows that lower the mean of the per-column minimum most; row 0 (the image) always."""
    chosen = [0]
    reached = logs[0]
    while len(chosen) < min(size + 1, len(logs)):
        gains = np.minimum(logs, reached).mean(1)
        gains[chosen] = np.inf
        chosen.append(int(gains.argmin()))
        reached = np.minimum(reached, logs[chosen[-1]])
    return chosen
