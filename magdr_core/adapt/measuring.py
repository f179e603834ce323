"""Before and after, on test pictures that nothing learned from: how much of a disruption is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magdr_core.adapt.tables import EDITING, FACES, GENERIC, purifier_name, twin_name
from magdr_core.bench.evaluate import defended, outputs
from magdr_core.calibration import Calibrator
from magdr_core.components.batch import Samples
from magdr_core.components.objective import symmetric_mse
from magdr_core.functional import to_8bit
from magdr_core.measures.intervals import Share, difference_interval, interval, mean_of
from magdr_core.runtime.samples import attack_samples, draw_samples
from magdr_core.toolkit import Toolkit

TESTED = 128
"""Test pictures that are measured at most."""

SHOWN = 6
"""Pictures on the page."""

UNDEFENDED, MAGDR = "undefended", "magdr"

Array = np.ndarray[Any, Any]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ComparedFigure:
    """One figure with its 95% interval.

    Attributes:
        what: whose: `undefended`, a purifier, the twin, `magdr`; `A minus B` for a paired difference.
        images: `clean`, `pgd` or `noise`.
        figure: `mse_o`, the mean output MSE to the output on the clean picture, in [-1,1] units; or
            `flagged`, the share that the detector calls disrupted.
        low, high: NaN where there are too few pictures.
        n: pictures.
    """

    what: str
    images: str
    figure: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class BeforeAndAfter:
    """What was measured.

    Attributes:
        figures: in the order of the table.
        pictures: by `input` or the defense, outputs on attacked pictures, `[k,3,S,S]` uint8; `clean` is the
            output that should be, `attacked` the attacked input.
        gap: RMS difference of the generator's and the twin's outputs in levels of 255, by kind of images.
    """

    figures: Sequence[ComparedFigure]
    pictures: Mapping[str, Tensor]
    gap: Mapping[str, float] = field(default_factory=dict)

    def of(self, what: str, images: str, figure: str = "mse_o") -> ComparedFigure | None:
        """The figure of this name; None if it was not measured."""
        return next((f for f in self.figures if (f.what, f.images, f.figure) == (what, images, figure)), None)


def measure(
    toolkit: Toolkit,
    task: str,
    calibrator: Calibrator,
    *,
    twin: bool,
    progress: Progress = lambda what, done, total: None,
) -> BeforeAndAfter:
    """Measure undefended outputs, shipped and adapted purifiers, the twin and MagDR on the split `test`.

    Every attacked picture is made by PGD (6/255, 30 steps) on the undefended generator.

    Args:
        toolkit: of the written registry.
        calibrator: of the task, on the faces of the calibration split.
        twin: there is one.

    Raises:
        ComponentError: a component fails.
    """
    G = toolkit.generator(task)
    split = toolkit.build("dataset", FACES).split("test")
    count = min(len(split), TESTED)
    clean = draw_samples(split, G, first=0, count=count, seed=0)[0]
    seen = {"pgd": _attacked(toolkit, clean, G, "pgd", progress), "clean": clean}
    seen["noise"] = _attacked(toolkit, clean, G, "noise", progress)
    reference = outputs(clean.images, clean, G)
    shown: dict[str, Tensor] = {
        "input": clean.images[:SHOWN],
        "clean": reference[:SHOWN],
        "attacked": seen["pgd"].images[:SHOWN],
    }
    errors: dict[tuple[str, str], Array] = {}
    gap: dict[str, float] = {}

    def note(what: str, images: str, y: Tensor) -> None:
        errors[what, images] = symmetric_mse(y, reference).double().cpu().numpy()
        if images == "pgd":
            shown[what] = y[:SHOWN]

    purifiers = {
        label: toolkit.build("restoration", label) for label in (GENERIC, EDITING, purifier_name(task))
    }
    defense, detector = calibrator.defense(MAGDR), calibrator.detector(MAGDR)
    second = toolkit.generator(twin_name(task)) if twin else None
    scores: dict[str, Array] = {}
    for number, (images, samples) in enumerate(seen.items()):
        progress("measuring", number, len(seen))
        if images == "noise":
            scores[images] = _scores(samples, detector.detector, G)
            continue
        y = outputs(samples.images, samples, G)
        note(UNDEFENDED, images, y)
        for label, purifier in purifiers.items():
            with torch.no_grad():
                parts = [to_8bit(purifier(b.images)) for b in samples.batches("test")]
            note(label, images, outputs(torch.cat(parts), samples, G))
        if second is not None:
            made = outputs(samples.images, samples, second)
            note(twin_name(task), images, made)
            gap[images] = float(255 * (made - y).square().flatten(1).mean(1).sqrt().mean())
        parts = [
            defended(b, defense, G, lambda b: toolkit.rng(MAGDR, b.ids))[1] for b in samples.batches("test")
        ]
        note(MAGDR, images, torch.cat(parts))
        scores[images] = _scores(samples, detector.detector, G)
    progress("measuring", len(seen), len(seen))
    figures = [_mean(what, images, values) for (what, images), values in errors.items()]
    best = min((GENERIC, EDITING), key=lambda label: errors[label, "pgd"].mean())
    own = purifier_name(task)
    figures.append(_difference(own, best, errors))
    figures += [_share(images, values > detector.threshold) for images, values in scores.items()]
    pictures = {name: (images * 255).round().byte().cpu() for name, images in shown.items()}
    return BeforeAndAfter(figures, pictures, gap)


def _attacked(toolkit: Toolkit, clean: Samples, G: Any, label: str, progress: Progress) -> Samples:
    attack, parts, done = toolkit.build("attack", label), list[Tensor](), 0
    for batch in clean.batches("test"):
        progress(f"attacking test pictures ({label})", done, len(clean))
        parts.append(attack_samples(batch, attack, G, name=label, seed=0))
        done += len(batch)
    return clean.with_images(torch.cat(parts))


def _scores(samples: Samples, detector: Any, G: Any) -> Array:
    parts = [detector(b.images, b.conditions, G) for b in samples.batches("test")]
    scores: Array = torch.cat(parts).double().cpu().numpy()
    return scores


def _mean(what: str, images: str, values: Array) -> ComparedFigure:
    return ComparedFigure(
        what, images, "mse_o", *interval(_MEAN, [values], np.arange(len(values)), 0), len(values)
    )


def _difference(own: str, other: str, errors: Mapping[tuple[str, str], Array]) -> ComparedFigure:
    before, after = errors[other, "pgd"], errors[own, "pgd"]
    found = difference_interval(_MEAN, [before], [after], np.arange(len(after)), 0)
    return ComparedFigure(f"{own} minus {other}", "pgd", "mse_o", *found, len(after))


def _share(images: str, flagged: Array) -> ComparedFigure:
    values = flagged.astype(np.float64)
    found = interval(Share(lambda f: np.mean(f, axis=-1)), [values], np.arange(len(values)), 0)
    return ComparedFigure(MAGDR, images, "flagged", *found, len(values))


_MEAN = mean_of(lambda values: values)
