"""Computing one cell: per-sample values of an attack, a detector or a defense."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench.plan import Cell
from magdr_core.functional import mse, psnr, ssim, to_8bit
from magdr_core.guard import (
    GuardedAttack,
    GuardedDefense,
    GuardedDetector,
    GuardedGenerator,
    GuardedImageMap,
)
from magdr_core.objective import symmetric_mse
from magdr_core.protocols import ImageMap
from magdr_core.rng import SampleRng
from magdr_core.samples import objective_of
from magdr_core.types import Samples

BATCH = 16

Values = Mapping[str, list[float]]


def attack_values(
    clean: Samples, attacked: Tensor, G: GuardedGenerator, attack: GuardedAttack, reference: Tensor
) -> Values:
    """Disruption of each image: output MSE in [-1,1] units, success, and the largest pixel change."""
    y = outputs(attacked, clean, G)
    disruption = symmetric_mse(y, reference)
    success = objective_of(attack, G, clean, reference).reached(y)
    return {
        "mse_o": disruption.tolist(),
        "success": success.float().tolist(),
        "linf": (attacked - clean.images).abs().flatten(1).amax(1).tolist(),
    }


def detector_values(
    samples: Samples, detector: GuardedDetector, G: GuardedGenerator, rng: Callable[[Samples], SampleRng]
) -> Values:
    scores = [detector(b.images, b.conditions, G, rng=rng(b)) for b in samples.batches(BATCH)]
    return {"score": torch.cat(scores).double().tolist()}


def defense_values(
    clean: Samples,
    seen: Samples,
    defense: GuardedDefense,
    G: GuardedGenerator,
    reference: Tensor,
    rng: Callable[[Samples], SampleRng],
) -> tuple[Values, Tensor, Tensor]:
    """Per-sample figures of a defense, its restored images and the generator's output on them."""
    restored, defended = [], []
    for b in seen.batches(BATCH):
        r = to_8bit(defense(b.images, b.conditions, G, rng=rng(b)))
        restored.append(r)
        defended.append(defense.output(r, b.images, b.conditions, G, rng=rng(b)))
    r, y = torch.cat(restored), torch.cat(defended)
    return image_values(clean.images, r, reference, y), r, y


def ensemble_values(
    restored: Tensor,
    output: Tensor,
    seen: Samples,
    augmentations: Sequence[GuardedImageMap],
    G: GuardedGenerator,
    reference: Tensor,
) -> Values:
    """Figures of the output averaged with those of processed inputs, with geometry undone.

    Any defense can be given such an ensemble, so it is a variant of each row and not a part of any method.
    """
    total = output.clone()
    for f in augmentations:
        processed = torch.cat([f(b.images) for b in seen.with_images(restored).batches(BATCH)])
        total += f.undo(outputs(processed, seen, G))
    values = image_values(restored, restored, reference, total / (1 + len(augmentations)))
    return {name: v for name, v in values.items() if name.endswith("_o")}


def oracle_values(
    clean: Samples, seen: Samples, candidates: Sequence[ImageMap], G: GuardedGenerator, reference: Tensor
) -> tuple[Values, Tensor, Tensor]:
    """The best candidate per image by the true error of Eq. 8: a bound, not a defense."""
    best, best_y = seen.images, outputs(seen.images, seen, G)
    best_error = mse(best_y, reference)
    for apply in candidates:
        candidate = to_8bit(torch.cat([apply(b.images) for b in seen.batches(BATCH)]))
        y = outputs(candidate, seen, G)
        error = mse(y, reference)
        wins = (error < best_error)[:, None, None, None]
        best, best_y = torch.where(wins, candidate, best), torch.where(wins, y, best_y)
        best_error = torch.minimum(error, best_error)
    return image_values(clean.images, best, reference, best_y), best, best_y


def image_values(clean: Tensor, restored: Tensor, reference: Tensor, output: Tensor) -> Values:
    """MSE (0 to 255 squared), SSIM and PSNR of inputs (I) and outputs (O)."""
    values: dict[str, Any] = {}
    for suffix, a, b in (("i", clean, restored), ("o", reference, output)):
        values[f"mse_{suffix}"] = (mse(a, b) * 255**2).tolist()
        values[f"ssim_{suffix}"] = ssim(a, b).tolist()
        # Equal images have no finite PSNR; 100 dB is far above anything that 8-bit images can show.
        values[f"psnr_{suffix}"] = psnr(a, b).clamp_max(100.0).tolist()
    return values


def outputs(images: Tensor, samples: Samples, G: GuardedGenerator) -> Tensor:
    with torch.no_grad():
        return torch.cat([G(b.images, b.conditions) for b in samples.with_images(images).batches(BATCH)])


def cell_facts(cell: Cell) -> dict[str, Any]:
    """What identifies a cell in tables, as JSON."""
    return {
        "task": cell.task,
        "generator": cell.generator,
        "dataset": cell.dataset,
        "attack": cell.slice.name,
        "slice_role": cell.slice.role,
        "eps": cell.slice.eps,
        "steps": cell.slice.steps,
        "knowledge": cell.knowledge,
        "role": cell.role,
        "component": cell.component,
        "seed": cell.seed,
    }
