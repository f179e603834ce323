"""MagDR as a whole: detect; if disrupted, reconstruct, replace, repeat (Fig. 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from magdr_core.magdr.detector import MagDRDetector
from magdr_core.magdr.outcome import Outcome
from magdr_core.magdr.pick import LearnedPick
from magdr_core.magdr.search import LayerSearch
from magdr_core.magdr.shortlist import Chain
from magdr_core.protocols import CalibratedDetector, Family, FitData, Generator
from magdr_core.types import Condition

Form = Literal["learned", "standardised", "literal"]


class MagDR:
    """Detection and reconstruction.

    Args:
        detector: a calibrated detector whose component is a :class:`MagDRDetector`; its evidence also
            scores the candidates.
        layers: Rec-Net's layers of families.
        candidate_augmentations: the f_k that judge candidates (each costs a pass per candidate).
        form: `learned` ranks a short list of chains by a fit to their true errors on calibration faces;
            `standardised` searches layer by layer with S_final (Eq. 9) in units of its spread on clean
            faces; `literal` is Algorithm 1 as printed: regional, always the best candidate (the image
            itself does not compete).
        rounds: at most so many reconstructions.
        regional: let regions choose for themselves, blended by the masks.
        candidates: chains on the learned form's short list, besides the image itself.
        min_gain: how far the standardised score must fall for a layer to be taken.
    """

    def __init__(
        self,
        detector: CalibratedDetector,
        layers: Sequence[Sequence[Family]],
        candidate_augmentations: Sequence[Any],
        *,
        form: Form = "learned",
        rounds: int = 2,
        regional: bool = False,
        candidates: int = 8,
        min_gain: float = 0.25,
    ) -> None:
        component = getattr(detector.detector, "component", detector.detector)
        if not isinstance(component, MagDRDetector):
            raise TypeError("MagDR reconstructs by the evidence of a detector with use = 'magdr'")
        self.detector = detector
        self.evidence = component
        self.rounds = rounds
        self.reconstructor: LearnedPick | LayerSearch
        if form == "learned":
            self.reconstructor = LearnedPick(
                component, layers, candidate_augmentations, size=candidates, regional=regional
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

    # -- defending --------------------------------------------------------------------------------------

    def __call__(self, x: Tensor, c: Condition, G: Generator) -> Tensor:
        return self.run(x, c, G).restored

    @torch.no_grad()
    def run(self, x: Tensor, c: Condition, G: Generator) -> Outcome:
        """Detect and reconstruct a batch of any size."""
        before = G.passes
        score, z = self.evidence.inspect(x, c, G)
        threshold = self.detector.threshold
        flagged = score > threshold
        current, best, best_score = x.clone(), x.clone(), score.clone()
        rounds = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        history = [score]
        plans: list[list[str]] = [[] for _ in range(len(x))]
        steps: list[list[str]] = [[] for _ in range(len(x))]
        active = flagged.clone()
        for number in range(1, self.rounds + 1):
            idx = torch.nonzero(active).flatten()
            if not len(idx):
                break
            restored, chosen = self.reconstruct(current[idx], c[idx], G, received=x[idx])
            new_score = torch.full_like(score, torch.nan)
            new_score[idx] = self.evidence.inspect(restored, c[idx], G)[0]
            history.append(new_score)
            current[idx] = restored
            for i, steps_of in zip(idx.tolist(), chosen, strict=True):
                steps[i] = steps[i] + steps_of
            better = active & (new_score < best_score)
            best[better], best_score[better] = current[better], new_score[better]
            rounds[better] = number
            for i in torch.nonzero(better).flatten().tolist():
                plans[i] = list(steps[i])
            # A round that changed nothing would be repeated word for word.
            moved = torch.tensor([bool(s) for s in chosen], device=x.device)
            active[idx] = moved & (new_score[idx] > threshold)
        return Outcome(
            score=score,
            threshold=threshold,
            flagged=flagged,
            restored=best,
            rounds=rounds,
            round_scores=torch.stack(history),
            plans=plans,
            covered=torch.ones_like(flagged) if z is None else self.evidence.covered(z),
            forwards=(G.passes - before) / max(1, len(x)),
            regions=None if z is None else z.regions,
            processings=None if z is None else z.processings,
            processing_names=tuple(f.label for f in self.evidence.probe.augmentations),
        )

    def reconstruct(
        self, x: Tensor, c: Condition, G: Generator, *, received: Tensor | None = None
    ) -> tuple[Tensor, list[list[str]]]:
        """One pass of Rec-Net over images that are known to be disrupted.

        Args:
            x: `[B,3,H,W]`, the current images.
            received: what came in, the reference outside the target; `x` if not given.

        Returns:
            8-bit images and per image the restorations that were applied, in order.
        """
        return self.reconstructor.reconstruct(x, c, G, x if received is None else received)

    @property
    def candidates(self) -> tuple[Chain, ...]:
        """The chains that the learned form chooses from; empty for the searching forms."""
        chosen = self.reconstructor
        return chosen.shortlist.chains if isinstance(chosen, LearnedPick) else ()

    # -- calibration ------------------------------------------------------------------------------------

    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """Pre-train Rec-Net and whatever scores its candidates."""
        return self.reconstructor.fit(data, G)

    def load(self, state: Mapping[str, Any]) -> None:
        self.reconstructor.load(state)
