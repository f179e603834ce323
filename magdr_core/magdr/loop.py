"""MagDR as a whole: detect; if disrupted, reconstruct, replace, repeat (Fig. 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.components.protocols import (
    CalibratedDetector,
    Choice,
    Family,
    FitData,
    Generator,
    ImageMap,
)
from magdr_core.errors import CalibrationError
from magdr_core.functional import batch_size, constant
from magdr_core.magdr.calibration_images import CalibrationImages
from magdr_core.magdr.chains import Chain
from magdr_core.magdr.detector import MagDRDetector
from magdr_core.magdr.evidence import rows_of
from magdr_core.magdr.gate import choose_gate
from magdr_core.magdr.layer_search import LayerSearch
from magdr_core.magdr.learned_search import LearnedPick
from magdr_core.magdr.outcome import Outcome, Reconstruction, choice_of
from magdr_core.magdr.shortlist import FINALISTS

Form = Literal["learned", "standardised", "literal"]
Gate = Literal["error", "fpr", "f1"]


class MagDR:
    """The loop of the paper's Fig. 2 with Rec-Net (Algorithm 1).

    Args:
        detector: calibrated detector of the `magdr` kind; its evidence also scores the candidates.
        layers: lists of restorations, one list per layer of Rec-Net.
        candidate_augmentations: image processings f_k that judge candidates (each costs a pass per
            candidate).
        form: `learned` ranks a short list of chains by a fit to their true errors on calibration faces;
            `standardised` searches layer by layer with S_final (Eq. 9) in units of its spread on clean
            faces; `literal` is Algorithm 1 as printed: regional, always the best candidate (the image
            itself does not compete).
        gate: which suspicion is enough to reconstruct: the one with the least output error on calibration
            faces, or the detector's threshold for its false-positive rate or for the best F1.
        rounds: number of reconstructions at most.
        regional: let regions choose for themselves, blended by the masks.
        candidates: chains on the learned form's short list, besides the image itself.
        finalists: number of candidates that are judged in full, after a screening.
        min_gain: how far the standardised score must fall for a layer to be taken, in spreads of
            clean faces.
    """

    def __init__(
        self,
        detector: CalibratedDetector,
        layers: Sequence[Sequence[Family]],
        candidate_augmentations: Sequence[Any],
        *,
        form: Form = "learned",
        gate: Gate = "error",
        rounds: Annotated[int, Field(ge=1, le=10)] = 2,
        regional: bool = False,
        candidates: Annotated[int, Field(ge=1, le=512)] = 8,
        finalists: Annotated[int, Field(ge=1, le=512)] = FINALISTS,
        min_gain: Annotated[float, Field(ge=0, le=100)] = 0.25,
    ) -> None:
        component = getattr(detector.detector, "component", detector.detector)
        if not isinstance(component, MagDRDetector):
            raise TypeError("MagDR reconstructs by the evidence of a detector with use = 'magdr'")
        self.detector = detector
        self.evidence = component
        self.rounds = rounds
        self.gate_by = gate
        self.gate = detector.thresholds[gate] if gate != "error" else detector.threshold
        self.reconstructor: LearnedPick | LayerSearch
        if form == "learned":
            self.reconstructor = LearnedPick(
                component,
                layers,
                candidate_augmentations,
                size=candidates,
                finalists=finalists,
                regional=regional,
            )
        else:
            self.reconstructor = LayerSearch(
                component,
                layers,
                candidate_augmentations,
                min_gain=min_gain,
                regional=regional,
                literal=form == "literal",
            )
        self.output_above: float | None = None

    # -- defending --------------------------------------------------------------------------------------

    def __call__(self, x: Tensor, c: Condition, G: Generator) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same, 8-bit: `run`'s restored images."""
        return self.run(x, c, G).restored

    @torch.no_grad()
    def run(self, x: Tensor, c: Condition, G: Generator) -> Outcome:
        """Detect and reconstruct images `[B,3,H,W]` in [0,1], of any number."""
        if not len(x):
            return self._nothing(x)
        every = torch.arange(len(x), device=x.device).split(batch_size(x.shape, "defend", x.device))
        return Outcome.cat([self._run(x[idx], c[idx], G) for idx in every])

    def output_on(self, restored: Tensor, x: Tensor, c: Condition, G: Generator) -> Tensor:
        """The output behind the defense, `[B,3,H,W]`: a twin's, where it and G still disagree.

        Without a twin, or where none was calibrated, `G(restored, c)`.

        Args:
            restored: `[B,3,H,W]`, what was made of `x`.
            x: `[B,3,H,W]` in [0,1], as received.
        """
        y = G(restored, c)
        if self.output_above is None:
            return y
        own, disagreement = self.evidence.second.twin_output(restored, c, G, y)
        return torch.where((disagreement > self.output_above)[:, None, None, None], own, y)

    def inspect(self, x: Tensor, c: Condition, G: Generator) -> Outcome:
        """Detect alone, images `[B,3,H,W]` of any number: `restored` is what came in."""
        only = copy(self)
        only.rounds = 0
        return only.run(x, c, G)

    @property
    def unsure_above(self) -> float:
        """Above it a score is more like that of attacked faces than of clean ones: the threshold that parts
        them best on calibration faces, if not below the gate."""
        return max(self.gate, self.detector.thresholds.get("f1", self.gate))

    def _nothing(self, x: Tensor) -> Outcome:
        """The outcome of no images: no component is asked."""
        none = torch.zeros(0, device=x.device)
        return Outcome(
            score=none,
            threshold=self.detector.threshold,
            gate=self.gate,
            unsure_above=self.unsure_above,
            flagged=none.bool(),
            restored=x,
            rounds=none.long(),
            round_scores=none[None],
            plans=[],
            covered=none.bool(),
            forwards=0.0,
        )

    def _run(self, x: Tensor, c: Condition, G: Generator) -> Outcome:
        before = G.passes + self.evidence.second.passes()
        seen = self.evidence.inspect(x, c, G)
        score, outputs = seen.score, dict(seen.outputs)
        threshold = self.detector.threshold
        current, best, best_score = x.clone(), x.clone(), score.clone()
        rounds = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        history = [score]
        plans: list[list[str]] = [[] for _ in range(len(x))]
        steps: list[list[str]] = [[] for _ in range(len(x))]
        choices: list[Choice | None] = []
        active = score > self.gate
        for number in range(1, self.rounds + 1):
            rows = [i for i, on in enumerate(active.tolist()) if on]
            if not rows:
                break
            idx = constant(rows, x.device)
            known = rows_of(outputs, idx)
            made = self.reconstructor.reconstruct(current[idx], c[idx], G, x[idx], known)
            again = self.evidence.inspect(made.images, c[idx], G, made.outputs)
            new_score = torch.full_like(score, torch.nan)
            new_score[idx] = again.score
            history.append(new_score)
            choices.append(choice_of(made, rows, new_score))
            current[idx] = made.images
            for name, y in again.outputs.items():
                if name in outputs:
                    outputs[name] = outputs[name].index_copy(0, idx, y)
            for i, steps_of in zip(rows, made.plans, strict=True):
                steps[i] = steps[i] + steps_of
            better = active & (new_score < best_score)
            best = torch.where(better[:, None, None, None], current, best)
            best_score = torch.where(better, new_score, best_score)
            rounds = rounds.masked_fill(better, number)
            for i, improved in enumerate(better.tolist()):
                if improved:
                    plans[i] = list(steps[i])
            # A round that changed nothing would be repeated word for word.
            moved = constant([bool(s) for s in made.plans], x.device, torch.bool)
            active[idx] = moved & (new_score[idx] > threshold)
        z = seen.z
        return Outcome(
            score=score,
            threshold=threshold,
            gate=self.gate,
            unsure_above=self.unsure_above,
            flagged=score > threshold,
            restored=best,
            rounds=rounds,
            round_scores=torch.stack(history),
            plans=plans,
            covered=torch.ones_like(active) if z is None else self.evidence.covered(z),
            forwards=(G.passes + self.evidence.second.passes() - before) / max(1, len(x)),
            regions=None if z is None else z.regions,
            processings=None if z is None else z.processings,
            processing_names=self.evidence.processing_names(G),
            region_names=self.evidence.probe.regions.names,
            choices=tuple(choice for choice in choices if choice is not None),
        )

    def reconstruct(
        self, x: Tensor, c: Condition, G: Generator, *, received: Tensor | None = None
    ) -> Reconstruction:
        """One pass of Rec-Net over images that are known to be disrupted.

        Args:
            x: `[B,3,H,W]`, the current images.
            received: what came in, the reference outside the target; `x` if not given.
        """
        return self.reconstructor.reconstruct(x, c, G, x if received is None else received)

    @property
    def candidates(self) -> Mapping[str, Chain]:
        """By name the chains that the learned form chooses from, the image itself (`""`) first; empty for the
        others."""
        chosen = self.reconstructor
        chains = chosen.shortlist.chains if isinstance(chosen, LearnedPick) else ()
        return {str(chain): chain for chain in chains}

    @property
    def steps(self) -> Mapping[str, ImageMap]:
        """By name the settings that a plan of the searching forms may hold; empty for the learned form."""
        chosen = self.reconstructor
        return chosen.recnet.steps if isinstance(chosen, LayerSearch) else {}

    # -- calibration ------------------------------------------------------------------------------------

    @torch.no_grad()
    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """Pre-train Rec-Net and whatever scores its candidates; then choose the gate on held-out faces."""
        state = dict(self.reconstructor.fit(data, G))
        by_error, by_twin = self.gate_by == "error", bool(self.evidence.second.of(G))
        if not data.held_out or not (by_error or by_twin):
            return state
        seen = CalibrationImages(data.held_out, G)
        if by_error:
            state["gate"] = self._fit_gate(state, seen, G)
        if by_twin:
            state["output_above"] = self._fit_output(state, seen, G)
        return state

    def _fit_gate(self, state: Mapping[str, Any], seen: CalibrationImages, G: Generator) -> float:
        worker = self._loaded(state)
        worker.gate = -torch.inf
        outcome = worker.run(seen.x, seen.c, G)
        columns = (outcome.score, seen.errors(seen.x), seen.errors(outcome.restored), seen.attacked)
        scores, kept, restored, attacked = (t.cpu().numpy() for t in columns)
        return choose_gate(scores, kept, restored, attacked, self.detector.threshold)

    def _fit_output(self, state: Mapping[str, Any], seen: CalibrationImages, G: Generator) -> float:
        """The disagreement above which the twin's output is the better one, chosen as the gate is."""
        restored = self._loaded(state).run(seen.x, seen.c, G).restored
        twins, disagreements = [], []
        for idx in torch.arange(len(restored), device=restored.device).split(
            batch_size(restored.shape, "output", restored.device)
        ):
            y = G(restored[idx], seen.c[idx])
            own, disagreement = self.evidence.second.twin_output(restored[idx], seen.c[idx], G, y)
            twins.append(own)
            disagreements.append(disagreement)
        columns = (
            torch.cat(disagreements),
            seen.errors(restored),
            seen.output_errors(torch.cat(twins)),
            seen.attacked,
        )
        scores, kept, twin, attacked = (t.cpu().numpy() for t in columns)
        return choose_gate(scores, kept, twin, attacked, self.detector.threshold)

    def moved(self, state: Mapping[str, Any], by: float) -> Mapping[str, Any]:
        """The state where the detector's threshold is higher by so much: the gate stays as far below it."""
        return {**state, "gate": state["gate"] + by} if "gate" in state else state

    def _loaded(self, state: Mapping[str, Any]) -> MagDR:
        worker = copy(self)
        worker.reconstructor = copy(self.reconstructor)
        worker.load(state)
        return worker

    def load(self, state: Mapping[str, Any]) -> None:
        """Raises CalibrationError: a state of another composition."""
        self.reconstructor.load(state)
        self.gate = _number(state, "gate", self.gate)
        self.output_above = _number(state, "output_above") if "output_above" in state else None


def _number(state: Mapping[str, Any], key: str, default: float = 0.0) -> float:
    """Raises CalibrationError if something else stands there."""
    value = state.get(key, default)
    if not isinstance(value, int | float):
        raise CalibrationError(f"{key}: expected a number, got a {type(value).__name__}")
    return value
