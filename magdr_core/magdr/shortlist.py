"""Rec-Net with a learned score: a short list of chains from pre-training, and a ranked pick per image.

Pre-training follows Algorithm 1 (best parameters per category, then the order of the layers), with the true
error of Eq. 8 in place of the score, since on calibration faces it is known. From everything that it tried it
then keeps the few chains that between them serve the training images best. At run time all of those are
scored in one pass, and a composite of the regions' own picks competes with the best of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magdr_core.functional import to_8bit
from magdr_core.magdr.ranker import ERROR_FLOOR, Array, Ranker, fit_ranker, log_error
from magdr_core.protocols import Family, Setting

Features = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(images `[M,3,H,W]`, rows `[M]`, prior `[M]`) -> features `[M,F]` and per region `[M,R,F]`."""

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

    def apply(self, x: Tensor) -> Tensor:
        for _, setting in self.steps:
            x = setting.apply(x)
        return to_8bit(x)

    def state(self) -> list[Any]:
        return [[label, dict(s.params)] for label, s in self.steps]


@dataclass(frozen=True, eq=False)
class Pick:
    """What was picked for a batch.

    Attributes:
        images: `[B,3,H,W]`, 8-bit.
        names: per image, of the chain; "" where the image was kept, "composite" where regions differ.
        scores: `[B,n]`, of all candidates.
    """

    images: Tensor
    names: list[str]
    scores: Tensor


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


class Shortlist:
    """Chains with their learned ranking.

    Args:
        layers: families of settings, layer after layer.
        size: how many chains are kept besides the image itself.
        top: categories of each layer that chains are built from.
    """

    def __init__(self, layers: Sequence[Sequence[Family]], *, size: int = 8, top: int = TOP) -> None:
        self.layers = tuple(tuple(layer) for layer in layers)
        self.size = size
        self.top = top
        self.chains: tuple[Chain, ...] = ()
        self.prior: Tensor = torch.zeros(0)
        self.ranker: Ranker | None = None

    # -- run time ---------------------------------------------------------------------------------------

    def pick(self, x: Tensor, masks: Tensor, features: Features, *, regional: bool = False) -> Pick:
        """The best candidate of each image.

        Args:
            x: `[B,3,H,W]`.
            masks: `[B,R,H,W]` that sum to 1, for the composite.
            features: see the module's text.
            regional: let a composite of the regions' own picks compete.
        """
        assert self.ranker is not None, "load() first"
        B, n = len(x), len(self.chains)
        candidates = torch.stack([chain.apply(x) for chain in self.chains], 1)  # [B,n,3,H,W]
        rows = torch.arange(B, device=x.device).repeat_interleave(n)
        prior = self.prior.to(x).repeat(B)
        own, by_region = features(candidates.flatten(0, 1), rows, prior)
        own, by_region = own.unflatten(0, (B, n)), by_region.unflatten(0, (B, n))
        scores = self.ranker(own)
        best = scores.argmin(1)
        everyone = torch.arange(B, device=x.device)
        images = candidates[everyone, best]
        names = [str(self.chains[i]) for i in best.tolist()]
        if regional:
            region_scores = self.ranker(by_region.transpose(1, 2).flatten(0, 1)).unflatten(0, (B, -1))
            choice = region_scores.argmin(2)  # [B,R]
            chosen = candidates[everyone[:, None], choice]
            blend = to_8bit((chosen * masks[:, :, None]).sum(1).clamp(0, 1))
            # The composite is judged among the same candidates, in the place of the best one.
            replaced = own.clone()
            replaced[everyone, best] = features(blend, everyone, self.prior.to(x)[best])[0]
            wins = (self.ranker(replaced)[everyone, best] < scores[everyone, best]) & (
                choice != best[:, None]
            ).any(1)
            images = torch.where(wins[:, None, None, None], blend, images)
            names = ["composite" if w else name for w, name in zip(wins.tolist(), names, strict=True)]
        return Pick(images, names, scores)

    # -- calibration ------------------------------------------------------------------------------------

    def explore(
        self,
        x: Tensor,
        attacked: Tensor,
        errors: Errors,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Explored:
        """Lines 1 to 5 of Algorithm 1 by true errors: every setting, the best of each category, the order.

        Args:
            x: `[M,3,H,W]`, calibration images: attacked ones and clean ones.
            attacked: bool `[M]`; means are taken over these only.
            errors: true errors of a candidate of each image.
        """
        found = Explored({}, {}, attacked.cpu().numpy())
        total = 1 + sum(len(f.settings) for layer in self.layers for f in layer)

        def tried(chain: Chain) -> float:
            name = str(chain)
            if name not in found.logs:
                found.chains[name] = chain
                found.logs[name] = log_error(errors(chain.apply(x)).double().cpu().numpy())
                progress(min(len(found.logs), total), total)
            return found.mean(name)

        tried(Chain())
        best: list[list[Chain]] = []
        for layer in self.layers:
            categories = []
            for family in layer:
                settings = [Chain(((family.label, s),)) for s in family.settings]
                categories.append(min(settings, key=tried))
            best.append(sorted(categories, key=tried)[: self.top])
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

    def fit(
        self,
        x: Tensor,
        faces: Sequence[str],
        attacked: Tensor,
        errors: Errors,
        features: Features,
        form: str = "auto",
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Mapping[str, Any]:
        """Choose the chains and learn to rank them.

        Args:
            x, attacked, errors: as in `explore`.
            faces: of each image; held-out comparisons hold out faces.
            features: as in `pick`.
            form: of the ranker.

        Returns:
            A JSON-able state for `load`.
        """
        found = self.explore(x, attacked, errors, progress)
        names = list(found.logs)
        kept = [names[i] for i in _cover(np.stack([found.logs[n] for n in names]), self.size)]
        self.chains = tuple(found.chains[n] for n in kept)
        self.prior = torch.tensor([found.mean(n) for n in kept])
        logs = np.stack([found.logs[n] for n in kept], 1)  # [M,n]
        measured = self._measured(x, features)
        ranker = fit_ranker(measured, np.exp(logs) - ERROR_FLOOR, np.asarray(faces), form)
        return {
            "chains": [c.state() for c in self.chains],
            "prior": self.prior.tolist(),
            "ranker": ranker,
            "order": list(found.order),
            "tried": len(found.logs),
        }

    def _measured(self, x: Tensor, features: Features) -> Array:
        rows = torch.arange(len(x), device=x.device)
        parts = [
            features(chain.apply(x), rows, prior.to(x).expand(len(x)))[0]
            for chain, prior in zip(self.chains, self.prior, strict=True)
        ]
        return torch.stack(parts, 1).double().cpu().numpy()

    def load(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError if the state is of another grid."""
        self.chains = tuple(self.chain(steps) for steps in state["chains"])
        self.prior = torch.tensor(state["prior"])
        self.ranker = Ranker(state["ranker"])

    def chain(self, steps: Sequence[Any]) -> Chain:
        """The chain of a state's `[label, parameters]` pairs; ValueError if the grid has no such setting."""
        families = {f.label: f for layer in self.layers for f in layer}
        settings = []
        for label, params in steps:
            members = families[label].settings if label in families else ()
            match = [s for s in members if dict(s.params) == params]
            if not match:
                raise ValueError(f"the calibration is of another grid: {label} has no setting {params}")
            settings.append((label, match[0]))
        return Chain(tuple(settings))


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
