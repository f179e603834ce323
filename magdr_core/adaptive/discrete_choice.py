"""Through a defense that chooses among candidates, as Rec-Net does, and the gate before one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from magdr_core.adaptive.gradient_paths import Way
from magdr_core.adaptive.gradient_unmasking import Lifted
from magdr_core.adaptive.victim import Target
from magdr_core.components.protocols import Chosen, ImageMap
from magdr_core.components.rng import SampleRng
from magdr_core.functional import constant, straight_through, to_8bit

TEMPERATURE = 0.5
"""Of the softmin, in standard deviations of an image's candidate scores."""

LEAST_WEIGHT = 0.02
"""What has less of the softmin is not worth a pass."""


def frozen(target: Target) -> Way:
    """The gain with each image's plan as it was at the last refresh, all rounds of it."""
    known = _maps(target)
    state: dict[str, Any] = {}

    def refresh(x: Tensor) -> None:
        outcome = target.chosen(x, next(target.forks(0)))
        state.update(plans=outcome.plans, moved=to_8bit(outcome.restored) - x)

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
        return target.gain(target.output(torch.cat(parts)[back], x, draw))

    return Way("frozen", value, False, refresh)


def softmin(target: Target) -> Way:
    """The expected gain over what the defense could have chosen, in every one of its rounds.

    In each round every candidate is weighed by the softmin of its score, on the image that the rounds before
    handed on, whose picks are frozen; the rounds (the received image is one) are weighed by the softmin of
    the scores by which the best of them is kept. Of a defense that tells no scores it is what was chosen.
    """
    known = _maps(target)
    state: dict[str, Any] = {}

    def refresh(x: Tensor) -> None:
        with torch.no_grad():
            state["branches"] = branches(target, x)

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


def branches(target: Target, x: Tensor) -> dict[tuple[str, ...], Tensor]:
    """By plan (names of candidates, in order) its weight for each image, `[B]`; they add up to 1.

    Args:
        x: `[B,3,H,W]`, 8-bit.
    """
    assert target.choosing is not None
    names, known = list(target.choosing.candidates), _maps(target)
    outcome = target.chosen(x, next(target.forks(0)))
    kept = _kept(outcome, len(x), x.device)
    prefixes: list[tuple[str, ...]] = [() for _ in range(len(x))]
    found: dict[tuple[str, ...], Tensor] = {}

    def add(plan: tuple[str, ...], image: int, weight: Tensor) -> None:
        found.setdefault(plan, torch.zeros(len(x), device=x.device))[image] += weight

    for i in range(len(x)):
        if not outcome.choices:  # no scores to tell: what was chosen is all that is known
            add(tuple(name for name in outcome.plans[i] if name in known), i, kept[i, 0])
        else:
            add((), i, kept[i, 0])
    for number, choice in enumerate(outcome.choices, 1):
        assert choice.active is not None
        weights = _softmin(choice.scores)
        for i in torch.nonzero(choice.active).flatten().tolist():
            for k in torch.nonzero(weights[i] > 0).flatten().tolist():
                picked = (names[k],) if names[k] else ()  # the image itself is no step
                add(prefixes[i] + picked, i, kept[i, number] * weights[i, k])
            # A composite of regions is no plan: the best of the candidates stands in for it.
            plan = tuple(choice.plans[i])
            prefixes[i] += plan if all(name in known for name in plan) else (names[int(weights[i].argmax())],)
    return _worthwhile(found)


def _kept(outcome: Chosen, count: int, device: torch.device) -> Tensor:
    """`[B,1+R]`, how likely the received image and each round's are what is returned; rows add up to 1."""
    rounds = outcome.choices
    if outcome.score is not None and all(choice.after is not None for choice in rounds):
        scores = [outcome.score, *(choice.after for choice in rounds if choice.after is not None)]
        # Log odds, or standard deviations of clean faces: a difference of one is what they are read by.
        return torch.softmax(-torch.stack(scores, 1), 1)
    # The last round that an image took part in is never taken back.
    last = torch.zeros(count, dtype=torch.int64, device=device)
    for number, choice in enumerate(rounds, 1):
        last = last if choice.active is None else last.masked_fill(choice.active, number)
    return torch.nn.functional.one_hot(last, 1 + len(rounds)).float()


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
        return target.gain(target.output(_shifted(x, state["moved"]), x, draw))

    return Way("bpda", value, False, refresh)


def behind_gate(target: Target) -> Target:
    """The undefended generator behind the defense's own gate: an image under it is not touched."""
    gated = target.gated
    assert gated is not None
    inner = Target(
        target.G,
        target.clean,
        target.aim,
        target.oblivious,
        target.eps,
        detector=gated.evidence,
        threshold=gated.gate,
        channel=target.channel,
        rng=target.rng,
        draws=target.draws,
    )
    inner.gain_unit = target.gain_unit
    return inner


def _maps(target: Target) -> Mapping[str, ImageMap]:
    """The image maps by the names that plans use."""
    assert target.choosing is not None
    return target.choosing.maps


def _planned(x: Tensor, plan: tuple[str, ...], known: Mapping[str, ImageMap], moved: Tensor) -> Tensor:
    if not all(name in known for name in plan):
        return _shifted(x, moved)  # a composite of regions: as BPDA
    for name in plan:
        x = _lifted(known[name], x)
    return x


def _lifted(f: ImageMap, x: Tensor) -> Tensor:
    with Lifted():
        y = f(x)
    y = y if y.requires_grad else straight_through(y, x)
    return straight_through(to_8bit(y), y)


def _shifted(x: Tensor, moved: Tensor) -> Tensor:
    return straight_through((x + moved).clamp(0, 1).detach(), x)
