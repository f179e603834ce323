"""Rec-Net with a learned score: a short list of chains from pre-training, and a ranked pick per image.

At run time all chains of the list are screened cheaply, the most promising ones are judged in full, and the
best one is taken; a composite of the regions' own picks may compete with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from magdr_core.functional import to_8bit
from magdr_core.magdr.chains import Chain, Errors, Layers, chain_of, explore
from magdr_core.magdr.evidence import Outputs, rows_of
from magdr_core.magdr.ranker import ERROR_FLOOR, Array, Ranker, fit_ranker
from magdr_core.short_repr import one_line_repr

FINALISTS = 4
"""Chains that are judged in full, by default."""


@dataclass(frozen=True, eq=False)
class JudgedCandidates:
    """What is known about M candidates.

    Attributes:
        screen: `[M,F]`, features that are cheap.
        own: `[M,F]`, all features; equal to `screen` while screening.
        by_region: `[M,R,F]`, the same region by region.
        outputs: of the generator on the candidates.
    """

    screen: Tensor
    own: Tensor
    by_region: Tensor
    outputs: Outputs

    __repr__ = one_line_repr

    @staticmethod
    def cat(parts: Sequence[JudgedCandidates]) -> JudgedCandidates:
        return JudgedCandidates(
            screen=torch.cat([p.screen for p in parts]),
            own=torch.cat([p.own for p in parts]),
            by_region=torch.cat([p.by_region for p in parts]),
            outputs={name: torch.cat([p.outputs[name] for p in parts]) for name in parts[0].outputs},
        )


class Judge(Protocol):
    """Measures candidates."""

    def __call__(
        self,
        images: Tensor,
        rows: Tensor,
        prior: Tensor,
        known: Outputs | None = None,
        screening: bool = False,
    ) -> JudgedCandidates:
        """Judge candidates `[M,3,H,W]`.

        Args:
            rows: `[M]`, which image each one is a candidate of.
            prior: `[M]`, mean log error of its chain.
            known: the generator's outputs on them as far as they are there.
            screening: measure the cheap features only.
        """


@dataclass(frozen=True, eq=False)
class Pick:
    """What was picked for a batch.

    Attributes:
        images: `[B,3,H,W]`, 8-bit.
        names: per image, of the chain; "" where the image was kept, "composite" where regions differ.
        scores: `[B,n]`, of all candidates, the image itself first; infinite for those that were screened out.
        outputs: of the generator on `images`.
    """

    images: Tensor
    names: list[str]
    scores: Tensor
    outputs: Outputs

    __repr__ = one_line_repr


class Shortlist:
    """Chains with their learned ranking.

    Args:
        layers: families of settings, layer after layer.
        size: how many chains are kept besides the image itself.
        finalists: how many of them are judged in full.
    """

    def __init__(self, layers: Layers, *, size: int = 8, finalists: int = FINALISTS) -> None:
        self.layers = tuple(tuple(layer) for layer in layers)
        self.size = size
        self.finalists = finalists
        self.chains: tuple[Chain, ...] = ()
        self.prior: Tensor = torch.zeros(0)
        self.ranker: Ranker | None = None
        self.screener: Ranker | None = None

    # -- run time ---------------------------------------------------------------------------------------

    def pick(
        self, x: Tensor, masks: Tensor, judge: Judge, known: Outputs | None = None, *, regional: bool = False
    ) -> Pick:
        """The best candidate of each image.

        Args:
            x: `[B,3,H,W]`.
            masks: `[B,R,H,W]` that sum to 1, for the composite.
            known: the generator's outputs on `x` as far as they are there.
            regional: let a composite of the regions' own picks compete.
        """
        assert self.ranker is not None, "load() first"
        B, n = len(x), len(self.chains) - 1
        everyone = torch.arange(B, device=x.device)
        prior = self.prior.to(x, non_blocking=True)
        itself = judge(x, everyone, prior[:1].expand(B), known)
        images = torch.stack([chain.apply(x) for chain in self.chains[1:]], 1)  # [B,n,3,H,W]
        which = torch.arange(1, n + 1, device=x.device).expand(B, n)
        outputs: Outputs | None = None
        if self.screener is not None:
            rows = everyone.repeat_interleave(n)
            seen = judge(images.flatten(0, 1), rows, prior[which.flatten()], screening=True)
            promise = self.screener(_beside(itself.screen, seen.screen, B))[:, 1:]
            kept = self._finalists(promise)
            flat = (everyone[:, None] * n + kept).flatten()
            images, which, outputs = images[everyone[:, None], kept], kept + 1, rows_of(seen.outputs, flat)
        m = which.shape[1]
        rows = everyone.repeat_interleave(m)
        judged = judge(images.flatten(0, 1), rows, prior[which.flatten()], outputs)
        own = _beside(itself.own, judged.own, B)
        images = torch.cat([x[:, None], images], 1)
        which = torch.cat([torch.zeros_like(which[:, :1]), which], 1)
        scores = self.ranker(own)  # [B,1+m]
        best = scores.argmin(1)
        shared = {k: _beside(itself.outputs[k], y, B)[everyone, best] for k, y in judged.outputs.items()}
        chosen, chains = images[everyone, best], which[everyone, best]
        names = [str(self.chains[i]) for i in chains.tolist()]
        if regional:
            by_region = _beside(itself.by_region, judged.by_region, B)  # [B,1+m,R,F]
            region_scores = self.ranker(by_region.transpose(1, 2).flatten(0, 1)).unflatten(0, (B, -1))
            choice = region_scores.argmin(2)  # [B,R]
            blend = to_8bit((images[everyone[:, None], choice] * masks[:, :, None]).sum(1).clamp(0, 1))
            # The composite is judged among the same candidates, in the place of the best one.
            blended = judge(blend, everyone, prior[chains])
            replaced = own.clone()
            replaced[everyone, best] = blended.own
            wins = self.ranker(replaced)[everyone, best] < scores[everyone, best]
            wins &= (choice != best[:, None]).any(1)
            plane = wins[:, None, None, None]
            chosen = torch.where(plane, blend, chosen)
            shared = {k: torch.where(plane, blended.outputs[k], y) for k, y in shared.items()}
            names = ["composite" if w else name for w, name in zip(wins.tolist(), names, strict=True)]
        told = scores.new_full((B, n + 1), torch.inf).scatter(1, which, scores)
        return Pick(chosen, names, told, shared)

    # -- calibration ------------------------------------------------------------------------------------

    def fit(
        self,
        x: Tensor,
        faces: Sequence[str],
        attacked: Tensor,
        errors: Errors,
        judge: Judge,
        form: str = "auto",
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Mapping[str, Any]:
        """Choose the chains and learn to rank them.

        Args:
            x: `[M,3,H,W]`, calibration images: attacked ones and clean ones.
            faces: of each image; held-out comparisons hold out faces.
            attacked: bool `[M]`.
            errors: true errors of a candidate of each image.
            form: of the rankers.

        Returns:
            A JSON-able state for `with_state`.
        """
        found = explore(self.layers, x, attacked, errors, progress)
        kept = found.best(self.size)
        prior = [found.mean(name) for name in kept]
        rows = torch.arange(len(x), device=x.device)
        screen, own = [], []
        for number, (name, value) in enumerate(zip(kept, prior, strict=True)):
            progress(number, len(kept))
            judged = judge(found.chains[name].apply(x), rows, x.new_full((len(x),), value))
            screen.append(judged.screen)
            own.append(judged.own)
        true = np.exp(np.stack([found.logs[name] for name in kept], 1)) - ERROR_FLOOR  # [M,n]
        state: dict[str, Any] = {
            "chains": [found.chains[name].state() for name in kept],
            "prior": prior,
            "order": list(found.order),
            "tried": len(found.logs),
        }
        features = _array(own)
        if self.finalists < len(kept) - 1:
            cheap = _array(screen)
            state["screener"] = fit_ranker(cheap, true, np.asarray(faces), form)
            promise = Ranker(state["screener"])(torch.from_numpy(cheap))[:, 1:]
            final = self._finalists(promise).numpy() + 1
            final = np.concatenate([np.zeros((len(x), 1), dtype=final.dtype), final], 1)
            # The ranker learns on what it will see: the image itself and the finalists.
            features = np.take_along_axis(features, final[:, :, None], 1)
            true = np.take_along_axis(true, final, 1)
        state["ranker"] = fit_ranker(features, true, np.asarray(faces), form)
        return state

    def _finalists(self, promise: Tensor) -> Tensor:
        """The columns of the lowest scores `[B,n]`, in their own order: `[B,finalists]`."""
        return promise.argsort(dim=1, stable=True)[:, : self.finalists].sort(1).values

    def with_state(self, state: Mapping[str, Any]) -> Shortlist:
        """Raises ValueError if the state is of another grid."""
        fitted = copy(self)
        fitted.chains = tuple(chain_of(self.layers, steps) for steps in state["chains"])
        fitted.prior = torch.tensor(state["prior"])
        fitted.ranker = Ranker(state["ranker"])
        fitted.screener = Ranker(state["screener"]) if "screener" in state else None
        return fitted


def _beside(itself: Tensor, others: Tensor, batch: int) -> Tensor:
    """Of the images themselves `[B,...]` beside those of their candidates `[B*m,...]`: `[B,1+m,...]`."""
    return torch.cat([itself[:, None], others.unflatten(0, (batch, -1))], 1)


def _array(features: Sequence[Tensor]) -> Array:
    return torch.stack(list(features), 1).double().cpu().numpy()
