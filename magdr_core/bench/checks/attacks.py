"""The checks of a profile's attack on the generator alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from magdr_core.bench.checks import check as verdicts
from magdr_core.bench.checks.check import SanityCheck, if_seen
from magdr_core.bench.checks.component import LONGER, array, levels
from magdr_core.bench.checks.engine import noise
from magdr_core.bench.checks.victim import Victim
from magdr_core.errors import ComponentError, MagdrError, one_line
from magdr_core.guards import GuardedAttack
from magdr_core.measures.statistics import Array
from magdr_core.toolkit import Toolkit


class Variants:
    """An attack of a registry at other strengths.

    Args:
        label: of the `[attack.LABEL]` table.
        victim: the generator alone.
    """

    def __init__(self, toolkit: Toolkit, label: str, victim: Victim) -> None:
        self.toolkit, self.victim = toolkit, victim
        self.resolved = toolkit.resolve("attack", label)
        self.params: Mapping[str, Any] = {**self.resolved.params, **self.resolved.needs}
        self.eps = float(self.resolved.params["eps"])
        self.steps = int(self.resolved.params.get("steps", 0))

    def build(self, **changed: Any) -> GuardedAttack:
        """Raises MagdrError if the attack refuses these parameters."""
        made: GuardedAttack = self.toolkit.sibling(
            "attack", self.resolved.instance.use, **{**self.params, **changed}
        )
        made.objective = self.resolved.instance.objective
        return made

    def run(self, attack: GuardedAttack) -> Tensor:
        """The attacked images, `[B,3,H,W]`; the same random stream as in the benchmark, whatever the
        strength."""
        victim, name = self.victim, self.resolved.entry.name
        rng = victim.rng(f"attack/{name}")
        return attack(victim.clean.images, victim.objective, rng=rng)


def attack_checks(variants: Variants) -> Iterator[SanityCheck]:
    """Every check of one attack.

    What exceeds the aim is not asked for: an attack that looks for the smallest perturbation that reaches it
    gets no more with a larger ball. So comparisons are of losses cut at the aim.
    """
    eps, steps = variants.eps, variants.steps
    yield _at_zero(variants)
    unbounded = _at_one(variants)
    yield unbounded
    base = _gained(variants)
    seen = unbounded.evidence.get("reached", 0) > 0
    if isinstance(base, SanityCheck):
        yield SanityCheck("against noise", base.verdict, base.said)
    else:
        seen = seen or bool((base > verdicts.FLOOR).any())
        shaken = array(variants.victim.judge(noise(variants.victim, eps)).cut)
        against = verdicts.not_beaten("against noise", base, shaken, "up to the aim, against random noise")
        yield if_seen(against, seen)
    sizes: tuple[tuple[str, float, float], ...] = (
        ("monotone in eps", eps / 2, eps),
        ("monotone in eps, doubled", eps, min(1.0, 2 * eps)),
    )
    for name, small, large in sizes:
        less = base if small == eps else _gained(variants, eps=small)
        more = base if large == eps else _gained(variants, eps=large)
        compared = _compared(name, less, more, f"eps {levels(large)} against {levels(small)}")
        yield if_seen(compared, seen)
    if steps < 2:
        yield SanityCheck("monotone in steps", "inapplicable", "the attack has no steps")
        return
    few = max(1, steps // 4)
    less = _gained(variants, steps=few)
    yield if_seen(_compared("monotone in steps", less, base, f"{steps} steps against {few}"), seen)
    many = _gained(variants, steps=LONGER * steps)
    if isinstance(base, SanityCheck) or isinstance(many, SanityCheck):
        yield _compared("10x steps", base, many, "")
    else:
        longer = verdicts.converged("10x steps", base, many, f"up to the aim, {LONGER * steps} steps")
        yield if_seen(longer, seen)


def _at_zero(variants: Variants) -> SanityCheck:
    try:
        attack = variants.build(eps=0.0)
    except MagdrError as e:
        return SanityCheck("eps-0", "inapplicable", f"takes no eps of 0: {one_line(e)}")
    try:
        moved = (variants.run(attack) - variants.victim.clean.images).abs().flatten(1).amax(1)
    except ComponentError as e:
        return SanityCheck("eps-0", "fail", f"at eps 0: {one_line(e)}")
    return verdicts.nothing_at_zero(array(moved))


def _at_one(variants: Variants) -> SanityCheck:
    try:
        attack = variants.build(eps=1.0)
    except MagdrError as e:
        return SanityCheck("eps-1", "inapplicable", f"takes no eps of 1: {one_line(e)}")
    try:
        attacked = variants.run(attack)
    except ComponentError as e:
        return SanityCheck("eps-1", "fail", f"at eps 1: {one_line(e)}")
    return verdicts.everything_at_one(array(variants.victim.judge(attacked).reached))


def _gained(variants: Variants, **changed: Any) -> Array | SanityCheck:
    """How far each image got towards the aim; or what went wrong."""
    try:
        attack = variants.build(**changed)
    except MagdrError as e:
        return SanityCheck("", "skipped", f"cannot be varied: {one_line(e)}")
    try:
        attacked = variants.run(attack)
    except ComponentError as e:
        return SanityCheck("", "fail", one_line(e))
    return array(variants.victim.judge(attacked).cut)


def _compared(name: str, less: Array | SanityCheck, more: Array | SanityCheck, what: str) -> SanityCheck:
    if isinstance(less, SanityCheck):
        return SanityCheck(name, less.verdict, less.said)
    if isinstance(more, SanityCheck):
        return SanityCheck(name, more.verdict, more.said)
    return verdicts.not_weaker(name, less, more, f"up to the aim, {what}")
