"""A component at fault loses its own cells, and nobody else's; nothing wrong is kept."""

from __future__ import annotations

import csv
import sys
import threading

import pytest
import torch

from magdr_core.bench.run import Bench
from magdr_core.components.protocols import FitData
from magdr_core.components.specs import DefenseSpec, DetectorSpec
from magdr_core.hosting.hookspecs import hookimpl
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit
from tests.bench import reachable
from tests.edits import edited

REGISTRY = """
[registry]
name = "tiny"
device = "cpu"
[plugins]
local = { toys = "magdr_core.testing.toys" }
[dataset.faces]
use = "toys/toy"
[generator.editing]
use = "toys/GENERATOR"
[attack.pgd]
params = { eps = "6/255", steps = 2 }
[restoration.jpeg]
[detector.toy]
use = "toys/toy"
[detector.bad]
use = "hostile/bad"
[defense.bad]
use = "hostile/bad"
[calibration]
fit = 12
clean = 20
attacked = 4
[profile.quick]
samples = 3
attacks = ["pgd"]
detectors = ["bad", "toy"]
defenses = ["bad", "jpeg"]
pictures = 1
"""


class Component:
    """A sound defense and detector, of which a test replaces what it wants."""

    def __call__(self, x, c, G):
        return x.clone()


class Scores:
    def __call__(self, x, c, G):
        return x.mean((1, 2, 3))

    def fit(self, data: FitData, G):
        return {}

    def load(self, state):
        pass


def toolkit(tmp_path, defense=Component, detector=Scores, generator="toy"):
    def build_defense():
        return defense()

    def build_detector():
        return detector()

    build_defense.fingerprint = build_detector.fingerprint = "1"
    text = edited(REGISTRY, ("GENERATOR", generator))
    specs = [DefenseSpec(name="bad", build=build_defense), DetectorSpec(name="bad", build=build_detector)]
    return Toolkit(parse_registry(text, tmp_path / "tiny.toml"), plugins={"hostile": specs})


def run(tmp_path, name, *, observer=None, cache=None, **components):
    said = []
    kit = toolkit(tmp_path, **components)
    if observer is not None:
        kit.host.add_observer(observer, "watcher")
    out = tmp_path / name
    bench = Bench(kit, "quick", out=out, cache=cache or tmp_path / f"{name}-cache", report=said.append)
    result = bench.run()
    with (out / "results.csv").open(newline="") as file:
        rows = [tuple(v for k, v in row.items() if k != "seconds") for row in csv.DictReader(file)]
    return result, rows, said


def of_others(rows):
    """Differences from the best baseline are of the bad defense too, where it is the best."""
    return [row for row in rows if "bad" not in row and not any(v.startswith("to ") for v in row)]


@pytest.fixture(autouse=True)
def spared():
    with reachable.sparing_what_there_is():
        yield


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    result, rows, _ = run(tmp_path_factory.mktemp("control"), "control")
    assert not result.failures
    return rows


KEPT = []


def keeps_and_edits(x, c, G):
    for t in KEPT:
        t.zero_()
    KEPT[:] = [x, c.values]
    return x.clone()


def digs(x, c, G):
    """Edits everything of the images' and weights' shapes that it can find."""
    for one in reachable.tensors():
        if one.shape in ((3, 3, 16, 16), (6, 3, 3, 3)):
            one.data.mul_(0.5)
    return x.clone()


def leaves_a_thread(x, c, G):
    done = threading.Event()
    KEPT.append(done)
    threading.Thread(target=done.wait).start()
    return x.clone()


def raising(error):
    def raises(*given):
        raise error

    return raises


CALLS = {
    "edits the condition": lambda x, c, G: (c.values.zero_(), x.clone())[1],
    "sets the generator": lambda x, c, G: (setattr(G, "forward", lambda x, c: x * 0), x.clone())[1],
    "exits": raising(SystemExit(0)),
    "interrupts": raising(KeyboardInterrupt()),
    "changes the dtype": lambda x, c, G: (torch.set_default_dtype(torch.float64), x.clone())[1],
    "limits recursion": lambda x, c, G: (sys.setrecursionlimit(3000), x.clone())[1],
    "digs": digs,
    "leaves a thread": leaves_a_thread,
}


@pytest.mark.parametrize("name", CALLS)
def test_hostile_defense_loses_its_own_cells_alone(name, tmp_path, control):
    f = CALLS[name]
    bad = type("Bad", (), {"__call__": lambda self, x, c, G: f(x, c, G)})
    try:
        result, rows, _ = run(tmp_path, "run", defense=bad, cache=tmp_path / "cache")
    finally:
        for done in KEPT:
            if isinstance(done, threading.Event):
                done.set()
        KEPT.clear()
    assert {(c.facts.role, c.facts.component) for c in result.failures} == {("defense", "bad")}
    assert len(result.failures) == 2
    assert all("bad" in c.error for c in result.failures)
    assert of_others(rows) == of_others(control)
    assert torch.get_default_dtype() == torch.float32


def test_hostile_defense_leaves_nothing_wrong_in_the_cache(tmp_path, control):
    bad = type("Bad", (), {"__call__": lambda self, x, c, G: (c.values.zero_(), x.clone())[1]})
    run(tmp_path, "run", defense=bad, cache=tmp_path / "cache")
    _, rows, _ = run(tmp_path, "again", cache=tmp_path / "cache")
    assert rows == control


def test_hostile_defense_that_keeps_tensors_has_no_effect(tmp_path, control):
    bad = type("Bad", (), {"__call__": lambda self, x, c, G: keeps_and_edits(x, c, G)})
    result, rows, _ = run(tmp_path, "run", defense=bad)
    KEPT.clear()
    assert not result.failures
    assert of_others(rows) == of_others(control)


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), ValueError("no")])
@pytest.mark.parametrize("where", ["__init__", "fit", "load"])
def test_hostile_detector_that_cannot_be_had_loses_its_own_cells_alone(where, error, tmp_path, control):
    bad = type("Bad", (Scores,), {where: raising(error)})
    result, rows, _ = run(tmp_path, "run", detector=bad)
    assert {(c.facts.role, c.facts.component) for c in result.failures} == {("detector", "bad")}
    assert of_others(rows) == of_others(control)


def test_hostile_fit_that_edits_its_data_is_refused(tmp_path, control):
    class Bad(Scores):
        def fit(self, data, G):
            data.clean.images.mul_(0)
            return {}

    result, rows, _ = run(tmp_path, "run", detector=Bad)
    assert all("edits its input in place" in c.error for c in result.failures)
    assert result.failures
    assert of_others(rows) == of_others(control)


class Mutates:
    @hookimpl
    def magdr_cell_finished(self, run, cell):
        for name in cell["values"]:
            cell["values"][name] = [0.0] * len(cell["ids"])


class Exits:
    @hookimpl
    def magdr_cell_finished(self, run, cell):
        raise SystemExit(0)


@pytest.mark.parametrize(
    ("observer", "message"),
    [(Mutates(), "changes what it is shown"), (Exits(), "failed in magdr_cell_finished: SystemExit: 0")],
)
def test_hostile_observer_is_named_and_changes_no_row(observer, message, tmp_path, control):
    result, rows, said = run(tmp_path, "run", observer=observer)
    assert rows == control
    assert result.observers_failed
    assert f"observer 'watcher' {message}" in said[0]


def test_bench_with_a_stochastic_generator_is_the_same_every_time(tmp_path):
    first, rows, _ = run(tmp_path, "one", generator="grainy")
    _, again, _ = run(tmp_path, "two", generator="grainy")
    assert not first.failures
    assert rows == again
