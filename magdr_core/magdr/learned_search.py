"""Rec-Net's learned form: what a candidate's features are, and how they are gathered on calibration faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.components.protocols import Family, FitData, Generator
from magdr_core.functional import batch_size
from magdr_core.magdr.calibration_images import CalibrationImages
from magdr_core.magdr.detector import MagDRDetector
from magdr_core.magdr.evidence import Evidence, Outputs, rows_of
from magdr_core.magdr.outcome import Reconstruction
from magdr_core.magdr.shortlist import FINALISTS, Judge, JudgedCandidates, Shortlist
from magdr_core.magdr.standardise import Standard

SCREENED_BY = 1
"""f_k that screen candidates; the finalists are judged by all of them."""

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
        finalists: chains that are judged by all f_k, after a screening by the first of them.
        regional: let a composite of the regions' own picks compete.
    """

    def __init__(
        self,
        evidence: MagDRDetector,
        layers: Sequence[Sequence[Family]],
        candidate_augmentations: Sequence[Any],
        *,
        size: int = 8,
        finalists: int = FINALISTS,
        regional: bool = False,
    ) -> None:
        self.evidence = evidence
        self.candidate_augmentations = list(candidate_augmentations)
        self.regional = regional
        self.shortlist = Shortlist(layers, size=size, finalists=finalists)
        self.standard: Standard | None = None

    def reconstruct(
        self, x: Tensor, c: Condition, G: Generator, received: Tensor, known: Outputs | None = None
    ) -> Reconstruction:
        """8-bit images, and per image the chain that was applied.

        Args:
            x: `[B,3,H,W]`, the images at hand.
            received: `[B,3,H,W]`, as they came in, before earlier rounds.
            known: outputs of G on `x` that are there already.
        """
        parts = []
        for idx in torch.arange(len(x), device=x.device).split(batch_size(x.shape, "search", x.device)):
            masks = self.evidence.probe.masks(x[idx], c[idx])
            judge = self._judge(c[idx], G, masks, received[idx])
            seen = None if known is None else rows_of(known, idx)
            pick = self.shortlist.pick(x[idx], masks, judge, seen, regional=self.regional)
            plans = [[name] if name else [] for name in pick.names]
            parts.append(Reconstruction(pick.images, plans, pick.outputs, pick.scores))
        return Reconstruction.cat(parts)

    def _judge(self, c: Condition, G: Generator, masks: Tensor, received: Tensor) -> Judge:
        def chunk(
            images: Tensor, rows: Tensor, prior: Tensor, known: Outputs | None, screening: bool
        ) -> JudgedCandidates:
            f = self._judges
            evidence, outputs = self.evidence.measure(
                images,
                c[rows],
                G,
                masks=masks[rows],
                reference=received[rows],
                augmentations=f[:SCREENED_BY] if screening else f,
                known=known,
            )
            z = self._standard.apply(evidence)
            moved = ((images - received[rows]).abs().flatten(1).mean(1) + SMALLEST_CHANGE).log()
            rest = torch.cat([moved[:, None], prior[:, None]], 1)
            # Of an ablation's evidence only one half is there; zeros take no part in a ranking.
            distortion_by = z.distortion_by * (self.evidence.evidence != "consistency")
            consistency_by = z.consistency_by if f else rest.new_zeros(len(rest), 1, 1)
            cheap = consistency_by[:, :SCREENED_BY].mean(1)
            shared = torch.cat([consistency_by.mean(1), rest], 1)
            # The target and absent regions have no distortion of their own: the image's stands in.
            regions_by = z.regions_by * (self.evidence.evidence != "consistency")
            distortion = torch.where(regions_by.isnan(), distortion_by[:, :, None], regions_by)
            return JudgedCandidates(
                screen=torch.cat([distortion_by, cheap, rest], 1),
                own=torch.cat([distortion_by, shared], 1),
                by_region=torch.cat(
                    [distortion.transpose(1, 2), shared[:, None].expand(-1, masks.shape[1], -1)], 2
                ),
                outputs=outputs,
            )

        def judge(
            images: Tensor,
            rows: Tensor,
            prior: Tensor,
            known: Outputs | None = None,
            screening: bool = False,
        ) -> JudgedCandidates:
            together = batch_size(images.shape, "candidates", images.device)
            every = torch.arange(len(images), device=images.device).split(together)
            parts = [
                chunk(images[i], rows[i], prior[i], None if known is None else rows_of(known, i), screening)
                for i in every
            ]
            return JudgedCandidates.cat(parts)

        return judge

    @property
    def _judges(self) -> list[Any]:
        """The f_k that candidates are judged by: none where the detector's evidence is distortion alone."""
        return [] if self.evidence.evidence == "distortion" else self.candidate_augmentations

    @property
    def _standard(self) -> Standard:
        assert self.standard is not None, "load() first"
        return self.standard

    # -- calibration ------------------------------------------------------------------------------------

    @torch.no_grad()
    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """Standardise on clean faces; then choose and rank chains on attacked and clean ones."""
        worker = copy(self)  # this one is calibrated by `load`, not by having been fitted
        options = {"augmentations": self._judges}
        parts: list[Evidence] = []
        done = 0
        for batch in data.clean.batches("search"):
            parts.append(self.evidence.measure(batch.images, batch.conditions, G, **options)[0])
            done += len(batch)
            data.progress(done, len(data.clean))
        worker.standard = Standard.fit(Evidence.cat(parts))
        seen = CalibrationImages(data.attacked, G)
        x, c = seen.x, seen.c
        every = torch.arange(len(x), device=x.device).split(batch_size(x.shape, "output", x.device))
        masks = torch.cat([self.evidence.probe.masks(x[idx], c[idx]) for idx in every])
        state = self.shortlist.fit(
            x,
            seen.faces,
            seen.attacked,
            seen.errors,
            worker._judge(c, G, masks, x),
            progress=data.progress,
        )
        return {"standard": worker.standard.state, **state}

    def load(self, state: Mapping[str, Any]) -> None:
        self.standard = Standard(state["standard"])
        self.shortlist = self.shortlist.with_state(state)
