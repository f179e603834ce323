"""Computing one cell: per-sample values of an attack, a detector or a defense."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench.steps import Told, batches, silent
from magdr_core.components.batch import Samples
from magdr_core.components.objective import symmetric_mse
from magdr_core.components.protocols import ImageMap
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError, components_own
from magdr_core.functional import masked_mean, mse, psnr, to_8bit
from magdr_core.guards import (
    GuardedAttack,
    GuardedDefense,
    GuardedDetector,
    GuardedGenerator,
    GuardedImageMap,
)
from magdr_core.magdr.evidence import Probe
from magdr_core.measures.image_quality import Yardstick
from magdr_core.registry.composition import composition
from magdr_core.registry.settings import Profile
from magdr_core.runtime.samples import objective_of
from magdr_core.toolkit import Toolkit

Values = Mapping[str, list[float]]

CHANGED = 0.5
"""So much has to change at a pixel, summed over RGB in [-1,1] units, for it to count as edited."""

MOST_PSNR = 100.0
"""Of equal images, in dB."""


def attack_values(
    clean: Samples,
    attacked: Tensor,
    G: GuardedGenerator,
    attack: GuardedAttack,
    reference: Tensor,
    region: Tensor | None = None,
    further: Callable[[Tensor], Values] | None = None,
) -> Values:
    """Disruption of each image: output MSE in [-1,1] units, over the image, inside the target, and over what
    the edit changes; success, and of a targeted attack the output's MSE to what it aims at; the largest pixel
    change in [0,1], and PSNR of the attacked image.

    Args:
        attacked: `[B,3,H,W]`.
        reference: `[B,3,H,W]`, the outputs on the clean images.
        region: `[B,1,H,W]`, soft mask of the target; None where nobody knows it.
        further: more values of the outputs `[B,3,H,W]` on the attacked images.
    """
    y = outputs(attacked, clean, G)
    objective = objective_of(attack, G, clean, reference)
    values = {
        "mse_o": symmetric_mse(y, reference),
        "success": objective.reached(y).float(),
        "linf": (attacked - clean.images).abs().flatten(1).amax(1),
        "psnr_i": psnr(attacked, clean.images).clamp_max(MOST_PSNR),
        "mse_o_changed": 4.0 * masked_mean((y - reference).square(), changed(clean.images, reference))[:, 0],
    }
    if objective.target is not None:
        values["mse_aim"] = symmetric_mse(y, objective.target)
    if region is not None:
        values["mse_o_target"] = 4.0 * masked_mean((y - reference).square(), region)[:, 0]
    own = {} if further is None else further(y)
    return {name: v.tolist() for name, v in values.items()} | dict(own)


def changed(clean: Tensor, reference: Tensor) -> Tensor:
    """The pixels that an edit changes, by the rule of CMUA-Watermark (Huang et al., AAAI 2022, evaluate.py):
    the change of the clean output, summed over RGB, is above .5 in [-1,1] units.

    Args:
        clean, reference: `[B,3,H,W]` in [0,1], clean images and the outputs on them.

    Returns:
        `[B,1,H,W]`, 0 or 1.
    """
    return (2.0 * (reference - clean).abs().sum(1, keepdim=True) > CHANGED).to(clean.dtype)


def detector_values(
    samples: Samples,
    detector: GuardedDetector,
    G: GuardedGenerator,
    rng: Callable[[Samples], SampleRng],
    told: Told = silent,
) -> Values:
    """Scores, one per image; `told` hears how many images are done."""
    scores = [detector(b.images, b.conditions, G, rng=rng(b)) for b in batches(samples, told)]
    return {"score": torch.cat(scores).double().tolist()}


@dataclass(frozen=True, eq=False)
class Yardsticks:
    """The clean inputs (I) and the generator's outputs on them (O)."""

    inputs: Yardstick
    outputs: Yardstick

    def compare(self, restored: Tensor, output: Tensor) -> Values:
        """Every measure of restored inputs (`..._i`) and of the outputs on them (`..._o`), `[n,3,H,W]`."""
        return {**self.inputs.compare(restored, "i"), **self.outputs.compare(output, "o")}


