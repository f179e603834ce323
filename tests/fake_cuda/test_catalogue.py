"""Every shipped component on the pretended device: fitted there, called twice, and compared with the CPU."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import torch

from magdr_core.isolation.expectations import deferred
from magdr_core.testing.fake_cuda import Event, fake_cuda
from magdr_core.testing.fitting import fitted
from magdr_core.testing.subject import Subject
from magdr_core.testing.world import World
from tests.fake_cuda.places import SETTLED, doubles, unlisted, waits
from tests.plugins.test_conformance import PARAMS

FEW = {
    **PARAMS,
    ("attack", "cw"): {"steps": 2, "searches": 1},
    ("attack", "ifgsm"): {"steps": 2},
    ("attack", "pgd"): {"steps": 2},
    ("detector", "nnif"): {"width": 4, "epochs": 1, "index_size": 16, "neighbours": (3, 6)},
    ("detector", "otd"): {"width": 4, "steps": 2, "check_every": 2},
    ("detector", "metzen"): {"layers": (0, 1), "width": 4, "steps": 2, "check_every": 2},
    ("detector", "magnet"): {
        "iterations": 2,
        "filters": (3,),
        "classifier_width": 4,
        "classifier_epochs": 1,
        "classifier_outputs": 16,
    },
    ("defense", "magnet-reformer"): {"steps": 2},
}
"""What the code runs through is wanted, not what it achieves."""

FITTED_IN_WORLD = {"defense magdr", "defense best-of"}
"""They need detectors that a world calibrates: `test_magdr.py` compares MagDR with the CPU."""

NOT_RUN = {
    "dataset celeba": "reads files; its pictures are handed over on the host",
    "dataset celebamask-hq": "reads files",
    "dataset celeb-df": "reads files",
    "dataset deeperforensics": "reads files",
    "dataset deepfakebench": "reads files",
    "dataset dfdc": "reads files",
    "dataset dfdc-preview": "reads files",
    "dataset faceforensics": "reads files",
    "dataset faceforensics-fakes": "reads files",
    "dataset folder": "reads files",
    "dataset portraits": "reads files",
    "dataset video": "reads files",
    "dataset procedural-faces": "is no call: test_magdr.py draws from it",
    "dataset procedural-people": "is no call, and draws as procedural-faces does",
    "dataset procedural-clips": "is no call, and draws as procedural-faces does",
    "generator diffusion": "needs a pipeline of the user's, or is not installed",
    "finder cascade": "is given pictures on the host, and looks at them there",
    "finder mediapipe": "is not installed",
    "forgery recorded": "looks pictures up that were read from files",
    "forgery redrawn": "takes pictures from procedural-faces, which draws them on the host",
}
"""Of the whole catalogue these are not called here. Everything else is, torchattacks and SciPy's included."""

WAITS = {
    SETTLED: "the checks of a whole call are looked at together, once",
    "magdr_core.components.batch:Batch.to.<locals>.<dictcomp>": "pictures to forge come from the host",
    "magdr_core.magdr.loop:MagDR._run": "which images go on to another round",
    "magdr_core.magdr.standardise:target_names": "figures are kept by the name of a target region",
    "magdr_plugins.augmentations.degrading:_coded": "the codec is the host's",
    "magdr_plugins.attacks._bounded_steps:under": "images that are within their bound are not shrunk",
    "magdr_plugins.attacks.universal:Universal.__call__": "what was learned once comes from the host",
    "magdr_plugins.channels._files:each": "the codec is the host's",
    "magdr_plugins.channels.codecs:_drawn": "so are the qualities that it is told",
    "magdr_plugins.networks.edm:Denoiser._films": "a few frequencies come from the host",
    "magdr_plugins.generators.hisd:HiSD.forward": "tags that no picture asks for are passed over",
    "magdr_plugins.attacks.mixed:Mixed.__call__": "each attack is given the images that it is drawn for",
    "magdr_plugins.defenses._matrix_completion:usvt": "a decomposition looks at its own success",
}
DOUBLES = {
    "magdr_core.components.objective": "the way back through the double levels of JPEG",
    "magdr_plugins.channels.codecs": "shares of qualities, summed up; a number each",
    "magdr_core.functional.colour": "of the statistics below",
    "magdr_core.functional.constants": "tables that double arithmetic is done with",
    "magdr_core.functional.eightbit": "rounding of JPEG's double levels",
    "magdr_core.functional.jpeg": "a coefficient on the wrong side of a tie is a visible difference",
    "magdr_core.functional.warp": "where the pixels come from, H x W numbers for all images",
    "magdr_plugins.attacks.cw": "squared levels are summed exactly, so that ties are ties",
    "magdr_plugins.defenses._matrix_completion": "small singular values are what the method thresholds",
    "magdr_plugins.defenses.me_net": "as above",
    "magdr_plugins.detectors.magnet": "divergences of nearly equal probabilities are of rounding size",
    "magdr_plugins.detectors.nnif": "as its regression was fitted; B rows of a few numbers",
    "magdr_plugins.forensics._networks": "the table of a cosine transform",
    "magdr_plugins.forensics.statistics": "skewness, and logs of small energies; 24 numbers an image",
    "magdr_plugins.detectors.safetynet": "as the support vectors were fitted; one number an image",
}


