"""Rec-Net as a layer-by-layer search with S_final as its score: as printed, or standardised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.components.protocols import Family, FitData, Generator
from magdr_core.functional import batch_size, to_8bit
from magdr_core.magdr import equations
from magdr_core.magdr.detector import MagDRDetector
from magdr_core.magdr.evidence import Outputs
from magdr_core.magdr.outcome import Reconstruction
from magdr_core.magdr.recnet import RecNet, Score
from magdr_core.magdr.standardise import Standard


class LayerSearch:
    """Algorithm 1 over S_final (Eq. 9).

    Args:
        evidence: the detector whose evidence scores candidates.
        layers: families of settings, layer after layer.
        candidate_augmentations: the f_k that judge candidates.
        min_gain: how far the score must fall for a layer to be taken; in units of the clean spread.
        regional: choose per region and blend by the masks, as printed, instead of per image.
        literal: S_final as it stands, regional, and the image itself does not compete.
    """

    def __init__(
        self,
        evidence: MagDRDetector,
        layers: Sequence[Sequence[Family]],
        candidate_augmentations: Sequence[Any],
        *,
        min_gain: float = 0.25,
        regional: bool = False,
        literal: bool = False,
    ) -> None:
        self.evidence = evidence
        self.candidate_augmentations = list(candidate_augmentations)
        self.regional = regional or literal
        self.literal = literal
        gain = -torch.inf if literal else min_gain
        self.recnet = RecNet(tuple(tuple(layer) for layer in layers), keep=not literal, min_gain=gain)

    def reconstruct(
        self, x: Tensor, c: Condition, G: Generator, received: Tensor, known: Outputs | None = None
    ) -> Reconstruction:
        """8-bit images, and per image the restorations that were applied.

        Args:
            x: `[B,3,H,W]`, the images at hand.
            received: `[B,3,H,W]`, as they came in, before earlier rounds.
            known: not used: the search judges its own candidates.
        """
        images, plans = [], []
        together = batch_size(x.shape, "search", x.device)
        for start in range(0, len(x), together):
            part = slice(start, start + together)
            masks = self.evidence.probe.masks(x[part], c[part])
            planes = masks if self.regional else torch.ones_like(masks[:, :1])
            score = in_batches(self._score(c[part], G, masks, received[part]), 16 * together)
            found, _, choices = self.recnet.search(x[part], planes, score)
            images.append(to_8bit(found))
            plans += [_told(choice) for choice in choices]
        return Reconstruction(torch.cat(images), plans)

    # -- scoring candidates -----------------------------------------------------------------------------

    def _score(self, c: Condition, G: Generator, masks: Tensor, received: Tensor) -> Score:
        """The score that Rec-Net minimises: S_final, per region or for the whole image."""
        if self.literal:
            return self._literal_score(c, G)

        def score(images: Tensor, rows: Tensor) -> Tensor:
            evidence, _ = self.evidence.measure(
                images,
                c[rows],
                G,
                masks=masks[rows],
                reference=received[rows],
                augmentations=self.candidate_augmentations,
            )
            z = self.candidate_standard.apply(evidence)
            total = equations.final_score(z.distortion, z.consistency, self.evidence.distortion_weight)
            if not self.regional:
                return total[:, None]
            # A region's own distortion where it has one (not the target), beside what all regions share.
            own = torch.where(z.regions.isnan(), z.distortion[:, None], z.regions)
            return self.evidence.distortion_weight * own + z.consistency[:, None]

        return score

    def _literal_score(self, c: Condition, G: Generator) -> Score:
        def score(images: Tensor, rows: Tensor) -> Tensor:
            d, _, others, d_k = self.evidence.probe.literal(images, c[rows], G, self.candidate_augmentations)
            s_dist = torch.sigmoid(d).mean(2) * others
            s_cons = equations.consistency(d_k)[1].mean(1, keepdim=True)
            return equations.final_score(s_dist, s_cons, self.evidence.distortion_weight)

        return score

    # -- calibration ------------------------------------------------------------------------------------

    @torch.no_grad()
    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """Standardise candidate scores on clean faces, then pre-train Rec-Net on attacked ones."""
        state: dict[str, Any] = {}
        worker = copy(self)  # this one is calibrated by `load`
        if not self.literal:
            standard = self.evidence.fit_standard(data, G, augmentations=self.candidate_augmentations)
            state["standard"] = standard.state
            worker.candidate_standard = standard
        attacked = [pair[0] for pair in data.attacked.values()]
        x = torch.cat([a.images for a in attacked])
        c = Condition.cat([a.conditions for a in attacked])
        masks = self.evidence.probe.masks(x, c)
        planes = masks if self.regional else torch.ones_like(masks[:, :1])
        orders = list(permutations(range(len(self.recnet.layers))))
        score = in_batches(worker._score(c, G, masks, x), 4 * batch_size(x.shape, "search", x.device))
        trained = self.recnet.pretrain(x, planes, score, orders, data.progress)
        return state | {"recnet": trained.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        if "standard" in state:
            self.candidate_standard = Standard(state["standard"])
        self.recnet = self.recnet.with_state(state["recnet"])


def in_batches(score: Score, size: int) -> Score:
    """The same score, computed for `size` candidates at a time."""

    def bounded(images: Tensor, rows: Tensor) -> Tensor:
        pairs = zip(images.split(size), rows.split(size), strict=True)
        return torch.cat([score(part, idx) for part, idx in pairs])

    return bounded


def _told(choices: list[list[str]]) -> list[str]:
    """The choices of all layers as a list of texts: a layer that kept the image is left out."""
    told = []
    for layer in choices:
        names = list(dict.fromkeys(name for name in layer if name))
        if names:
            told.append(" | ".join(names))
    return told
