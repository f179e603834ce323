"""Single pictures before the forensic models of a registry: how unlike untouched pictures, and where.

Models score in units of their own. Here each is put into spreads of its scores on real pictures, and the mean
of them is compared with the same mean on those pictures, so that one threshold keeps one rate of false alarms
however many models there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magdr_core.calibration.partition import CalibrationPartition
from magdr_core.errors import DataError, suggestion
from magdr_core.forensics.pieces import batches, in_parts
from magdr_core.forensics.real_scores import RealScores, named_models, read_real_scores
from magdr_core.forensics.teaching import Teacher, Usable
from magdr_core.measures.thresholds import promised_fpr, threshold_at_fpr

FEWEST_REALS = 24
"""Real pictures below which no threshold is set."""

CONTROL = "control"
"""The tag of models that are in tables to be compared with."""

_MAD = 1.4826
"""Standard deviations of a normal distribution in a median absolute deviation."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Reading:
    """What one model says of a picture.

    Attributes:
        label: of its table.
        score: in its own units, higher is more likely forged.
        above: share of the real pictures whose score is lower.
        spreads: how far above their median the score is, in their spreads.
    """

    label: str
    score: float
    above: float
    spreads: float


@dataclass(frozen=True, eq=False)
class Inspected:
    """What the models say of a picture together.

    Attributes:
        score: mean of the readings' spreads.
        threshold: above it the picture looks forged.
        above: share of the real pictures with a lower mean.
        readings: of each model.
        where: `[S,S]` in [0,1], mean of the models that locate; above 1/2 a pixel counts as forged. None if
            no model does.
    """

    score: float
    threshold: float
    above: float
    readings: tuple[Reading, ...]
    where: Tensor | None

    @property
    def forged(self) -> bool:
        return self.score > self.threshold

    @property
    def marked(self) -> float | None:
        """Share of the pixels that count as forged."""
        return None if self.where is None else float((self.where > 0.5).double().mean())


class _Scale:
    """A model's scores in spreads of those of real pictures."""

    def __init__(self, reals: Array) -> None:
        self.reals = np.sort(reals)
        self.median = float(np.median(reals))
        spread = _MAD * float(np.median(np.abs(reals - self.median)))
        self.spread = spread or float(reals.std()) or 1.0

    def spreads(self, scores: Array) -> Array:
        return (scores - self.median) / self.spread

    def above(self, score: float) -> float:
        return float(np.searchsorted(self.reals, score, side="left")) / len(self.reals)


