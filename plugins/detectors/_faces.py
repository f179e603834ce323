"""Faces that supervised detectors learn from and are chosen on: attacked ones, and harmless ones beside them.

All attacks are learned together, with half of the weight on attacked and half on harmless faces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from magdr_core.api import AnyCondition, FitData, SampleRng, Samples
from magdr_core.functional import round_toward

Array = np.ndarray[Any, Any]
Pairs = Mapping[str, tuple[Samples, Samples]]

BENIGN = "benign:"
"""How the names of harmlessly edited faces begin in what `fit` is offered."""


@dataclass(frozen=True, eq=False)
class Faces:
    """Samples in one list, with what they are.

    Attributes:
        samples: harmless ones first.
        kinds: `[n]`; 0 is harmless, k the k-th attack.
    """

    samples: Samples
    kinds: Array

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def attacked(self) -> Array:
        """bool `[n]`."""
        return self.kinds > 0

    def quality(self, scores: Array) -> tuple[float, float]:
        """How well scores `[n]` (higher is more suspicious) tell attacked from harmless faces.

        The AUROC, averaged over the attacks, rounded to a thousandth; and, since small sets often reach 1,
        the averaged distance of the means in units of the spread. Compares as a tuple.
        """
        aurocs, distances = [], []
        harmless = scores[self.kinds == 0]
        for kind in np.unique(self.kinds[self.kinds > 0]):
            attacked = scores[self.kinds == kind]
            labels = np.repeat([0, 1], [len(harmless), len(attacked)])
            aurocs.append(roc_auc_score(labels, np.concatenate([harmless, attacked])))
            spread = np.sqrt((harmless.var() + attacked.var()) / 2)
            distances.append((attacked.mean() - harmless.mean()) / max(spread, 1e-12))
        return round(float(np.mean(aurocs)), 3), float(np.mean(distances))

    def measure(self, f: Callable[[Tensor, AnyCondition], Tensor], data: FitData) -> Tensor:
        """`f(x, c)` of all of them without gradients, `[n, ...]`, on their own device."""
        parts: list[Tensor] = []
        together = self.samples.together("learn")
        with torch.no_grad():
            for batch in self.samples.batches(together):
                parts.append(f(batch.images, batch.conditions))
                data.progress(min(len(parts) * together, len(self)), len(self))
        return torch.cat(parts)


def learning_faces(
    data: FitData, leave_out: Sequence[str] = (), *, noise: bool = False, edits: bool = False
) -> Faces:
    """Faces of the train split, to learn from.

    With noise and edits they are told of everything harmless that the learned form of MagDR is told of.

    Args:
        leave_out: attacks that must not be learned from.
        noise: put random signs, as strong as each attack, among the harmless faces.
        edits: put the calibration's benign edits among the harmless faces.

    Raises:
        ValueError: an unknown attack is left out, or nothing is left.
    """
    return _collect(data.training(), leave_out, noise, _edited(data.training_harmless()) if edits else [])


def choosing_faces(
    data: FitData, leave_out: Sequence[str] = (), *, noise: bool = False, edits: bool = False
) -> Faces:
    """Faces of the calibration split, to choose settings on; arguments and errors as `learning_faces`."""
    return _collect(data.attacked, leave_out, noise, _edited(data.harmless) if edits else [])


def _edited(harmless: Mapping[str, Samples]) -> list[Samples]:
    return [samples for name, samples in harmless.items() if name.startswith(BENIGN)]


def _collect(pairs: Pairs, leave_out: Sequence[str], noise: bool, edited: Sequence[Samples]) -> Faces:
    unknown = [name for name in leave_out if name not in pairs]
    if unknown:
        raise ValueError(f"leave_out names {unknown[0]!r}, which the calibration does not attack with")
    used = [pair for name, pair in pairs.items() if name not in leave_out]
    if not used:
        raise ValueError("there is no attack to learn from (is every one left out?)")
    clean = list({pair[1].ids: pair[1] for pair in used}.values())  # usually one set for all attacks
    noisy = [_noisy(*pair) for pair in used] if noise else []
    harmless_parts = [*clean, *noisy, *edited]
    parts = [*harmless_parts, *[pair[0] for pair in used]]
    harmless = sum(map(len, harmless_parts))
    kinds = [np.zeros(harmless, int), *[np.full(len(p[0]), k) for k, p in enumerate(used, 1)]]
    joined = Samples(
        torch.cat([p.images for p in parts]),
        AnyCondition.cat([p.conditions for p in parts]),
        tuple(i for p in parts for i in p.ids),
    )
    return Faces(joined, np.concatenate(kinds))


def _noisy(attacked: Samples, clean: Samples) -> Samples:
    """Random signs on the clean faces, for each as strong as its attack is at its strongest pixel."""
    strength = (attacked.images - clean.images).abs().amax((1, 2, 3), keepdim=True)
    rng = SampleRng(0, "detector-noise", clean.ids, device=clean.images.device)
    signs = rng.sign(*clean.images.shape[1:])
    noisy = (clean.images + strength * signs).clamp(0, 1)
    return clean.with_images(round_toward(noisy, clean.images))
