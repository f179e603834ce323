"""Through a defense that chooses: Rec-Net's discrete pick, and the gate before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from magdr_core.adaptive.gradient_paths import Way
from magdr_core.adaptive.gradient_unmasking import Lifted
from magdr_core.adaptive.victim import Target
from magdr_core.components.rng import SampleRng
from magdr_core.functional import constant, straight_through, to_8bit
from magdr_core.magdr import MagDR

TEMPERATURE = 0.5
"""Of the softmin, in standard deviations of an image's candidate scores."""

LEAST_WEIGHT = 0.02
"""What has less of the softmin is not worth a pass."""


def frozen(target: Target, magdr: MagDR) -> Way:
    """The gain with each image's plan as it was at the last refresh, all rounds of it."""
    known = _maps(magdr)
    state: dict[str, Any] = {}

    def refresh(x: Tensor) -> None:
        outcome = target.chosen(x)
        state.update(plans=outcome.plans, moved=outcome.restored - x)

    def value(x: Tensor, draw: SampleRng) -> Tensor:
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, plan in enumerate(state["plans"]):
            groups.setdefault(tuple(plan), []).append(i)
        parts, order = [], []
        for plan, members in groups.items():
            rows = constant(members, x.device)
            order.append(rows)
            parts.append(_planned(x[rows], plan, known, state["moved"][rows]))
        back = torch.cat(order).argsort()
        return target.gain(target.G(torch.cat(parts)[back], target.c))

    return Way("frozen", value, False, refresh)


def softmin(target: Target, magdr: MagDR) -> Way:
    """The expected gain over what MagDR could have chosen, in every round of its loop.

    In each round every candidate is weighed by the softmin of its score, on the image that the rounds before
    handed on, whose picks are frozen; the rounds (the received image is one) are weighed by the softmin of
    the scores by which the best of them is kept.
    """
    known = _maps(magdr)
    state: dict[str, Any] = {}

    def refresh(x: Tensor) -> None:
        with torch.no_grad():
            state["branches"] = _branches(target, magdr, x)

    def value(x: Tensor, draw: SampleRng) -> Tensor:
        total = torch.zeros(len(x), device=x.device)
        for plan, weights in state["branches"].items():
            rows = torch.nonzero(weights > 0).flatten()
            seen = x[rows]
            for name in plan:
                seen = _lifted(known[name], seen)
            y = target.G(seen, target.c[rows])
            # The gain is of whole batches: the others' places are filled with what gains nothing.
            filled = target.aim.reference.index_copy(0, rows, y)
            total = total + weights * target.gain(filled)
        return total

    return Way("softmin", value, False, refresh)


def _branches(target: Target, magdr: MagDR, x: Tensor) -> dict[tuple[str, ...], Tensor]:
    """By plan (names of chains, in order) its weight for each image, `[B]`; they add up to 1.

    Walks the loop as :meth:`MagDR.run` does, with the scores of all that was not picked.
    """
    names, known = [str(chain) for chain in magdr.candidates], _maps(magdr)
    score = magdr.evidence(x, target.c, target.G)
    active, current = score > magdr.gate, x
    prefixes: list[tuple[str, ...]] = [() for _ in range(len(x))]
    scores, rounds = [score], []
    for _ in range(magdr.rounds):
        rows = torch.nonzero(active).flatten()
        if not len(rows):
            break
        made = magdr.reconstruct(current[rows], target.c[rows], target.G, received=x[rows])
        assert made.scores is not None
        weights = _softmin(made.scores)
        rounds.append((rows, list(prefixes), weights))
        current = current.index_copy(0, rows, made.images)
        after = magdr.evidence(made.images, target.c[rows], target.G)
        scores.append(torch.full_like(score, torch.inf).index_copy(0, rows, after))
        moved = constant([bool(plan) for plan in made.plans], x.device, torch.bool)
        for i, plan, first in zip(rows.tolist(), made.plans, weights.argmax(1).tolist(), strict=True):
            # A composite of regions is no plan: the best of the candidates stands in for it.
            prefixes[i] += tuple(plan) if all(name in known for name in plan) else (names[first],)
        active = torch.zeros_like(active).index_copy(0, rows, moved & (after > magdr.detector.threshold))
    # Log odds, or standard deviations of clean faces: a difference of one is what they are read by.
    kept = torch.softmax(-torch.stack(scores, 1), 1)
    found: dict[tuple[str, ...], Tensor] = {}

    def add(plan: tuple[str, ...], image: int, weight: Tensor) -> None:
        found.setdefault(plan, torch.zeros(len(x), device=x.device))[image] += weight

    for i in range(len(x)):
        add((), i, kept[i, 0])
    for number, (rows, before, weights) in enumerate(rounds, 1):
        for row, i in enumerate(rows.tolist()):
            for k in torch.nonzero(weights[row] > 0).flatten().tolist():
                chain = (names[k],) if k else ()  # the image itself comes first
                add(before[i] + chain, i, kept[i, number] * weights[row, k])
    return _worthwhile(found)


def _worthwhile(branches: dict[tuple[str, ...], Tensor]) -> dict[tuple[str, ...], Tensor]:
    """Without the branches of too little weight, whose share goes to the others."""
    left = {plan: torch.where(w < LEAST_WEIGHT, 0.0, w) for plan, w in branches.items()}
    total = torch.stack(list(left.values())).sum(0)
    return {plan: w / total for plan, w in left.items() if bool((w > 0).any())}


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
