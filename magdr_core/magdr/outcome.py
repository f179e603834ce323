"""What MagDR decided about a batch, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from magdr_core.components.protocols import Choice
from magdr_core.functional import PARTS, constant
from magdr_core.magdr.evidence import Outputs
from magdr_core.magdr.verdict import Verdict
from magdr_core.short_repr import in_short, one_line_repr


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What a pass of Rec-Net made of a batch.

    Attributes:
        images: `[B,3,H,W]`, 8-bit.
        plans: per image the restorations that were applied, in order.
        outputs: of the generator on `images`, as far as the search had to know them.
        scores: `[B,n]`, of the learned form's candidates, lower is better, infinite where screened out; None
            for the searching forms.
    """

    images: Tensor
    plans: list[list[str]]
    outputs: Outputs = field(default_factory=dict)
    scores: Tensor | None = None

    __repr__ = one_line_repr

    @staticmethod
    def cat(parts: Sequence[Reconstruction]) -> Reconstruction:
        return Reconstruction(
            torch.cat([p.images for p in parts]),
            [plan for p in parts for plan in p.plans],
            {name: torch.cat([p.outputs[name] for p in parts]) for name in parts[0].outputs},
            None if parts[0].scores is None else torch.cat([p.scores for p in parts if p.scores is not None]),
        )


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of detection and reconstruction.

    Attributes:
        score: `[B]`, suspicion of the received image.
        threshold: above it an image counts as disrupted.
        gate: above it an image is reconstructed, which can pay before the verdict is safe.
        flagged: bool `[B]`, `score > threshold`.
        restored: `[B,3,H,W]`, 8-bit; the received image where the score is not over the gate.
        rounds: `[B]` int64, reconstructions that were kept (0: none).
        round_scores: `[rounds + 1, B]`, the detection score before and after each round; NaN where a round
            did not run.
        plans: per image the restorations that were kept, in order.
        regions: `[B,N]`, standardised distortion per part (NaN: target or absent); None for literal forms.
        processings: `[B,K]`, standardised inconsistency per f_k, likewise.
        processing_names: the K labels.
        region_names: the N names, the parser's.
        covered: bool `[B]`; False where the calibration never saw such an edit, so that the verdict is a
            guess.
        forwards: generator passes per image.
        doubtful: the calibration is of another kind of images than these (drawn faces, photographs), so that
            every verdict is a guess.
        choices: what each round could have chosen; empty for the searching forms, which keep no scores.
        unsure_above: from this score on up to the threshold nobody can tell; the gate if None.
    """

    score: Tensor
    threshold: float
    gate: float
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
    region_names: tuple[str, ...] = PARTS
    doubtful: bool = False
    choices: tuple[Choice, ...] = ()
    unsure_above: float | None = None

    def __len__(self) -> int:
        return len(self.score)

    def __repr__(self) -> str:
        n = len(self)
        told = [f"{int(self.flagged.sum())} of {n} image{'s' * (n != 1)} disrupted"]
        if n:
            low, high = float(self.score.min()), float(self.score.max())
            scores = f"score {low:.2f}" if n == 1 else f"scores {low:.2f} to {high:.2f}"
            told.append(f"{scores}, threshold {self.threshold:.2f}")
        told.append(f"{int((self.rounds > 0).sum())} restored, {in_short(self.restored)}")
        told.append(f"{self.forwards:.3g} generator passes an image")
        guesses = n if self.doubtful else n - int(self.covered.sum())
        if guesses:
            told.append(f"{guesses} verdict{'s are guesses' if guesses != 1 else ' is a guess'}")
        return f"<Outcome: {'; '.join(told)}>"

    @property
    def verdicts(self) -> list[Verdict]:
        """The decision about each image, with its evidence as numbers."""
        return [self.verdict(i) for i in range(len(self))]

    def verdict(self, i: int) -> Verdict:
        """The decision about image `i`."""
        return Verdict(
            disrupted=bool(self.flagged[i]),
            score=float(self.score[i]),
            threshold=self.threshold,
            guess=self.doubtful or not bool(self.covered[i]),
            rounds=int(self.rounds[i]),
            plan=tuple(self.plans[i]),
            regions=self._regions(i),
            processings=self._processings(i),
            unsure_above=self.unsure_from,
        )

    @property
    def unsure_from(self) -> float:
        """The score from which on nobody can tell, never above the threshold."""
        return min(self.threshold, self.gate if self.unsure_above is None else self.unsure_above)

    def left_alone(self, rows: Tensor, received: Tensor) -> Outcome:
        """The same without what was restored of some images.

        Args:
            rows: bool `[B]`, which ones.
            received: `[B,3,H,W]`, the images that came in.
        """
        return replace(
            self,
            restored=torch.where(rows[:, None, None, None], received, self.restored),
            rounds=self.rounds.masked_fill(rows, 0),
            plans=[[] if alone else plan for alone, plan in zip(rows.tolist(), self.plans, strict=True)],
        )

    def _regions(self, i: int) -> dict[str, float]:
        if self.regions is None:
            return {}
        values = zip(self.region_names, self.regions[i].tolist(), strict=True)
        return {part: v for part, v in values if v == v}

    def _processings(self, i: int) -> dict[str, float]:
        if self.processings is None:
            return {}
        return dict(zip(self.processing_names, self.processings[i].tolist(), strict=True))

    @staticmethod
    def cat(parts: Sequence[Outcome]) -> Outcome:
        """The outcome of a batch from those of its parts."""
        rounds = max(len(p.round_scores) for p in parts)
        rows = [
            torch.nn.functional.pad(p.round_scores, (0, 0, 0, rounds - len(p.round_scores)), value=torch.nan)
            for p in parts
        ]

        def joined(name: str) -> Any:
            values = [getattr(p, name) for p in parts]
            return None if values[0] is None else torch.cat(values)

        count = sum(len(p.score) for p in parts)
        return replace(
            parts[0],
            **{
                name: joined(name)
                for name in ("score", "flagged", "restored", "rounds", "covered", "regions", "processings")
            },
            round_scores=torch.cat(rows, 1),
            plans=[plan for p in parts for plan in p.plans],
            choices=_rounds([(p.choices, len(p)) for p in parts]),
            forwards=sum(p.forwards * len(p.score) for p in parts) / max(1, count),
        )

    def explain(self, i: int) -> Mapping[str, Any]:
        """The evidence on image `i` as JSON-able data."""
        told: dict[str, Any] = {
            "flagged": bool(self.flagged[i]),
            "score": round(float(self.score[i]), 4),
            "threshold": round(self.threshold, 4),
            "reconstructed_above": round(self.gate, 4),
            "unsure_above": round(self.unsure_from, 4),
            "rounds": int(self.rounds[i]),
            "plan": self.plans[i],
            "covered_by_calibration": bool(self.covered[i]) and not self.doubtful,
            "forwards": round(self.forwards, 1),
        }
        if self.regions is not None:
            told["regions"] = {part: round(v, 2) for part, v in self._regions(i).items()}
        if self.processings is not None:
            told["processings"] = {name: round(v, 2) for name, v in self._processings(i).items()}
        return told


def choice_of(made: Reconstruction, rows: Sequence[int], after: Tensor) -> Choice | None:
    """The round in which a pass of Rec-Net reconstructed some images of a batch; None without scores.

    Args:
        rows: which images of the batch they are, on the host: a GPU is not asked for them.
        after: `[B]`, the detection scores after it; NaN where an image took no part.
    """
    if made.scores is None:
        return None
    plans: list[list[str]] = [[] for _ in range(len(after))]
    for i, plan in zip(rows, made.plans, strict=True):
        plans[i] = list(plan)
    idx = constant(list(rows), after.device)
    scores = made.scores.new_full((len(after), made.scores.shape[1]), torch.inf)
    active = torch.zeros(len(after), dtype=torch.bool, device=after.device)
    return Choice(
        scores=scores.index_copy(0, idx, made.scores),
        plans=plans,
        active=active.index_fill(0, idx, True),
        after=torch.nan_to_num(after, torch.inf),
    )


def _rounds(parts: Sequence[tuple[Sequence[Choice], int]]) -> tuple[Choice, ...]:
    """The rounds of a batch from those of its parts, of which some may have had fewer."""
    longest = max((rounds for rounds, _ in parts), key=len)
    return tuple(
        _round([rounds[k] if k < len(rounds) else _idle(like, count) for rounds, count in parts])
        for k, like in enumerate(longest)
    )


def _idle(like: Choice, count: int) -> Choice:
    """A round in which no image took part."""
    scores = like.scores.new_full((count, like.scores.shape[1]), torch.inf)
    none = torch.zeros(count, dtype=torch.bool, device=scores.device)
    return Choice(scores, [[]] * count, none, scores.new_full((count,), torch.inf))


def _round(parts: Sequence[Choice]) -> Choice:
    return Choice(
        torch.cat([p.scores for p in parts]),
        [plan for p in parts for plan in p.plans],
        torch.cat([p.active for p in parts if p.active is not None]),
        torch.cat([p.after for p in parts if p.after is not None]),
    )
