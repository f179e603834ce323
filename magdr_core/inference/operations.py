"""What is done to face cuts: judge or defend a batch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.guards import GuardedGenerator
from magdr_core.inference.method import Method, output_behind
from magdr_core.inference.shown import Conditions, target_of
from magdr_core.magdr import Outcome, Verdict

Panels = list[tuple[str, Tensor]]

RESTORED = "restored"
"""What a picture is called that was restored, and the panels that show it."""


@dataclass(frozen=True, eq=False)
class Result:
    """What became of one cut.

    Attributes:
        facts: the evidence, JSON-able.
        changed: `[3,S,S]`, the cut that takes the place of the received one.
        output: `[3,S,S]`, the output on it.
        panels: for the side-by-side picture.
        verdict: of a job that judges.
    """

    facts: dict[str, Any]
    changed: Tensor
    output: Tensor
    panels: Panels = field(default_factory=list)
    verdict: Verdict | None = None

    def shown(self, changed: bool) -> Panels:
        """The panels; without those of a restoration where nothing was restored."""
        return [(label, image) for label, image in self.panels if changed or RESTORED not in label]


class FaceJob(Protocol):
    """`suffix` names the changed picture; `limit` bounds what any of its pixels may move by."""

    suffix: str
    limit: float | None
    generator: GuardedGenerator

    def __call__(self, x: Tensor, c: Condition, ids: Sequence[str]) -> list[Result]:
        """`[B,3,S,S]`, 8-bit cuts, B conditions and stable names."""


class JudgingPipeline(Protocol):
    """What jobs ask of a pipeline."""

    @property
    def generator(self) -> GuardedGenerator: ...

    @property
    def magdr(self) -> Method: ...

    def inspect(self, images: Tensor, c: Condition) -> Outcome:
        """Decide about faces `[B,3,S,S]` in [0,1]; `restored` is what came in."""

    def reconstruct(self, images: Tensor, c: Condition) -> Tensor:
        """Faces `[B,3,S,S]` in [0,1] -> same, 8-bit, restored whatever the detector says."""

    def defend(self, images: Tensor, c: Condition) -> Outcome:
        """Decide about faces `[B,3,S,S]` in [0,1], and restore those that are disrupted."""


class JudgingJob:
    """A pipeline whose verdicts are told.

    Args:
        synthetic: it is calibrated on drawn faces. The detector knows evidence unlike its calibration's, but
            photographs can have evidence that drawn faces have too, so every verdict on a file is a guess.
        conditions: where what a face shows is found out, it is found out again once the face is restored:
            of a disrupted one the generator cannot tell it. None: it is told.
    """

    limit: float | None = None

    def __init__(
        self, pipeline: JudgingPipeline, *, synthetic: bool = False, conditions: Conditions | None = None
    ) -> None:
        self.pipeline = pipeline
        self.conditions = conditions
        self.generator = pipeline.generator
        self.synthetic = synthetic

    def judged(self, outcome: Outcome) -> Outcome:
        return replace(outcome, doubtful=outcome.doubtful or self.synthetic)

    def evidence(self, outcome: Outcome, i: int) -> dict[str, Any]:
        """`Outcome.explain` with the verdict's word."""
        judged = self.judged(outcome)
        told: Mapping[str, Any] = judged.explain(i)
        return {"verdict": judged.verdict(i).word, **told}


class Detect(JudgingJob):
    """Only looks; nothing is changed."""

    suffix = ""

    def __call__(self, x: Tensor, c: Condition, ids: Sequence[str]) -> list[Result]:
        """`[B,3,S,S]`, 8-bit cuts, B conditions and names; what comes back is the cut itself."""
        outcome = self.judged(self.pipeline.inspect(x, c))
        verdicts = outcome.verdicts
        return [
            Result(self.evidence(outcome, i), x[i], x[i], verdict=verdicts[i]) for i in range(len(outcome))
        ]


class Defend(JudgingJob):
    """Restores what is disrupted, and where nobody can tell; that is for images like the calibration's alone,
    others are restored above the threshold only. What is not disrupted stays as it is."""

    suffix = RESTORED

    def __call__(self, x: Tensor, c: Condition, ids: Sequence[str]) -> list[Result]:
        """`[B,3,S,S]`, 8-bit cuts, B conditions and names; a result with the restored cut for each."""
        outcome = self.judged(self.pipeline.defend(x, c))
        known = outcome.covered & (not outcome.doubtful)
        wanted = outcome.flagged | (known & (outcome.score > outcome.unsure_from))
        outcome = outcome.left_alone(~wanted, x)
        facts = [self.evidence(outcome, i) for i in range(len(outcome))]
        defended = outcome.flagged | (outcome.rounds > 0)
        told = c
        if self.conditions is not None and bool((outcome.rounds > 0).any()):
            told = self.conditions(outcome.restored)
        facts = [{**own, "target": target_of(self.generator, told, i)} for i, own in enumerate(facts)]
        results = self.results(x, c, outcome.restored, facts, defended, told)
        return [replace(r, verdict=v) for r, v in zip(results, outcome.verdicts, strict=True)]

    @torch.no_grad()
    def results(
        self,
        x: Tensor,
        c: Condition,
        restored: Tensor,
        facts: Sequence[dict[str, Any]],
        defended: Tensor,
        told: Condition,
    ) -> list[Result]:
        """The results of cuts that are restored already.

        Args:
            x: `[B,3,S,S]`, the received cuts.
            c: of B rows.
            restored: `[B,3,S,S]`, what takes their place.
            facts: B of them, for the results.
            defended: bool `[B]`, whose output is the one behind the defense; others have the generator's own.
            told: of B rows, what the generator is told of `restored`.
        """
        before = self.generator(x, c)
        after = output_behind(self.pipeline.magdr, restored, x, told, self.generator)
        after = torch.where(defended[:, None, None, None], after, before)
        return [
            Result(
                facts[i],
                restored[i],
                after[i],
                [
                    ("received", x[i]),
                    ("restored", restored[i]),
                    ("output on received", before[i]),
                    ("output on restored", after[i]),
                ],
            )
            for i in range(len(x))
        ]
