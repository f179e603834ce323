"""Rec-Net's learned form: what a candidate's features are, and how they are gathered on calibration faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor

from magdr_core.magdr.detector import MagDRDetector
from magdr_core.magdr.evidence import Evidence
from magdr_core.magdr.shortlist import Chain, Features, Shortlist
from magdr_core.magdr.standard import Standard
from magdr_core.protocols import Family, FitData, Generator
from magdr_core.types import Condition

BATCH = 8
"""Received images per pick; candidates times 1 + K passes each go through G together."""

CHUNK = 64
"""Candidates that are measured at a time."""

SMALLEST_CHANGE = 1 / 512
"""Half an 8-bit step: what a change is measured from, so that none has a finite logarithm."""


class LearnedPick:
    """Picks from a short list by a learned ranking.

    A candidate's features: distortion per criterion, consistency per criterion (mean over the f_k), how far
    it moved from the image that was received, and the mean log error that its chain had on calibration
    faces.

    Args:
        evidence: the detector whose evidence describes candidates.
        layers: families of settings, layer after layer.
        candidate_augmentations: the f_k that judge candidates.
        size: chains on the list besides the image itself.
        regional: let a composite of the regions' own picks compete.
    """

    def __init__(
        self,
        evidence: MagDRDetector,
        layers: Sequence[Sequence[Family]],
        candidate_augmentations: Sequence[Any],
        *,
        size: int = 8,
        regional: bool = False,
    ) -> None:
        self.evidence = evidence
        self.candidate_augmentations = list(candidate_augmentations)
        self.regional = regional
        self.shortlist = Shortlist(layers, size=size)
        self.standard: Standard | None = None

    def reconstruct(
        self, x: Tensor, c: Condition, G: Generator, received: Tensor
    ) -> tuple[Tensor, list[list[str]]]:
        """8-bit images, and per image the chain that was applied."""
        images, plans = [], []
        for start in range(0, len(x), BATCH):
            part = slice(start, start + BATCH)
            masks = self.evidence.probe.masks(x[part], c[part])
            features = self._features(c[part], G, masks, received[part])
            pick = self.shortlist.pick(x[part], masks, features, regional=self.regional)
            images.append(pick.images)
            plans += [[name] if name else [] for name in pick.names]
        return torch.cat(images), plans

    def _features(self, c: Condition, G: Generator, masks: Tensor, received: Tensor) -> Features:
        def chunk(images: Tensor, rows: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
            z = self._standard.apply(
                self.evidence.measure(
                    images,
                    c[rows],
                    G,
                    masks=masks[rows],
                    reference=received[rows],
                    augmentations=self.candidate_augmentations,
                )
            )
            moved = ((images - received[rows]).abs().flatten(1).mean(1) + SMALLEST_CHANGE).log()
            shared = torch.cat([z.consistency_by.mean(1), moved[:, None], prior[:, None]], 1)
            own = torch.cat([z.distortion_by, shared], 1)
            # The target and absent regions have no distortion of their own: the image's stands in.
            distortion = torch.where(z.regions_by.isnan(), z.distortion_by[:, :, None], z.regions_by)
            by_region = torch.cat(
                [distortion.transpose(1, 2), shared[:, None].expand(-1, masks.shape[1], -1)], 2
            )
            return own, by_region

        def features(images: Tensor, rows: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
            parts = zip(images.split(CHUNK), rows.split(CHUNK), prior.split(CHUNK), strict=True)
            own, by_region = zip(*(chunk(*part) for part in parts), strict=True)
            return torch.cat(own), torch.cat(by_region)

        return features

    @property
    def _standard(self) -> Standard:
        assert self.standard is not None, "load() first"
        return self.standard

    # -- calibration ------------------------------------------------------------------------------------

    @torch.no_grad()
    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """Standardise on clean faces; then choose and rank chains on attacked and clean ones."""
        # Measured with a copy: this one is calibrated by `load`, not by having been fitted.
        worker = copy(self)
        worker.shortlist = copy(self.shortlist)
        options = {"augmentations": self.candidate_augmentations}
        parts: list[Evidence] = []
        for batch in data.clean.batches(BATCH):
            parts.append(self.evidence.measure(batch.images, batch.conditions, G, **options))
        worker.standard = Standard.fit(Evidence.cat(parts))
        seen = CalibrationImages(data, G)
        x, c = seen.x, seen.c
        masks = torch.cat(
            [self.evidence.probe.masks(x[i : i + CHUNK], c[i : i + CHUNK]) for i in range(0, len(x), CHUNK)]
        )
        features = worker._features(c, G, masks, x)
        state = worker.shortlist.fit(
            x, seen.faces, seen.attacked, seen.errors, features, progress=data.progress
        )
        return {"standard": worker.standard.state, **state}

    def load(self, state: Mapping[str, Any]) -> None:
        self.standard = Standard(state["standard"])
        self.shortlist.load(state)


class CalibrationImages:
    """Attacked calibration images, then their clean ones (which must come out as they are).

    Attributes:
        x, c: `[M,3,H,W]` and their conditions.
        faces: `M` ids; an attacked image has its clean one's.
        attacked: bool `[M]`.
    """

    def __init__(self, data: FitData, G: Generator) -> None:
        pairs = list(data.attacked.values())
        pairs.append((pairs[0][1], pairs[0][1]))
        self.x = torch.cat([seen.images for seen, _ in pairs])
        self.c = Condition.cat([seen.conditions for seen, _ in pairs])
        self.faces = [i for seen, _ in pairs for i in seen.ids]
        self.attacked = torch.arange(len(self.x), device=self.x.device) < len(self.x) - len(pairs[-1][0])
        self._G = G
        self._wanted = _outputs(torch.cat([clean.images for _, clean in pairs]), self.c, G)

    def errors(self, candidates: Tensor) -> Tensor:
        """Eq. 8, `[M]`: MSE between what G makes of the candidates and of the clean images."""
        return (_outputs(candidates, self.c, self._G) - self._wanted).square().flatten(1).mean(1)


class FixedChain:
    """The chain of Rec-Net's grid with the lowest mean log error on attacked calibration faces, always.

    The bar for every adaptive choice: no detection, no picking, no generator pass.
    """

    def __init__(self, layers: Sequence[Sequence[Family]]) -> None:
        self.shortlist = Shortlist(layers)
        self.chain: Chain | None = None

    def __call__(self, x: Tensor, c: Condition, G: Generator) -> Tensor:
        assert self.chain is not None, "load() first"
        return self.chain.apply(x)

    @torch.no_grad()
    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        seen = CalibrationImages(data, G)
        found = self.shortlist.explore(seen.x, seen.attacked, seen.errors, data.progress)
        best = min(found.logs, key=found.mean)
        return {"chain": found.chains[best].state(), "mean_log_error": found.mean(best)}

    def load(self, state: Mapping[str, Any]) -> None:
        self.chain = self.shortlist.chain(state["chain"])


def _outputs(x: Tensor, c: Condition, G: Generator) -> Tensor:
    return torch.cat([G(x[i : i + CHUNK], c[i : i + CHUNK]) for i in range(0, len(x), CHUNK)])
