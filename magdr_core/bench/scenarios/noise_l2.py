"""Random noise with the L2 norm of each attacked image's perturbation: as strong as the attack in energy.

Signs at the attack's bound have the largest L2 norm inside it, and an attack that looks for small
perturbations stays far below that. A detector that tells those two apart may have measured their energy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import Samples
from magdr_core.components.rng import SampleRng
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import Slice
from magdr_core.components.task_run import Planning, SharedImages
from magdr_core.functional import to_8bit
from magdr_core.results.cell import NOISE_L2

HALVINGS = 24
"""Of the range in which the noise's scale is looked for."""

LEVEL = 1 / 255


class EqualNormNoiseScenario(Scenario):
    """For each attack that the profile names under `noise_l2`, where it has detectors."""

    name = NOISE_L2
    key = "noise_l2"
    main = False
    grows = True

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterator[Slice]:
        attacks = {
            part.name: part
            for part in earlier
            if plan.scenarios[part.scenario].by_attack and plan.scenarios[part.scenario].main
        }
        for name in plan.profile.noise_l2:
            if name not in attacks:
                raise plan.fault(f"noise_l2: {name!r} is no attack of the profile on {plan.task}")
            if self.wanted(plan):
                part = attacks[name]
                yield Slice(f"{NOISE_L2}:{name}", self.name, "", self.name, part.eps, 1, settings=part)

    def images_before(self, plan: Planning, part: Slice) -> tuple[Slice, ...]:
        return (_attack(part), part)

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        return {**super().images_key(images, part), "noise": ["l2", images.lasting_key(_attack(part))]}

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        attacked = images.of(_attack(part))
        rng = SampleRng(images.seed, "attack/noise-l2", clean.ids, device=clean.images.device)
        return {part: equal_norm_noise(clean.images, attacked, rng)}


def _attack(part: Slice) -> Slice:
    """The slice whose perturbations give the norms."""
    attack = part.settings
    assert isinstance(attack, Slice)
    return attack


def equal_norm_noise(clean: Tensor, attacked: Tensor, rng: SampleRng) -> Tensor:
    """Clean images with Gaussian noise whose L2 norm is that of the attack's perturbation, image by image.

    Scaled so that the norm is right after clipping and rounding, as near from below as 8 bits allow: to a
    hundredth for perturbations of any size.

    Args:
        clean, attacked: `[B,3,H,W]` in [0,1], 8-bit.
        rng: B streams.

    Returns:
        `[B,3,H,W]`, 8-bit.
    """
    wanted, direction = _norm(attacked - clean), rng.normal(*clean.shape[1:]).to(clean)
    low = torch.zeros_like(wanted)
    # Clipping halves the energy at most, rounding is half a level.
    high = 4 * wanted / _norm(direction) + LEVEL

    def noisy(scale: Tensor) -> Tensor:
        return to_8bit(clean + scale[:, None, None, None].to(clean) * direction)

    for _ in range(HALVINGS):
        middle = (low + high) / 2
        too_much = _norm(noisy(middle) - clean) > wanted
        low, high = torch.where(too_much, low, middle), torch.where(too_much, middle, high)
    return noisy(low)


def _norm(perturbation: Tensor) -> Tensor:
    """`[B]` float64 of `[B,3,H,W]`."""
    return perturbation.double().square().flatten(1).sum(1).sqrt()
