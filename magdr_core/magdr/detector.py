"""MagDR's detector: distortion, consistency, or both; weighed by a fit, standardised, or as printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from magdr_core.components.batch import Condition, Samples
from magdr_core.components.protocols import FitData, Generator, Parser
from magdr_core.errors import CalibrationError
from magdr_core.magdr import equations, fitted
from magdr_core.magdr import logistic as learned
from magdr_core.magdr.evidence import ITSELF, Evidence, Extent, Outputs, Probe
from magdr_core.magdr.one_edit import MagDRForOneEdit
from magdr_core.magdr.second_opinions import SecondOpinions, folds
from magdr_core.magdr.standardise import Standard, Standardised
from magdr_core.short_repr import one_line_repr

Form = Literal["learned", "one-sided", "per-edit", "standardised", "literal", "literal-distances"]
Use = Literal["both", "distortion", "consistency", "opinions"]

LEARNED: tuple[Form, ...] = ("learned", "one-sided", "per-edit")
"""Forms whose evidence is weighed by a fit."""

LITERAL: tuple[Form, ...] = ("literal", "literal-distances")
"""Forms that compute the printed equations on raw criteria."""


@dataclass(frozen=True, eq=False)
class Inspection:
    """What the detector saw in a batch.

    Attributes:
        score: `[B]`.
        z: the evidence that it was combined from; None for literal forms.
        outputs: of the generator, for whoever needs the same ones next.
    """

    score: Tensor
    z: Standardised | None = None
    outputs: Outputs = field(default_factory=dict)

    __repr__ = one_line_repr


class MagDRDetector:
    """What G changes outside the target (distortion) and how unstable its output is (consistency).

    Args:
        parser: face parser that tells the regions.
        criteria: metrics D_i that compare pictures, region by region.
        augmentations: image processings f_k under which the output should be stable.
        form: `literal` computes Eq. 4 to 7 and 9 as printed (the vote count of Eq. 5 if only distortion is
            used), `literal-distances` the same with similarities read as distances (1 - SSIM, the error of a
            PSNR); `standardised` adds log distances in units of their spread on clean faces, and has never
            seen an attack; `learned` weighs them by a fit to attacked, noisy and harmlessly edited faces;
            `one-sided` does so with evidence of which none speaks for an image: an f_k or a region that looks
            cleaner than clean faces cannot make up for another; `per-edit` with consistency in units of clean
            faces with the same target region, as distortion always is: it costs an attacker most.
        evidence: which half of the evidence is used; `both` asks for second opinions too, `opinions`
            for nothing else.
        distortion_weight: weight lambda of distortion in Eq. 9 (not of the learned forms, which have
            weights of their own).
        leave_out: labels of calibration attacks that the learned forms must not see.
        consistency_over: where outputs are compared: the image, the target region, or both (the
            literal form compares images).
        oracle: whether exact masks stand in for the parser's (benchmarks only; tables say so).
        twins: second generators; those that take the conditions of the generator at hand are asked
            for their opinion.
        opinion: a restoration whose effect on the output is asked for, a purifier. With it or with twins the
            score is the largest of what is known, each in spreads of harmless images.
    """

    def __init__(
        self,
        parser: Parser,
        criteria: Sequence[Any],
        augmentations: Sequence[Any],
        *,
        form: Form = "per-edit",
        evidence: Use = "both",
        distortion_weight: Annotated[float, Field(ge=0, le=100)] = 1.0,
        leave_out: tuple[str, ...] = (),
        consistency_over: Extent = "image",
        oracle: bool = False,
        twins: Sequence[Generator] | None = None,
        opinion: Any | None = None,
    ) -> None:
        self.probe = Probe(parser, criteria, augmentations, consistency_over=consistency_over, oracle=oracle)
        self.form = form
        self.evidence = evidence
        self.distortion_weight = distortion_weight
        self.leave_out = leave_out
        # The literal form is the paper's, and half of the evidence is half of it.
        asked = form not in LITERAL and evidence in ("both", "opinions")
        if evidence == "opinions" and not twins and opinion is None:
            raise ValueError("evidence = 'opinions' needs `twins` or an `opinion`")
        self.second = SecondOpinions(self.probe, *((twins or (), opinion) if asked else ()))
        self.standard: Standard | None = None
        self._learned: Mapping[str, Any] = {}

    def for_one_edit(self, generator: Any, c: Condition) -> Any:
        """A network of pictures `[1,3,S,S]` alone, for one condition: :mod:`magdr_core.magdr.one_edit`."""
        return MagDRForOneEdit(self, generator, c)

    @property
    def gradient(self) -> Literal["straight-through", "none"]:
        """What the score's gradient is: votes are counted (Eq. 5), all else is followed where the f_k are."""
        counting = self.form in LITERAL and self.evidence == "distortion"
        return "none" if counting else "straight-through"

    def __call__(self, x: Tensor, c: Condition, G: Generator) -> Tensor:
        """The score of images `[B,3,H,W]` in [0,1], `[B]`: higher is more suspicious."""
        return self.inspect(x, c, G).score

    def with_output(self, x: Tensor, c: Condition, G: Generator, y: Tensor) -> Tensor:
        """The score where `y = G(x,c)`, `[B,3,H,W]`, is there already; the literal form asks again."""
        return self.inspect(x, c, G, {ITSELF: y}).score

    def inspect(self, x: Tensor, c: Condition, G: Generator, known: Outputs | None = None) -> Inspection:
        """Score images `[B,3,H,W]` in [0,1]; `known` outputs of G are not computed again."""
        if self.form in LITERAL:
            return Inspection(self._literal(x, c, G))
        if self.evidence == "opinions":
            outputs = self.probe.outputs(x, c, G, (), known)
            opinions = self.second(x, c, G, outputs[ITSELF])
            return Inspection(opinions.amax(1), None, outputs)
        evidence, outputs = self.measure(x, c, G, known=known)
        z = self.standardised(evidence)
        score = self.score(z)
        if self.second.state:
            opinions = self.second(x, c, G, outputs[ITSELF])
            score = torch.maximum(self.second.first(score), opinions.amax(1))
            z = replace(z, processings=torch.cat([z.processings, opinions], 1))
        return Inspection(score, z, outputs)

    def processing_names(self, G: Generator) -> tuple[str, ...]:
        """The f_k's labels, then those of second opinions: of the columns of `Standardised.processings`."""
        f = tuple(f.label for f in self.probe.augmentations)
        return (*f, *self.second.names(G)) if self.second.state else f

    def measure(self, x: Tensor, c: Condition, G: Generator, **options: Any) -> tuple[Evidence, Outputs]:
        """Raw evidence on images `[B,3,H,W]` and the outputs behind it; only the half that is used costs
        passes.

        Args:
            options: of :meth:`~magdr_core.magdr.evidence.Probe.measure`.
        """
        if self.evidence == "distortion":
            options.setdefault("augmentations", ())
        return self.probe.measure(x, c, G, **options)

    def standardised(self, evidence: Evidence) -> Standardised:
        """Raises CalibrationError before `load`."""
        if self.standard is None:
            raise CalibrationError("this detector is not calibrated yet: run `magdr calibrate`")
        return self.standard.apply(evidence)

    def score(self, z: Standardised) -> Tensor:
        """`[B]`: log odds of disruption if learned, else Eq. 9 on standardised evidence."""
        if self.form in LEARNED:
            return learned.log_odds(self._learned["logistic"], self.features(z))
        if self.evidence == "distortion":
            return z.distortion
        if self.evidence == "consistency":
            return z.consistency
        return equations.final_score(z.distortion, z.consistency, self.distortion_weight)

    def features(self, z: Standardised) -> Tensor:
        """What is weighed, `[B,F]`: distortion per criterion, consistency per f_k and criterion."""
        distortion, consistency = z.distortion_by, z.consistency_by
        if self.form == "one-sided":
            regions = torch.nan_to_num(z.regions_by, 0.0).clamp_min(0.0)
            distortion = regions.sum(2) / (~z.regions_by.isnan()).sum(2).clamp_min(1)
            consistency = consistency.clamp_min(0.0)
        halves = {"distortion": distortion, "consistency": consistency.flatten(1)}
        return torch.cat([v for k, v in halves.items() if self.evidence in ("both", k)], 1)

    def covered(self, z: Standardised) -> Tensor:
        """bool `[B]`: whether calibration saw this kind of edit, and evidence like this image's."""
        if not self._learned:
            return z.covered
        return z.covered & learned.familiar(self._learned["familiarity"], self.features(z))

    def _literal(self, x: Tensor, c: Condition, G: Generator) -> Tensor:
        none = () if self.evidence == "distortion" else None
        distances = self.form == "literal-distances"
        d, d_c, others, d_k = self.probe.literal(x, c, G, none, distances=distances)
        if self.evidence == "distortion":
            return equations.votes(d, d_c, others).sum(1).float()
        s_cons = equations.consistency(d_k)[1].mean(1)
        if self.evidence == "consistency":
            return s_cons
        return equations.final_score(equations.distortion_score(d, others), s_cons, self.distortion_weight)

    # -- calibration ------------------------------------------------------------------------------------

    @torch.no_grad()
    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """Standardise on clean faces; then, if learned, weigh the evidence on other, attacked ones.

        Raises:
            ValueError: nothing is left to learn from.
        """
        if self.form in LITERAL:
            return {}
        if self.evidence == "opinions":
            return {"opinions": self.second.fit(data, G, None)}
        clean = self._evidence(data.clean, data, G)
        attacked, harmless = ([], []) if self.form == "standardised" else self._learned_from(data, G)
        state = self._fitted(clean, attacked, harmless)
        if not self.second.names(G):
            return state
        return {**state, "opinions": self.second.fit(data, G, self._unseen(clean, attacked, harmless))}

    def _fitted(
        self, clean: Evidence, attacked: Sequence[Evidence], harmless: Sequence[Evidence]
    ) -> Mapping[str, Any]:
        """The state without second opinions; of the standardised form where there are no attacks."""
        standard = Standard.fit(clean, per_edit=self.form == "per-edit")
        if not attacked:
            return standard.state

        def features(evidence: Evidence) -> Any:
            return self.features(standard.apply(evidence)).double().cpu().numpy()

        positives, negatives = [features(e) for e in attacked], [features(e) for e in harmless]
        return {
            **standard.state,
            "logistic": learned.fit_logistic(np.concatenate(positives), negatives),
            "familiarity": learned.fit_familiarity(np.concatenate([*positives, *negatives])),
        }

    def _unseen(self, clean: Evidence, attacked: Sequence[Evidence], harmless: Sequence[Evidence]) -> Tensor:
        """Scores of the clean images by fits that did not see them, `[N]`: on those that it saw a fit makes
        fewer false alarms."""
        worker = copy(self)
        worker.second = SecondOpinions(self.probe)
        scores = []
        for part, rest in folds(len(clean.distortion), clean.distortion.device):
            worker.load(self._fitted(clean.rows(rest), attacked, harmless))
            scores.append(worker.score(worker.standardised(clean.rows(part))))
        return torch.cat(scores)

    def fit_standard(self, data: FitData, G: Generator, **options: Any) -> Standard:
        """Standardise on the clean faces; `options` as for `measure`."""
        clean = self._evidence(data.clean, data, G, **options)
        return Standard.fit(clean, per_edit=self.form == "per-edit")

    def _evidence(self, samples: Samples, data: FitData, G: Generator, **options: Any) -> Evidence:
        parts, together = [], samples.together("learn")
        for batch in samples.batches(together):
            parts.append(self.measure(batch.images, batch.conditions, G, **options)[0])
            data.progress(min(len(parts) * together, len(samples)), len(samples))
        return Evidence.cat(parts)

    def _learned_from(self, data: FitData, G: Generator) -> tuple[list[Evidence], list[Evidence]]:
        """Evidence of attacked images, and of harmless ones by kind."""
        unknown = [name for name in self.leave_out if name not in data.attacked]
        if unknown:
            raise ValueError(f"leave_out names {unknown[0]!r}, which the calibration does not attack with")
        attacked = {k: v for k, v in data.attacked.items() if k not in self.leave_out}
        if not attacked:
            raise ValueError("every attack of the calibration is left out")
        clean = {v[1].ids: v[1] for v in attacked.values()}  # usually the same faces for every attack
        positives = [self._evidence(pair[0], data, G) for pair in attacked.values()]
        return positives, [self._evidence(s, data, G) for s in (*clean.values(), *data.harmless.values())]

    @torch.no_grad()
    def adapted(self, state: Mapping[str, Any], clean: Samples, G: Generator) -> Mapping[str, Any]:
        """The state that takes images like `clean` for known ones, as far as their kind of edit is; units and
        weights stay."""
        if "familiarity" not in state:
            return state
        parts = [self.measure(b.images, b.conditions, G)[0] for b in clean.batches("learn")]
        features = self.features(self.standardised(Evidence.cat(parts))).double().cpu().numpy()
        return {**state, "familiarity": learned.widened(state["familiarity"], features)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Raises CalibrationError: the state is of other criteria, f_k or second opinions than these."""
        if self.form in LITERAL:
            return
        self.second.load(state.get("opinions"))
        if self.evidence == "opinions":
            return
        criteria, processings = len(self.probe.criteria), len(self.probe.augmentations)
        if self.evidence == "distortion":
            processings = 0
        compared = criteria * (2 if self.probe.consistency_over == "both" else 1)
        fitted.check_standard(state, criteria, processings, len(self.probe.regions), compared=compared)
        if self.form in LEARNED:
            halves = {"distortion": criteria, "consistency": processings * compared}
            features = sum(count for half, count in halves.items() if self.evidence in ("both", half))
            fitted.check_learned(state, features)
            self._learned = {k: state[k] for k in ("logistic", "familiarity")}
        self.standard = Standard(state)
