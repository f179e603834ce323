"""A figure of results.csv as a value: what it is called, which way is better, and how it follows from values.

One table of figures (:mod:`magdr_core.measures.definitions`) and those that plugins' roles bring are all that
the csv, comparisons, the report, the command line and `benchmarks/` know of any figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Better = Literal["higher", "lower", "neither"]

DISRUPTION = "squared, [-1,1]"
"""The unit that results.csv has of what attacks do, as the public disruption code."""

SQUARED_LEVELS = "squared, 0-255"
"""The unit of squared errors of defenses, and of all that a reader is told."""

LEVELS_PER_UNIT = 127.5
"""A pixel's range is 2 on [-1,1] and 255 in levels."""

ADJUSTED_P = "sign_flip_p"
"""The statistic of a figure that is a permutation test's p for a difference to the best baseline, adjusted
after Holm for the whole table: no function of a cell's values alone."""


@dataclass(frozen=True)
class Threshold:
    """A difference counts if it is larger than `absolute` and than the share `relative` of the figure."""

    absolute: float
    relative: float = 0.0

    def size(self, a: float) -> float:
        return max(self.absolute, self.relative * abs(a))

    def __str__(self) -> str:
        if not self.relative:
            return f"{self.absolute:g}"
        return f"{100 * self.relative:g}% of A" + (f", at least {self.absolute:g}" if self.absolute else "")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A metric of results.csv.

    Attributes:
        name: as in the column `metric`.
        role: as in the column `role`.
        unit: of results.csv; empty for shares and the like.
        better: which way is the better one; neither for costs that are only told.
        digits: after the point, in tables.
        threshold: what is too small to matter, whatever its interval.
        needs: names of the per-sample values that the statistic is given, in order. `clean:score` is
            of the same component on clean images, `noise:score` on noise of the attack's strength,
            `noise-l2:score` on noise of its very perturbations' L2 norm, `undefended:success` of the attack
            itself on the same images, `direct:mse_o`, behind a channel, of the same images without it;
            `oblivious/disruption` of that mode whatever the row's own is,
            `baseline:mse_o` of the best baseline in the same table. Of another cell it is the value of that
            name, else the one of the row's own mode. `flagged` is no stored value: it is
            whether `score` is above the threshold of the row's operating point. A figure without needs is
            one of the whole cell, such as `forwards`, and has no interval.
        statistic: name in :data:`magdr_core.measures.statistics.STATISTICS`, or `module:function`
            of a plugin; called with arrays `[..., n]`, gives `[...]`.
        summary: one line for readers.
        points: it depends on an operating point; a cell has it at each of its own.
        modes: a cell has it of its variants, too, where these have the values.
        among: a value, 1 or 0, of those samples that the figure is of, named as in `needs`; all samples if
            empty. The column `n` counts them.
        on, off: the images (`slice_role` of a cell) that it is taken on, all if empty, and not taken on.
    """

    name: str
    role: str
    unit: str = ""
    better: Better = "higher"
    digits: int = 3
    threshold: Threshold = Threshold(0.01)
    needs: tuple[str, ...] = ()
    statistic: str = "mean"
    summary: str = ""
    points: bool = False
    modes: bool = True
    among: str = ""
    on: tuple[str, ...] = ()
    off: tuple[str, ...] = ()

    @property
    def higher_is_better(self) -> bool:
        return self.better == "higher"

    def taken_on(self, images: str) -> bool:
        """Whether a cell on such images (`slice_role`) has it."""
        return images not in self.off and (not self.on or images in self.on)

    @property
    def factor(self) -> float:
        """By what a value of results.csv is multiplied for a reader: squared errors are told in squared
        levels of 0 to 255, all of them."""
        return LEVELS_PER_UNIT**2 if self.unit == DISRUPTION else 1.0

    @property
    def told(self) -> Figure:
        """The figure as a reader sees it: unit, digits and threshold of values times `factor`."""
        if self.unit != DISRUPTION:
            return self
        size = float(f"{self.factor * self.threshold.absolute:.3g}")
        threshold = Threshold(size, self.threshold.relative)
        return replace(self, unit=SQUARED_LEVELS, digits=1, threshold=threshold)

    def text(self, value: float) -> str:
        """A value of results.csv as a reader sees it, with that figure's digits; nought has no sign."""
        text = f"{self.factor * value:.{self.told.digits}f}"
        return text.lstrip("-") if float(text) == 0 else text

    def as_json(self) -> dict[str, Any]:
        """As a run's manifest lists it."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Figure:
        """The figure that `as_json` gave; keys that are not known are passed over."""
        known: dict[str, Any] = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        if "threshold" in known:
            known["threshold"] = Threshold(**known["threshold"])
        known |= {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
        return cls(**known)
