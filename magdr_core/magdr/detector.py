"""MagDR's detector: distortion, consistency, or both; calibrated, or as printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from magdr_core.errors import CalibrationError
from magdr_core.magdr import equations
from magdr_core.magdr.evidence import Evidence, Probe
from magdr_core.magdr.standard import Standard, Standardised
from magdr_core.protocols import FitData, Generator, Parser
from magdr_core.types import Condition

Form = Literal["calibrated", "literal"]
Use = Literal["both", "distortion", "consistency"]

BATCH = 16
"""Images measured at a time while fitting; times 1 + K generator passes each."""


class MagDRDetector:
    """Score of disruption, higher is more suspicious.

    Args:
        parser, criteria, augmentations: see :class:`~magdr_core.magdr.evidence.Probe`.
        form: `literal` computes Eq. 4 to 7 and 9 as printed (the vote count of Eq. 5 if only distortion is
            used); `calibrated` combines standardised log distances.
        evidence: which half is used.
        distortion_weight: lambda of Eq. 9.
        oracle: use exact masks (benchmarks only; tables say so).
    """

    def __init__(
        self,
        parser: Parser,
        criteria: Sequence[Any],
        augmentations: Sequence[Any],
        *,
        form: Form = "calibrated",
        evidence: Use = "both",
        distortion_weight: float = 1.0,
        oracle: bool = False,
    ) -> None:
        self.probe = Probe(parser, criteria, augmentations, oracle=oracle)
        self.form = form
        self.evidence = evidence
        self.distortion_weight = distortion_weight
        self.standard: Standard | None = None

    def __call__(self, x: Tensor, c: Condition, G: Generator) -> Tensor:
        return self.inspect(x, c, G)[0]

    def inspect(self, x: Tensor, c: Condition, G: Generator) -> tuple[Tensor, Standardised | None]:
        """The score `[B]` and the evidence that it was combined from (None for the literal form)."""
        if self.form == "literal":
            return self._literal(x, c, G), None
        z = self.standardised(self.measure(x, c, G))
        return self.combine(z), z

    def measure(self, x: Tensor, c: Condition, G: Generator, **options: Any) -> Evidence:
        """Raw evidence; only the half that is used costs generator passes."""
        if self.evidence == "distortion":
            options.setdefault("augmentations", ())
        return self.probe.measure(x, c, G, **options)

    def standardised(self, evidence: Evidence) -> Standardised:
        """Raises CalibrationError before `load`."""
        if self.standard is None:
            raise CalibrationError("this detector is not calibrated yet: run `magdr calibrate`")
        return self.standard.apply(evidence)

    def combine(self, z: Standardised) -> Tensor:
        """Eq. 9 on standardised evidence, `[B]`."""
        if self.evidence == "distortion":
            return z.distortion
        if self.evidence == "consistency":
            return z.consistency
        return equations.final_score(z.distortion, z.consistency, self.distortion_weight)

    def _literal(self, x: Tensor, c: Condition, G: Generator) -> Tensor:
        none = () if self.evidence == "distortion" else None
        d, d_c, others, d_k = self.probe.literal(x, c, G, none)
        if self.evidence == "distortion":
            return equations.votes(d, d_c, others).sum(1).float()
        s_cons = equations.consistency(d_k)[1].mean(1)
        if self.evidence == "consistency":
            return s_cons
        return equations.final_score(equations.distortion_score(d, others), s_cons, self.distortion_weight)

    # -- calibration ------------------------------------------------------------------------------------

    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        return {} if self.form == "literal" else self.fit_standard(data, G).state

    @torch.no_grad()
    def fit_standard(self, data: FitData, G: Generator, **options: Any) -> Standard:
        """Standardise on the clean faces; `options` as for `measure`."""
        parts = []
        for batch in data.clean.batches(BATCH):
            parts.append(self.measure(batch.images, batch.conditions, G, **options))
            data.progress(min(len(parts) * BATCH, len(data.clean)), len(data.clean))
        return Standard.fit(Evidence.cat(parts))

    def load(self, state: Mapping[str, Any]) -> None:
        if self.form == "calibrated":
            self.standard = Standard(state)
