"""Through a defense that chooses: Rec-Net's discrete pick, and the gate before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from magdr_core.adaptive.lift import Lifted
from magdr_core.adaptive.target import Target
from magdr_core.adaptive.ways import Way
from magdr_core.functional import straight_through, to_8bit
from magdr_core.magdr import MagDR
from magdr_core.rng import SampleRng

TEMPERATURE = 0.5
"""Of the softmin, in standard deviations of an image's candidate scores."""

LEAST_WEIGHT = 0.02
"""Candidates with less of the softmin are not worth a pass."""


def choosing(target: Target) -> MagDR | None:
    """The defense, where it is one that chooses among candidates behind a gate."""
    component = None if target.defense is None else target.defense.component
    return component if isinstance(component, MagDR) else None


def frozen(target: Target, magdr: MagDR) -> Way:
    """The gain with each image's plan as it was at the last refresh, all rounds of it."""
    known = _maps(magdr)
    state: dict[str, Any] = {}

    def refresh(x: Tensor) -> None:
        outcome = magdr.run(x, target.c, target.G)
        state.update(plans=outcome.plans, moved=outcome.restored - x)

    def value(x: Tensor, draw: SampleRng) -> Tensor:
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, plan in enumerate(state["plans"]):
            groups.setdefault(tuple(plan), []).append(i)
        parts, order = [], []
        for plan, members in groups.items():
            rows = torch.tensor(members, device=x.device)
            order.append(rows)
            parts.append(_planned(x[rows], plan, known, state["moved"][rows]))
        back = torch.cat(order).argsort()
        return target.gain(target.G(torch.cat(parts)[back], target.c))

    return Way("frozen", value, False, refresh)


def softmin(target: Target, magdr: MagDR) -> Way:
    """The expected gain over the softmin of the candidates' scores, in the first round, behind the gate."""
    chains = magdr.candidates
    state: dict[str, Tensor] = {}

    def refresh(x: Tensor) -> None:
        with torch.no_grad():
            active = magdr.evidence(x, target.c, target.G) > magdr.gate
            weights = torch.zeros(len(x), len(chains), device=x.device)
            weights[:, 0] = 1.0  # the image itself
            rows = torch.nonzero(active).flatten()
            if len(rows):
                scores = magdr.reconstruct(x[rows], target.c[rows], target.G).scores
                assert scores is not None
                weights[rows] = _softmin(scores)
        state["weights"] = weights

    def value(x: Tensor, draw: SampleRng) -> Tensor:
        weights = state["weights"]
        total = torch.zeros(len(x), device=x.device)
        for k, chain in enumerate(chains):
            rows = torch.nonzero(weights[:, k] > 0).flatten()
            if not len(rows):
                continue
            y = target.G(_lifted(chain.apply, x[rows]), target.c[rows])
            # The gain is of whole batches: the others' places are filled with what gains nothing.
            filled = target.aim.reference.index_copy(0, rows, y)
            total = total + weights[:, k] * target.gain(filled)
        return total

    return Way("softmin", value, False, refresh)


def _softmin(scores: Tensor) -> Tensor:
    """`[B,n]` weights of scores `[B,n]`, lower is better; what was screened out (infinite) has none."""
    seen = scores.isfinite()
    count = seen.sum(1, keepdim=True).clamp_min(1)
    known = torch.where(seen, scores, 0.0)
    mean = known.sum(1, keepdim=True) / count
    spread = (torch.where(seen, scores - mean, 0.0).square().sum(1, keepdim=True) / count).sqrt()
    weights = torch.softmax(-scores / (TEMPERATURE * spread).clamp_min(1e-6), 1)
    weights = torch.where(weights < LEAST_WEIGHT, 0.0, weights)
    return weights / weights.sum(1, keepdim=True)


def lazy_straight(target: Target) -> Way:
    """BPDA whose forward pass is refreshed now and then: what the defense moved is added as a constant."""
    state: dict[str, Tensor] = {}

    def refresh(x: Tensor) -> None:
        with torch.no_grad():
            state["moved"] = target.restored(x, next(target.forks(0))) - x

    def value(x: Tensor, draw: SampleRng) -> Tensor:
        return target.gain(target.G(_shifted(x, state["moved"]), target.c))

    return Way("bpda", value, False, refresh)


def behind_gate(target: Target, magdr: MagDR) -> Target:
    """The undefended generator behind the defense's own gate: an image under it is not touched."""
    guarded: Any = magdr.detector.detector
    return Target(
        target.G,
        target.clean,
        target.aim,
        target.oblivious,
        target.eps,
        detector=guarded,
        threshold=magdr.gate,
        rng=target.rng,
        draws=target.draws,
    )


def _maps(magdr: MagDR) -> Mapping[str, Callable[[Tensor], Tensor]]:
    """Image maps by the names that plans use: chains of the learned form, settings of a search."""
    maps: dict[str, Callable[[Tensor], Tensor]] = {str(chain): chain.apply for chain in magdr.candidates}
    net = getattr(magdr.reconstructor, "recnet", None)
    for family in (f for layer in (net.layers if net else ()) for f in layer):
        for setting in family.settings:
            told = setting.label()
            maps[f"{family.label}({told})" if told else family.label] = setting.apply
    return maps


def _planned(
    x: Tensor, plan: tuple[str, ...], known: Mapping[str, Callable[[Tensor], Tensor]], moved: Tensor
) -> Tensor:
    if not all(name in known for name in plan):
        return _shifted(x, moved)  # a composite of regions: as BPDA
    for name in plan:
        x = _lifted(known[name], x)
    return x


def _lifted(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with Lifted():
        y = f(x)
    y = y if y.requires_grad else straight_through(y, x)
    return straight_through(to_8bit(y), y)


def _shifted(x: Tensor, moved: Tensor) -> Tensor:
    return straight_through((x + moved).clamp(0, 1).detach(), x)
