"""A detector with its generator, for one edit, as one network that takes pictures alone.

Whatever a detector looks up by the edit (the target region, the units of clean faces with that edit) is a
table by name, which no graph can hold; for one edit it is a row of numbers. And core's guards look at values
while a component runs, which a graph that has none yet cannot be asked for: here the components themselves
are called. What comes of both is compared with the guarded detector before it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

from torch import Tensor, nn

from magdr_core.components.batch import Condition
from magdr_core.components.regions import Regions
from magdr_core.errors import MagdrError
from magdr_core.guards import GuardedDetector, GuardedGenerator, GuardedImageMap, GuardedMetric
from magdr_core.guards.base import modules_of
from magdr_core.magdr import MagDRDetector
from magdr_core.magdr.evidence import Evidence, Probe
from magdr_core.magdr.second_opinions import Edit, SecondOpinions
from magdr_core.magdr.standardise import Standard

SCORE, REGIONS, PROCESSINGS, COVERED = "score", "regions", "processings", "covered"


class OneEdit(nn.Module):
    """The suspicion of pictures `[1,3,S,S]` in [0,1], and the evidence where it is MagDR's.

    Args:
        detector: calibrated; MagDR's, or a network (`torch.nn.Module`) that is called with images, conditions
            and the generator.
        generator: the one that it asks.
        c: what the generator shall do, one row.

    Attributes:
        outputs: names of what `forward` returns: `score` `[1]`; of MagDR's standardised forms also `regions`
            `[1,N]` (NaN: of the target, or absent) and `processings` `[1,K]`, in spreads of clean faces, and
            `covered` `[1]`, 0 where the verdict is a guess.
        regions, processings: the N and K names; empty where there is no evidence.

    Raises:
        MagdrError: the detector is no network, or something that it asks is random.
    """

    def __init__(self, detector: GuardedDetector, generator: GuardedGenerator, c: Condition) -> None:
        super().__init__()
        component = detector.component
        magdrs = isinstance(component, MagDRDetector)
        if not magdrs and not isinstance(component, nn.Module):
            raise MagdrError(
                f"[detector.{detector.label}] is no network (torch.nn.Module), so there is nothing to make "
                "an ONNX file of"
            )
        for one in (detector, generator):
            if one.stochastic:
                raise MagdrError(f"{one.where}: is random, and an ONNX file gives the same each time")
        self.c = c
        self.generator = _Generator(generator, c)
        self.detector: Any = _for_one_edit(component, generator, c) if magdrs else component
        self.networks = nn.ModuleList(_networks(self.detector) if magdrs else ())
        evidence = magdrs and component.standard is not None
        self.outputs = (SCORE, REGIONS, PROCESSINGS, COVERED) if evidence else (SCORE,)
        self.regions = tuple(component.probe.regions.names) if evidence else ()
        self.processings = tuple(component.processing_names(generator)) if evidence else ()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        if len(self.outputs) == 1:
            return (self.detector(images, self.c, self.generator),)
        return told(self.detector, images, self.c, self.generator)


def told(detector: MagDRDetector, x: Tensor, c: Condition, G: Any) -> tuple[Tensor, ...]:
    """What MagDR's detector says of images, as `OneEdit.outputs` lists it."""
    seen = detector.inspect(x, c, G)
    assert seen.z is not None
    return seen.score, seen.z.regions, seen.z.processings, detector.covered(seen.z).to(seen.score)


def _for_one_edit(detector: MagDRDetector, G: GuardedGenerator, c: Condition) -> MagDRDetector:
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
    found.second = _Opinions(found.probe, [_Generator(t, c) for t in second.of(G)], purifier, edits)
    found.second.state = second.state
    if detector.standard is not None:
        found.standard = _Units(detector.standard.state, edits[0][-1])
    return found


def _networks(detector: MagDRDetector) -> list[nn.Module]:
    """Those that a detector asks beside the generator; a graph's weights are those of networks it knows."""
    probe, second = detector.probe, detector.second
    asked = [probe.parser, *second.twins, second.purifier, *probe.criteria, *probe.augmentations]
    within = [one.component for one in asked if isinstance(one, _Criterion | _ImageMap)]
    return [module for one in (*asked, *within) for module in modules_of(one)]


class _Generator(nn.Module):
    """A generator for one condition; `edited` is a constant."""

    def __init__(self, guarded: GuardedGenerator, c: Condition) -> None:
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
        return self.target.expand(len(c), -1)

    def features(self, *given: Any) -> Any:
        return self.component.features(*given)


class _Criterion:
    """A metric as a distance; see `GuardedMetric`."""

    def __init__(self, guarded: GuardedMetric, through: Mapping[str, Any] | None = None) -> None:
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

    def __init__(self, guarded: GuardedImageMap) -> None:
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