def defense_values(
    seen: Samples,
    defense: GuardedDefense,
    G: GuardedGenerator,
    clean: Yardsticks,
    rng: Callable[[Samples], SampleRng],
    told: Told = silent,
) -> tuple[Values, Tensor, Tensor]:
    """Per-sample figures of a defense, its restored images and the generator's output on them, `[B,3,H,W]`
    both; `told` hears how many images are done."""
    parts = [defended(b, defense, G, rng) for b in batches(seen, told)]
    r, y = torch.cat([restored for restored, _ in parts]), torch.cat([output for _, output in parts])
    return clean.compare(r, y), r, y


def defended(
    b: Samples, defense: GuardedDefense, G: GuardedGenerator, rng: Callable[[Samples], SampleRng]
) -> tuple[Tensor, Tensor]:
    """What a defense makes of a batch: (8-bit restored images, the generator's outputs behind it),
    `[B,3,H,W]` both."""
    restored = to_8bit(defense(b.images, b.conditions, G, rng=rng(b)))
    return restored, defense.output(restored, b.images, b.conditions, G, rng=rng(b))


def ensemble_values(
    restored: Tensor,
    output: Tensor,
    seen: Samples,
    augmentations: Sequence[GuardedImageMap],
    G: GuardedGenerator,
    clean: Yardsticks,
    told: Told = silent,
) -> Values:
    """Figures of the output averaged with those of processed inputs, with geometry undone.

    Any defense can be given such an ensemble, so it is a variant of each row and not a part of any method.

    Args:
        restored, output: `[B,3,H,W]`, of the defense alone.
    """
    total = output.clone()
    for number, f in enumerate(augmentations):
        told(number, len(augmentations))
        processed = torch.cat([f(b.images) for b in seen.with_images(restored).batches("test")])
        total += f.undo(outputs(processed, seen, G))
    return clean.outputs.compare(total / (1 + len(augmentations)), "o")


def oracle_values(
    seen: Samples,
    candidates: Sequence[ImageMap],
    G: GuardedGenerator,
    clean: Yardsticks,
    told: Told = silent,
) -> tuple[Values, Tensor, Tensor]:
    """The best candidate per image by the true error of Eq. 8: a bound, not a defense; `told` hears how many
    candidates are done.

    Returns:
        (per-sample figures, the chosen images, the outputs on them), `[B,3,H,W]` both.
    """
    reference = clean.outputs.images
    best, best_y = seen.images, outputs(seen.images, seen, G)
    best_error = mse(best_y, reference)
    for number, apply in enumerate(candidates):
        told(number, len(candidates))
        candidate = to_8bit(torch.cat([apply(b.images) for b in seen.batches("test")]))
        y = outputs(candidate, seen, G)
        error = mse(y, reference)
        wins = (error < best_error)[:, None, None, None]
        best, best_y = torch.where(wins, candidate, best), torch.where(wins, y, best_y)
        best_error = torch.minimum(error, best_error)
    return clean.compare(best, best_y), best, best_y


def target_region(clean: Samples, parser: Any, G: GuardedGenerator) -> Tensor | None:
    """The region M_c that the generator is asked to edit, as a soft mask `[n,1,H,W]`; where the parser finds
    none of it (glasses to be added) the whole image. None if the parser has nothing of such a region.

    Args:
        parser: of the clean images.
    """
    probe = Probe(parser, (), (), consistency_over="target")
    with torch.no_grad():
        try:
            parts = [
                probe.compared(probe.masks(b.images, b.conditions), b.conditions, G)
                for b in clean.batches("test")
            ]
        except ValueError:
            return None
    return torch.cat(parts)


def outputs(images: Tensor, samples: Samples, G: GuardedGenerator) -> Tensor:
    """The generator's outputs on images `[B,3,H,W]` with the samples' conditions, `[B,3,H,W]`."""
    with torch.no_grad():
        return torch.cat([G(b.images, b.conditions) for b in samples.with_images(images).batches("test")])


def encoder_label(toolkit: Toolkit, profile: Profile) -> str | None:
    """The registry's parser whose features `featsim` compares: MagDR's, else the first that has features.
    One that cannot be built is passed over; the cells that need it say why."""
    composed = composition(toolkit, profile)
    labels = [composed.get("parser"), *toolkit.registry.labels("parser")]
    for label in dict.fromkeys(x for x in labels if isinstance(x, str)):
        try:
            parser = toolkit.build("parser", label)
        except MagdrError as e:
            if not components_own(e):
                raise
            continue
        if hasattr(parser.component, "features"):
            return label
    return None
