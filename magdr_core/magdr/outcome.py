"""What MagDR decided about a batch, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from magdr_core.functional import PARTS


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of detection and reconstruction.

    Attributes:
        score: `[B]`, suspicion of the received image.
        threshold: above it an image counts as disrupted.
        flagged: bool `[B]`.
        restored: `[B,3,H,W]`, 8-bit; the received image where nothing was flagged.
        rounds: `[B]` int64, reconstructions that were kept (0: none).
        round_scores: `[rounds + 1, B]`, the detection score before and after each round; NaN where a round
            did not run.
        plans: per image the restorations that were kept, in order.
        regions: `[B,N]`, standardised distortion per part (NaN: target or absent); None for literal forms.
        processings: `[B,K]`, standardised inconsistency per f_k, likewise.
        processing_names: the K labels.
        covered: bool `[B]`; False where the calibration never saw such an edit, so that the verdict is a
            guess.
        forwards: generator passes per image.
    """

    score: Tensor
    threshold: float
    flagged: Tensor
    restored: Tensor
    rounds: Tensor
    round_scores: Tensor
    plans: list[list[str]]
    covered: Tensor
    forwards: float
    regions: Tensor | None = None
    processings: Tensor | None = None
    processing_names: tuple[str, ...] = field(default_factory=tuple)

    def explain(self, i: int) -> Mapping[str, Any]:
        """The evidence on image `i` as JSON-able data."""
        told: dict[str, Any] = {
            "flagged": bool(self.flagged[i]),
            "score": round(float(self.score[i]), 4),
            "threshold": round(self.threshold, 4),
            "rounds": int(self.rounds[i]),
            "plan": self.plans[i],
            "covered_by_calibration": bool(self.covered[i]),
            "forwards": round(self.forwards, 1),
        }
        if self.regions is not None:
            values = zip(PARTS, self.regions[i].tolist(), strict=True)
            told["regions"] = {part: round(v, 2) for part, v in values if v == v}
        if self.processings is not None:
            values = zip(self.processing_names, self.processings[i].tolist(), strict=True)
            told["processings"] = {name: round(v, 2) for name, v in values}
        return told
