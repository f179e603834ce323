"""Whether an attack breaks what is known to be breakable, on a task's own generator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from magdr_core.bench.checks import planted
from magdr_core.bench.checks.check import SanityCheck, planted_broken
from magdr_core.bench.checks.component import array
from magdr_core.bench.checks.engine import AttackEngine
from magdr_core.bench.checks.victim import Victim
from magdr_core.components.batch import Samples
from magdr_core.components.objective import ObjectiveName
from magdr_core.components.protocols import CalibratedDetector
from magdr_core.guards import GuardedDefense, GuardedDetector, GuardedGenerator

NOTICED = 0.75
"""Share of all images that the hashing detector flags, attacked or not."""


def planted_victims(
    clean: Samples, G: GuardedGenerator, aim: ObjectiveName, seed: int, oblivious: Tensor | None = None
) -> Iterator[tuple[str, Victim]]:
    """Every planted component in front of (or beside) a generator, by name.

    Args:
        oblivious: `[B,3,H,W]`, the images of an attack that knows no defense, where they are there already.
    """
    common: dict[str, Any] = {"seed": seed, "oblivious": oblivious}
    for defense in planted.magdr_defenses():
        guarded = GuardedDefense(
            defense.build(), f"planted defense {defense.name}", stochastic=defense.stochastic
        )
        gradient, name = defense.gradient, defense.name
        yield name, Victim(clean, G, aim, defense=guarded, gradient=gradient, name=name, **common)
    for detector in planted.magdr_detectors():
        watched = GuardedDetector(detector.build(), f"planted detector {detector.name}")
        # The scores are uniform in [0,1), whatever the images.
        calibrated = CalibratedDetector(watched, {"fpr": 1 - NOTICED})
        gradient, name = detector.gradient, detector.name
        yield name, Victim(clean, G, aim, detector=calibrated, gradient=gradient, name=name, **common)


def planted_checks(
    engine: AttackEngine,
    clean: Samples,
    G: GuardedGenerator,
    aim: ObjectiveName,
    *,
    eps: float,
    steps: int,
    draws: int,
    seed: int,
) -> list[SanityCheck]:
    """A check per planted component: broken on at least 95% of the images that the same attack disrupts
    with nothing in the way; a random component is judged by fresh draws."""
    bare = Victim(clean, G, aim, name="bare", seed=seed)
    oblivious = engine(bare, eps, [steps], draws)[0]
    vulnerable = bare.judge(oblivious).reached > 0
    checks = []
    for name, victim in planted_victims(clean, G, aim, seed, oblivious):
        attacked = engine(victim, eps, [steps], draws)[0]
        broken = victim.judge(attacked, max(draws, 4)).reached
        checks.append(planted_broken(f"planted {name}", array(broken), array(vulnerable) > 0))
    return checks
