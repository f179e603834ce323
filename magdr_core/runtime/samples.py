"""Benchmark samples: images of a split with a condition each, and their attacked versions."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.components.batch import Batch, Condition, Samples, VectorCondition
from magdr_core.components.objective import DisruptionObjective, build_objective
from magdr_core.components.protocols import Split
from magdr_core.components.rng import SampleRng
from magdr_core.errors import DataError
from magdr_core.functional import batch_size, merge_classes
from magdr_core.guards import GuardedAttack, GuardedGenerator


def draw_samples(
    split: Split,
    generator: GuardedGenerator,
    *,
    first: int,
    count: int,
    seed: int,
    oracle: bool = False,
) -> tuple[Samples, Tensor]:
    """`count` samples of a split from index `first` on, each with an edit that changes something.

    Args:
        seed: draws the conditions.
        oracle: attach the dataset's exact masks to the conditions.

    Returns:
        (samples, identities `[count]`).

    Raises:
        DataError: the split is too small, or has no exact masks although `oracle` asks for them.
    """
    if first + count > len(split):
        raise DataError(f"the split has {len(split)} images, {first + count} are needed")
    images, conditions, identities = [], [], []
    ids: list[str] = []
    # The first picture would tell its size and place, but has to be drawn for it; G's are as good.
    together = batch_size((generator.size, generator.size), "draw")
    for start in range(first, first + count, together):
        indices = list(range(start, min(start + together, first + count)))
        batch: Batch = split[indices]
        rng = SampleRng(seed, "conditions", batch.ids, device=batch.images.device)
        c = generator.draw(batch, rng)
        if oracle:
            if batch.masks is None:
                raise DataError("the oracle option needs a dataset with exact masks")
            if not isinstance(c, VectorCondition):
                raise DataError("the oracle option needs a generator whose conditions are vectors")
            c = c.with_oracle(merge_classes(batch.masks))
        images.append(batch.images)
        conditions.append(c)
        ids.extend(batch.ids)
        own = torch.tensor(indices, device=batch.images.device)
        identities.append(own if batch.identities is None else batch.identities)
    return Samples(torch.cat(images), Condition.cat(conditions), tuple(ids)), torch.cat(identities)


def attack_samples(
    clean: Samples, attack: GuardedAttack, generator: GuardedGenerator, *, name: str, seed: int
) -> Tensor:
    """The attacked images of one batch of samples, `[B,3,H,W]`, 8-bit, inside the eps ball."""
    objective = objective_of(attack, generator, clean)
    rng = SampleRng(seed, f"attack/{name}", clean.ids, device=clean.images.device)
    return attack(clean.images, objective, rng=rng)


def objective_of(
    attack: GuardedAttack, generator: GuardedGenerator, clean: Samples, reference: Tensor | None = None
) -> DisruptionObjective:
    """What an attack aims at on these samples: what its table says, else what the generator's task says.

    Args:
        reference: `[B,3,H,W]`, the generator's output on them, where it is there already.
    """
    kind = attack.objective or generator.objective
    return build_objective(kind, generator, clean.images, clean.conditions, reference)
