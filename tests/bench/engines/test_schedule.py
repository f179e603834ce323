"""Which unit goes to whom and when, with a crew that only takes notes; and the units of a job."""

from __future__ import annotations

import pytest

from magdr_core.bench.executors.local import Job
from magdr_core.bench.executors.scheduler import Done, Failed, Lost, Ready, Schedule
from magdr_core.bench.executors.task_graph import Unit, units_of
from magdr_core.bench.executors.worker import Order
from tests.bench.conftest import SMALL
from tests.edits import edited


class Notes:
    """Says what it is told to say, and writes down what it is given."""

    def __init__(self, *script):
        self.script = list(script)
        self.given = []

    def start(self, worker, order):
        self.given.append((worker, order.unit.id))

    def wait(self):
        return [self.script.pop(0)]


def unit(name, near="", needs=(), after=(), group=0):
    return Unit(name, name, "cell", group, needs=frozenset(needs), after=frozenset(after), near=near)


def schedule(crew, units, retries=0, finished=lambda unit, value: ()):
    said = []
    Schedule(crew, units, order=Order, retries=retries, finished=finished, report=said.append).run()
    assert crew.script == []
    return said


def test_a_unit_waits_for_all_that_comes_before_it():
    crew = Notes(Ready(1), Ready(2), Done(1, None), Done(2, None), Done(1, None))
    schedule(crew, [unit("last", needs=["a"], after=["b"]), unit("a"), unit("b")])
    assert crew.given[:2] == [(1, "a"), (2, "b")]
    assert crew.given[2][1] == "last"


def test_what_nobody_does_holds_up_nothing():
    crew = Notes(Ready(1), Done(1, None))
    schedule(crew, [unit("part of a shard", needs=["of another shard"], after=["too"])])
    assert crew.given == [(1, "part of a shard")]


def test_a_worker_stays_with_its_images_and_keeps_away_from_those_of_others():
    units = [unit("a1", "a"), unit("a2", "a"), unit("b1", "b"), unit("b2", "b"), unit("other", "a", group=1)]
    crew = Notes(
        Ready(1), Ready(2), Done(2, None), Done(1, None), Done(1, None), Done(2, None), Done(1, None)
    )
    schedule(crew, units)
    assert crew.given == [(1, "a1"), (2, "b1"), (2, "b2"), (1, "a2"), (1, "other")]


def test_lost_work_goes_to_another_so_often_and_then_fails_with_what_needs_it():
    ends = {}

    def finished(unit, value):
        ends[unit.id] = value
        return ()

    units = [unit("a"), unit("b", needs=["a"]), unit("c", needs=["b"]), unit("d", after=["a"])]
    crew = Notes(Ready(1), Lost(1, "hit"), Ready(2), Lost(2, "hit again"), Ready(3), Done(3, "done"))
    said = schedule(crew, units, retries=1, finished=finished)
    assert crew.given == [(1, "a"), (2, "a"), (3, "d")]
    assert said == ["lost a worker (a): hit; the work goes to another"]
    assert ends.pop("d") == "done"
    assert list(ends) == ["a", "b", "c"]
    assert ends["a"] == Failed("tried 2 times, and lost the worker: hit again")
    assert ends["c"].why == "b: a: tried 2 times, and lost the worker: hit again"


def test_a_worker_that_is_lost_while_it_is_free_gets_nothing():
    crew = Notes(Ready(1), Ready(2), Lost(2, "gone"), Done(1, None), Done(1, None))
    schedule(crew, [unit("a"), unit("b", after=["a"])])
    assert crew.given == [(1, "a"), (1, "b")]


def test_finished_work_may_bring_more():
    crew = Notes(Ready(1), Done(1, None), Done(1, None))
    schedule(crew, [unit("a")], finished=lambda u, value: [unit("more")] if u.id == "a" else [])
    assert crew.given == [(1, "a"), (1, "more")]


# -- the units of a job ----------------------------------------------------------------------------------


@pytest.fixture
def units(fresh_shop):
    """`units(text)`: by id, of a whole benchmark."""

    def make(text):
        bench = fresh_shop.bench(text)
        quiet = {"progress": lambda *told: None, "report": print, "finished": lambda cell: None}
        job = Job(bench.toolkit, bench.profile, bench.groups, bench.store, whole=True, **quiet)
        found = units_of(job)
        assert len({u.id for u in found}) == len(found)
        return {u.id: u for u in found}

    return make


def test_seeds_share_calibrations_but_not_images(units):
    found = units(edited(SMALL, ("samples = 5", "samples = 5\nseeds = [3, 4]")))
    fits = [(u.about.role, u.about.component) for u in found.values() if u.kind == "fit"]
    defenses = [("defense", label) for label in ("identity", "magdr", "fixed-chain")]
    assert sorted(fits) == sorted([*defenses, ("detector", "magdr"), ("detector", "distortion")])
    pgd = [u.title for u in found.values() if u.kind == "images" and u.near == "pgd"]
    assert pgd == ["editing (seed 3): images of pgd", "editing (seed 4): images of pgd"]


def test_components_that_learn_from_the_same_faces_wait_for_one_that_makes_them(units):
    found = units(SMALL)
    first, second = found["editing/fit/detector/magdr"], found["editing/fit/detector/distortion"]
    assert first.after == frozenset()
    assert second.after == {first.id}
    defense = found["editing/fit/defense/magdr"]
    assert defense.needs == {first.id}  # it stands behind that detector
    assert not [u for u in found.values() if u.kind == "fit" and u.about.component == "jpeg"]


def test_supervised_baselines_wait_for_the_first_of_them(units):
    names = ["magdr", "distortion", "metzen", "safetynet"]
    text = edited(SMALL, ('detectors = ["magdr", "distortion"]', f"detectors = {names}".replace("'", '"')))
    text += "\n[detector.metzen]\n[detector.safetynet]\n"
    found = units(text)
    fit = "editing/fit/detector/"
    assert found[f"{fit}metzen"].after == {f"{fit}magdr"}
    assert found[f"{fit}safetynet"].after == {f"{fit}magdr", f"{fit}metzen"}


def test_cells_need_the_images_of_their_slice_and_come_after_their_calibration(units):
    found = units(SMALL)
    for u in found.values():
        if u.kind != "cell":
            continue
        part = u.about.slice
        wanted = set() if part.scenario == "clean" else {f"0/images/{part.scenario}/{part.name}"}
        assert u.needs == wanted
        assert u.needs | u.after <= found.keys()
        if u.about.role == "detector":
            assert u.after == {f"editing/fit/detector/{u.about.component}"}
    assert found["0/pictures"].after == {u.id for u in found.values() if u.kind == "cell"}