class Inspector:
    """Forensic models with a common threshold.

    Args:
        toolkit: of the registry.
        labels: of the models; if empty all that are no controls.
        store: keeps what models have learned.
        reals: `[n,3,S,S]` in [0,1], 8-bit: untouched pictures of the kind that is to be judged; or what the
            models said of such pictures. If None, those that the registry's `[calibration]` names, else
            pictures of the dataset's calibration split.
        progress: told (what, done, total).

    Attributes:
        size: side S of the pictures, in pixels.
        models: by label.
        fpr: the rate of false alarms that the threshold keeps on pictures like `reals`.
        count: of real pictures.
        drawn: they are drawn faces, no photographs.
        reals: what the models say of them.

    Raises:
        DataError: no such model, none at all, or too few real pictures.
        CalibrationError: a file of scores of real pictures is missing, damaged or of other models.
        RegistryError, ComponentError: a model cannot be built or taught.
    """

    def __init__(
        self,
        toolkit: Any,
        labels: Sequence[str] = (),
        *,
        store: Any,
        reals: Tensor | RealScores | None = None,
        progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    ) -> None:
        self.labels = chosen_models(toolkit, labels)
        dataset = dataset_of(toolkit)
        self.data = toolkit.build("dataset", dataset)
        self.size: int = self.data.size
        self.device: torch.device = toolkit.device
        named, where = toolkit.registry.real_scores, "--reals"
        if reals is None and named is not None:
            reals, where = read_real_scores(named), str(toolkit.registry.calibration.reals)
        self.drawn = reals is None and toolkit.drawn(dataset)
        teacher = Teacher(toolkit, self.data, store, progress)
        self.models: Mapping[str, Usable] = {label: teacher.ready(label) for label in self.labels}
        names = named_models(toolkit, self.labels)
        if reals is None:
            part = CalibrationPartition.of(toolkit.registry.calibration).clean
            split = self.data.split(part.split)
            reals = torch.cat([batch.images for batch in batches(split, part.samples, self.size)])
        if not isinstance(reals, RealScores):
            _check_enough(len(reals))
            progress("scoring real pictures", 0, len(self.models))
            reals = RealScores(self._scores(reals.to(self.device)), names)
        self.reals, self.count = reals, reals.count
        _check_enough(self.count)
        own = reals.of(names, where)
        self._scales = {label: _Scale(scores) for label, scores in own.items()}
        self._together = _Scale(self._mean(own))
        wanted: float = toolkit.registry.calibration.fpr
        self.fpr = promised_fpr(self.count, wanted)
        self.threshold = float(threshold_at_fpr(self._together.reals, wanted))

    def __call__(self, x: Tensor) -> list[Inspected]:
        """What the models say of pictures `[B,3,S,S]` in [0,1], 8-bit.

        Raises:
            ComponentError: a model fails.
        """
        x = x.to(self.device)
        scores = self._scores(x)
        together, where = self._mean(scores), self._where(x)
        return [
            Inspected(
                float(together[i]),
                self.threshold,
                self.above(float(together[i])),
                tuple(self._reading(label, float(own[i])) for label, own in scores.items()),
                None if where is None else where[i, 0],
            )
            for i in range(len(x))
        ]

    def above(self, score: float) -> float:
        """The share of the real pictures whose score is lower."""
        return self._together.above(score)

    def trained_on(self) -> tuple[frozenset[str], frozenset[str]]:
        """Names of the forgeries that any of the models has learned from, and of the qualities."""
        models = self.models.values()
        return (
            frozenset().union(*(taught.families for taught in models)),
            frozenset().union(*(taught.qualities for taught in models)),
        )

    def _reading(self, label: str, score: float) -> Reading:
        scale = self._scales[label]
        return Reading(label, score, scale.above(score), float(scale.spreads(np.asarray(score))))

    @torch.no_grad()
    def _scores(self, x: Tensor) -> dict[str, Array]:
        return {
            label: in_parts(taught.model.score, x).double().cpu().numpy()
            for label, taught in self.models.items()
        }

    def _mean(self, scores: Mapping[str, Array]) -> Array:
        each = [self._scales[label].spreads(own) for label, own in scores.items()]
        mean: Array = np.mean(each, axis=0)
        return mean

    @torch.no_grad()
    def _where(self, x: Tensor) -> Tensor | None:
        found = [in_parts(taught.model.locate, x) for taught in self.models.values() if taught.model.locates]
        return torch.stack(found).mean(0).cpu() if found and len(x) else None


def _check_enough(count: int) -> None:
    if count < FEWEST_REALS:
        raise DataError(
            f"{count} real pictures are too few for a threshold; it takes {FEWEST_REALS}, and a hundred for "
            "a rate of false alarms of 1%"
        )


def chosen_models(toolkit: Any, labels: Sequence[str] = ()) -> list[str]:
    """The models of these labels; without any, all of the registry's that are no controls.

    Raises:
        DataError: there is none, or no such one.
    """
    registry = toolkit.registry
    known = registry.labels("forensic")
    name = registry.path.name
    for label in labels:
        if label not in known:
            raise DataError(f"{name} has no [forensic.{label}]{suggestion(label, known)}")
    chosen = list(dict.fromkeys(labels)) or [
        label for label in known if CONTROL not in toolkit.resolve("forensic", label).entry.spec.tags
    ]
    if not known:
        raise DataError(f"{name} has no [forensic.LABEL] table")
    if not chosen:
        raise DataError(f"{name} has only controls, which are asked by name: {', '.join(known)}")
    return chosen


def dataset_of(toolkit: Any) -> str:
    """The label of the dataset whose pictures thresholds are set on: the registry's first.

    Raises:
        DataError: it has none.
    """
    known = toolkit.registry.labels("dataset")
    if not known:
        raise DataError(f"{toolkit.registry.path.name} has no [dataset.LABEL] to set thresholds on")
    found: str = known[0]
    return found
