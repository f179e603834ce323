"""MagDR's detector for one edit, as a network that takes pictures alone.

Whatever it looks up by the edit (the target region, the units of clean faces with that edit) is a table by
name, which no graph can hold; for one edit it is a row of numbers. And core's guards look at values while a
component runs, which a graph that has none yet cannot be asked for: here the components themselves are
called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

from torch import Tensor, nn

from magdr_core.components.batch import Condition
from magdr_core.components.regions import Regions
from magdr_core.magdr.evidence import Evidence, Probe
from magdr_core.magdr.second_opinions import Edit, SecondOpinions
from magdr_core.magdr.standardise import Standard

SCORE, REGIONS, PROCESSINGS, COVERED = "score", "regions", "processings", "covered"


class MagDRForOneEdit(nn.Module):
    """The suspicion of pictures `[1,3,S,S]` in [0,1], and the evidence.

    Args:
        detector: MagDR's, calibrated.
        generator: the one that it asks, with its guard.
        c: what the generator shall do, one row.

    Attributes:
        asked: what the detector asks beside the generator, networks among it.
        outputs: names of what is returned: `score` `[1]`; of the standardised forms also `regions` `[1,N]`
            (NaN: of the target, or absent) and `processings` `[1,K]`, in spreads of clean faces, and
            `covered` `[1]`, 0 where the verdict is a guess.
        regions, processings: the N and K names; empty where there is no evidence.
    """

    def __init__(self, detector: Any, generator: Any, c: Condition) -> None:
        super().__init__()
        self.c, self.generator = c, GeneratorForOneEdit(generator, c)
        self.given, self.detector = detector, _for_one_edit(detector, generator, c)
        self.asked = _asked(self.detector)
        evidence = detector.standard is not None
        self.outputs = (SCORE, REGIONS, PROCESSINGS, COVERED) if evidence else (SCORE,)
        self.regions = tuple(self.detector.probe.regions.names) if evidence else ()
        self.processings = tuple(self.detector.processing_names(generator)) if evidence else ()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Pictures `[1,3,S,S]` in [0,1] -> as :attr:`outputs` lists it."""
        return self._told(self.detector, images, self.c, self.generator)

    def guarded(self, x: Tensor, c: Condition, G: Any) -> tuple[Tensor, ...]:
        """The same of pictures `[1,3,S,S]` by the detector as it was given."""
        return self._told(self.given, x, c, G)

    def _told(self, detector: Any, x: Tensor, c: Condition, G: Any) -> tuple[Tensor, ...]:
        if len(self.outputs) == 1:
            return (detector(x, c, G),)
        seen = detector.inspect(x, c, G)
        assert seen.z is not None
        return seen.score, seen.z.regions, seen.z.processings, detector.covered(seen.z).to(seen.score)


def _for_one_edit(detector: Any, G: Any, c: Condition) -> Any:
    """A detector that asks components without their guards, and looks nothing up."""
    given: Any = detector.probe
    second: Any = detector.second
    found = copy(detector)
    found.probe = Probe(
        given.parser.component,
        [_Criterion(m) for m in given.criteria],
        [_ImageMap(f) for f in given.augmentations],
        consistency_over=given.consistency_over,
        oracle=given.oracle,
    )
    found.probe.regions = given.regions
    edits = second.edits(c, G)
    purifier = None if second.purifier is None else _ImageMap(second.purifier)
    found.second = _Opinions(found.probe, [GeneratorForOneEdit(t, c) for t in second.of(G)], purifier, edits)
    found.second.state = second.state
    if detector.standard is not None:
        found.standard = _Units(detector.standard.state, edits[0][-1])
    return found


def _asked(detector: Any) -> list[Any]:
    """What a detector asks beside the generator."""
    probe, second = detector.probe, detector.second
    asked = [probe.parser, *second.twins, second.purifier, *probe.criteria, *probe.augmentations]
    return [*asked, *(one.component for one in asked if isinstance(one, _Criterion | _ImageMap))]


class GeneratorForOneEdit(nn.Module):
    """A generator without its guard for one condition; the target `edited` is a constant.

    `[B,3,S,S]` in [0,1] -> same.
    """

    def __init__(self, guarded: Any, c: Condition) -> None:
        super().__init__()
        self.component = guarded.component
        self.label, self.size = guarded.label, guarded.size
        self.condition_names = guarded.condition_names
        self.regions: Regions = guarded.regions
        self.target = nn.Buffer(guarded.edited(c), persistent=False)

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        y: Tensor = self.component(x, c)
        return y

    def edited(self, c: Condition) -> Tensor:
        """The target region, bool `[B,N]`."""
        return self.target.expand(len(c), -1)

    def features(self, *given: Any) -> Any:
        return self.component.features(*given)


class _Criterion:
    """A metric as a distance; see `GuardedMetric`."""

    def __init__(self, guarded: Any, through: Mapping[str, Any] | None = None) -> None:
        self.guarded, self.component = guarded, guarded.component
        self.through = {} if through is None else through

    def given(self, c: Condition, G: Any) -> _Criterion:
        return _Criterion(self.guarded, {"c": c, "G": G}) if self.guarded.conditional else self

    def __call__(self, a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
        values: Tensor = self.component(a, b, masks, **self.through)
        return values

    def distance(self, a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
        return self.guarded.oriented(self(a, b, masks))


class _ImageMap:
    """An f_k or a purifier; see `GuardedImageMap`."""

    def __init__(self, guarded: Any) -> None:
        self.guarded, self.component, self.label = guarded, guarded.component, guarded.label

    def __call__(self, x: Tensor) -> Tensor:
        y: Tensor = self.component(x)
        return y

    def undo(self, y: Tensor) -> Tensor:
        back: Tensor = self.component.undo(y) if self.guarded.geometric else y
        return back


class _Units(Standard):
    """The standardisation of one edit, whose name is known."""

    def __init__(self, state: Mapping[str, Any], edit: str) -> None:
        super().__init__(state)
        self.edit = edit

    def names(self, evidence: Evidence) -> list[str]:
        return [self.edit] * len(evidence.target)


class _Opinions(SecondOpinions):
    """Second opinions on one edit, whose names are known."""

    def __init__(self, probe: Probe, twins: Sequence[Any], purifier: Any, edits: Sequence[Edit]) -> None:
        super().__init__(probe, twins, purifier)
        self.known = list(edits)

    def of(self, G: Any) -> list[Any]:
        return list(self.twins)

    def edits(self, c: Condition, G: Any) -> list[Edit]:
        return self.known * len(c)
