"""The aims of adaptive attacks, and what the same effort does to a generator without any defense.

Every pipeline is attacked with two aims: away from the clean output (Eq. 1), and towards a target (Eq. 2),
which is the attack's own one, else the input, as if nothing had been edited. What is kept of a disruption is
a share of the strongest that anything found for that aim where nothing defends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from magdr_core.adaptive import AdaptiveAttack, Target
from magdr_core.components.batch import Samples
from magdr_core.components.objective import DisruptionObjective, ObjectiveName, build_objective, symmetric_mse
from magdr_core.components.rng import SampleRng
from magdr_core.components.slice import Slice
from magdr_core.components.task_run import SharedImages
from magdr_core.guards import GuardedAttack, GuardedGenerator
from magdr_core.registry.scenario_tables import Adaptive

AWAY, TARGETED = "", "targeted"
"""The aims: what they are called before the names of modes and of values."""

OBLIVIOUS = "attack"
"""The scenario whose images each attack starts from."""


def aims_of(attack: GuardedAttack, G: GuardedGenerator) -> Mapping[str, ObjectiveName]:
    """By aim what an attack is to do."""
    own = attack.objective or G.objective
    return {AWAY: "untargeted", TARGETED: "towards-input" if own == "untargeted" else own}


def oblivious(part: Slice) -> Slice:
    """The images that the attack of a slice starts from, as they are published."""
    return replace(part, scenario=OBLIVIOUS, settings=None, channel="")


def undefended(part: Slice, aim: str) -> Slice:
    """The images of the same effort where nothing defends, and nothing lies between."""
    return replace(part, settings=aim or "untargeted", channel="")


def aim_of(part: Slice) -> str | None:
    """The aim of such images; None of a slice of cells."""
    return None if part.settings is None else {"untargeted": AWAY}.get(str(part.settings), str(part.settings))


def attack_undefended(
    images: SharedImages, part: Slice, clean: Samples, attack: GuardedAttack, options: Adaptive
) -> Tensor:
    """The strongest images that are found for an aim, `[n,3,H,W]`, 8-bit."""
    aim, start = aim_of(part), images.of(oblivious(part))
    kind = aims_of(attack, images.G)[aim or AWAY]
    found = []
    together = clean.together("test")
    for at in range(0, len(clean), together):
        rows = slice(at, at + together)
        batch = clean[rows]
        target = Target(
            images.G,
            batch,
            build_objective(kind, images.G, batch.images, batch.conditions),
            start[rows],
            part.eps,
            rng=SampleRng(images.seed, f"adaptive/undefended/{kind}", batch.ids, device=start.device),
            rough=options.precision == "bfloat16",
        )
        own = AdaptiveAttack(target, steps=options.steps, restarts=options.restarts, queries=0)
        found.append(own(target).pooled.images)
        done = min(at + together, len(clean))
        images.progress(f"attacking ({part.name}, {kind}, no defense)", done, len(clean))
    return torch.cat(found)


def progress_made(aim: DisruptionObjective, y: Tensor) -> Tensor:
    """How much nearer to the target outputs `[B,3,H,W]` are than the clean ones: MSE in [-1,1] units, `[B]`.

    Args:
        aim: with a target.
    """
    assert aim.target is not None
    return symmetric_mse(aim.reference, aim.target) - symmetric_mse(y, aim.target)
