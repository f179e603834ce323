"""The kind `quality`: how good a picture looks, judged by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from magdr_core.api import ComponentSpec, Guard, Kind, Rule, SampleRng, Trial, hookimpl, stateless

MAGDR_API = 1


@dataclass(frozen=True, kw_only=True)
class QualitySpec(ComponentSpec):
    """A measure of quality: `(x) -> [B]`, higher is better.

    `gradient` is that of the score in the picture.
    """

    kind: ClassVar[str] = "quality"
    gradient: Literal["exact", "none"] = "none"


class GuardedQuality(Guard):
    """A measure whose results are checked."""

    def __call__(self, x: Tensor, *, rng: SampleRng | None = None) -> Tensor:
        """Scores `[B]` of pictures `[B,3,H,W]`. Raises ComponentError if they are no such."""
        return self.scores(self.call(self.component, x, **self.arguments(rng)), (x.shape[0],))


def guarded(resolved: Any, component: Any, where: str) -> GuardedQuality:
    return GuardedQuality(component, where, stochastic=resolved.entry.spec.stochastic)


def contrast(x: Tensor) -> Tensor:
    """Standard deviation of the grey levels. [B,3,H,W] -> [B]."""
    return x.mean(1).flatten(1).std(1)


def moves(subject: Any) -> Iterator[str]:
    """A measure that says the same of every picture measures nothing."""
    scores = subject.first.output
    if float(scores.max()) == float(scores.min()):
        yield f"says {float(scores[0]):.4g} of each of {len(scores)} different pictures"


def example() -> str:
    return EXAMPLE


EXAMPLE = '''\
"""Contrast as a measure of quality."""
from acme_quality.kinds.quality import QualitySpec
from magdr_core.api import hookimpl, stateless

MAGDR_API = 1

def contrast(x):
    """Standard deviation of the grey levels. [B,3,H,W] -> [B]."""
    return x.mean(1).flatten(1).std(1)

@hookimpl
def magdr_qualities():
    return [QualitySpec(name="contrast", build=stateless(contrast), gradient="exact")]
'''

QUALITY = Kind(
    name="quality",
    plural="qualities",
    spec=QualitySpec,
    guard=guarded,
    call="(x) -> [B]",
    summary="How good pictures look, judged by themselves; higher is better.",
    trial=Trial(
        call=lambda subject, f, given, rng: f(given.images, **rng),
        shape=lambda given: (len(given.images),),
        any_float=True,
        any_size=True,
        gradient=lambda spec: spec.gradient,
    ),
    rules=lambda: [
        Rule(name="moves", promise="different pictures have different scores", check=moves, after=("finite",))
    ],
    toy=lambda: QualitySpec(name="contrast", build=stateless(contrast), gradient="exact"),
    example=example,
)


@hookimpl
def magdr_kinds() -> list[Kind]:
    return [QUALITY]