@dataclass
class Run:
    """What was seen of one component.

    Attributes:
        first, second: events of the two calls.
        wrong: what broke, in words.
        moved: how far its result is from the CPU's; None where that is not compared.
    """

    first: list[Event] = field(default_factory=list)
    second: list[Event] = field(default_factory=list)
    wrong: str = ""
    moved: float | None = None


class Catalogue:
    def __init__(self) -> None:
        self.host = World({}, base=Path.cwd())
        self.host.host.load("builtin")
        self.entries = {f"{e.kind} {e.name}": e for e in self.host.host.entries()}
        self.card = World({}, base=Path.cwd(), device="cuda:0") if torch.cuda.is_available() else None
        self._runs: dict[str, Run] = {}

    def run(self, name: str) -> Run:
        if name not in self._runs:
            with fake_cuda() as card:
                if self.card is None:
                    self.card = World({}, base=Path.cwd(), device="cuda:0")
                self._runs[name] = self._run(name, card)
        return self._runs[name]

    def _run(self, name, card) -> Run:
        run, entry = Run(), self.entries[name]
        params = FEW.get((entry.kind, entry.name), {})
        there = Subject(entry, self.card, params, tolerance=0)
        data = there.fit_data() if hasattr(there.component, "fit") else None
        if data is not None:
            learn = partial(fitted, there, there.component)
            seen = there.watch(there.batch, lambda _: learn(), grad=True)
            if seen.error is not None:
                run.wrong = f"fit {seen.failure}"
                return run
            state = json.loads(json.dumps(seen.output))
            there.component.load(state)
        for events in (run.first, run.second):
            card.events.clear()
            with deferred():
                seen = there.call(there.batch)
            events += card.events
            run.wrong = there.misshapen(seen)
            if run.wrong:
                return run
        if name not in FITTED_IN_WORLD:
            with torch.utils._python_dispatch._disable_current_modes():
                here = Subject(entry, self.host, params, tolerance=0)
                if data is not None:
                    here.component.load(state)
                expected = here.call(here.batch).output
            run.moved = float((seen.output.cpu() - expected).abs().max())
        return run


@pytest.fixture(scope="module")
def catalogue():
    return Catalogue()


def names():
    world = World({}, base=Path.cwd())
    world.host.load("builtin")
    return [f"{e.kind} {e.name}" for e in world.host.entries() if e.origin.namespace == "builtin"]


NAMES = [name for name in names() if name not in NOT_RUN]


@pytest.mark.parametrize("name", NAMES)
def test_component_runs_on_the_device_as_on_the_cpu(name, catalogue):
    run = catalogue.run(name)
    assert not run.wrong
    assert run.moved is None or run.moved <= 1e-6


def test_components_wait_only_where_listed(catalogue):
    """The second call: what a component prepares in its first one does not count."""
    found = set().union(*(waits(catalogue.run(name).second) for name in NAMES))
    assert unlisted(found, WAITS) == ([], [])


def test_components_are_double_only_where_listed(catalogue):
    found = set().union(*(doubles(catalogue.run(name).second) for name in NAMES))
    assert unlisted(found, DOUBLES) == ([], [])


def test_what_is_not_run_is_in_the_catalogue():
    assert NOT_RUN.keys() <= set(names())
