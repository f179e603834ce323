"""A benchmark that is cut into units and done by workers, some of which die, is the one that is done here."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from magdr_core.api import DefenseSpec, stateless
from magdr_core.bench.executors.local import LocalEngine
from magdr_core.bench.executors.toolkit_snapshot import parcel_of
from magdr_core.errors import MagdrError
from magdr_core.hosting.hookspecs import hookimpl
from tests.bench.conftest import DEFENSES, SMALL, Workshop
from tests.bench.engines.crew import InlineEngine
from tests.bench.test_adaptive import ADAPTIVE
from tests.bench.test_attack_settings import TEXT as SETTINGS
from tests.bench.test_run import BROKEN, without_seconds
from tests.edits import edited

FITTED = edited(
    SMALL,
    ("fit = 40\nclean = 40\nattacked = 6", "fit = 20\nclean = 20\nattacked = 4"),
    (DEFENSES, 'defenses = ["magdr", "jpeg"]'),
    ('attacks = ["pgd", "noise"]', 'attacks = ["pgd"]'),
    ('detectors = ["magdr", "distortion"]', 'detectors = ["distortion"]'),
)
"""A calibrated detector, and a calibrated defense behind another one."""

CHECKED = edited(
    FITTED, ("pictures = 2", "pictures = 2\nchecks = { faces = 2, steps = 2, draws = 1, passes = 100 }")
)

LIGHT = """
[registry]
name = "light"

[dataset.faces]
use = "procedural-faces"
params = { size = 32 }

[generator.editing]
use = "stargan"
params = { weights = "random", width = 4, blocks = 1, size = 32 }

[attack.pgd]
params = { eps = "6/255", steps = 2 }

[defense.identity]

[restoration.jpeg]

[profile.quick]
samples = 3
seeds = [0, 1]
attacks = ["pgd", "noise"]
defenses = ["jpeg"]
pictures = 2
"""
"""Nothing to calibrate."""


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def table(run, name):
    found = json.loads((run.folder / name).read_text())
    for row in found if isinstance(found, list) else ():
        row.pop("seconds")
    return found


def same(run, other):
    """Whether two run folders say the same in every file, but for seconds and what the manifest tells."""
    assert without_seconds(run) == without_seconds(other)
    for name in ("cells.json", "checks.json"):
        assert table(run, name) == table(other, name)
    for name in ("values.safetensors", "pictures.safetensors"):
        assert (run.folder / name).read_bytes() == (other.folder / name).read_bytes()


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    shop = Workshop(tmp_path_factory.mktemp("light"))
    shop.first = shop.run(LIGHT)
    return shop


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    shop = Workshop(tmp_path_factory.mktemp("checked"))
    shop.first = shop.run(CHECKED, limit=2)
    return shop


def test_workers_that_die_change_nothing_and_no_work_is_done_twice(checked, fresh_shop):
    killed = []

    def dies(unit, worker):
        """Each kind of unit once."""
        if unit.kind in killed:
            return False
        killed.append(unit.kind)
        return True

    engine = InlineEngine(fresh_shop.folder, workers=3, dies=dies)
    run = fresh_shop.run(CHECKED, limit=2, engine=engine)
    assert sorted(killed) == ["cell", "checks", "fit", "images", "pictures", "row"]
    same(run, checked.first)
    assert {name for name, times in engine.made.items() if times > 1} == set()
    # Every file of the store is there, and nothing else; cells tell seconds.
    ours, theirs = files(fresh_shop.folder / "cache"), files(checked.folder / "cache")
    assert ours.keys() == theirs.keys() == engine.made.keys()
    assert [n for n in ours if ours[n] != theirs[n] and not n.startswith("cells")] == []


@pytest.mark.slow
@pytest.mark.parametrize("text", [SETTINGS, ADAPTIVE], ids=["settings", "adaptive"])
def test_workers_do_transfers_sweeps_and_adaptive_attacks_as_this_process(text, tmp_path):
    here, there = Workshop(tmp_path / "here"), Workshop(tmp_path / "there")
    for shop in (here, there):
        shop.folder.mkdir()
    engine = InlineEngine(there.folder, workers=3)
    same(there.run(text, limit=2, engine=engine), here.run(text, limit=2))
    assert {name for name, times in engine.made.items() if times > 1} == set()
    assert engine.made.keys() == files(here.folder / "cache").keys()


def test_a_finished_benchmark_is_only_read(checked):
    engine = InlineEngine(checked.folder)
    before = files(checked.folder / "cache")
    run = checked.run(CHECKED, limit=2, out="again", engine=engine)
    same(run, checked.first)
    assert run.computed == 0
    assert run.reused == len(run.cells)
    assert not engine.made
    assert files(checked.folder / "cache") == before


def test_work_whose_workers_always_die_fails_and_the_rest_is_done(light, fresh_shop):
    def dies(unit, worker):
        return unit.kind == "cell" and unit.title.startswith("editing / pgd / defense jpeg (seed 1")

    engine = InlineEngine(fresh_shop.folder, dies=dies, retries=1)
    run = fresh_shop.run(LIGHT, engine=engine)
    (failure,) = run.failures
    facts = failure.facts
    assert (facts.attack, facts.component, facts.seed) == ("pgd", "jpeg", 1)
    assert failure.error.startswith("tried 2 times, and lost the worker: worker ")
    assert run.computed == len(light.first.cells) - 1
    said = [m for m in fresh_shop.messages if "jpeg (seed 1)" in m]
    assert len(said) == 2
    assert "the work goes to another" in said[0]
    assert said[1].startswith("failed: editing / pgd / defense jpeg (seed 1): tried 2 times")
    rows = [r for r in without_seconds(run) if r["seed"] == "0"]
    assert rows == [r for r in without_seconds(light.first) if r["seed"] == "0"]
    # It is not stored: the same command tries again.
    same(fresh_shop.run(LIGHT), light.first)


def test_cells_whose_images_nobody_could_make_say_so(light, fresh_shop):
    def dies(unit, worker):
        return unit.kind == "images" and unit.title == "editing (seed 0): images of pgd"

    run = fresh_shop.run(LIGHT, engine=InlineEngine(fresh_shop.folder, dies=dies, retries=0))
    failed = {(c.facts.attack, c.facts.seed) for c in run.failures}
    assert failed == {("pgd", 0)}
    assert {c.error.partition(":")[0] for c in run.failures} == {"editing (seed 0)"}
    assert all("images of pgd: tried once" in c.error for c in run.failures)
    assert {c.facts.component for c in run.failures} == {"pgd", "identity", "jpeg"}
    assert len(run.cells) == len(light.first.cells)


@pytest.mark.slow
def test_a_component_that_kills_its_workers_in_calibration_takes_its_own_cells_only(checked, fresh_shop):
    def dies(unit, worker):
        return unit.kind == "fit" and unit.about.component == "distortion"

    shutil.copytree(checked.folder / "cache" / "calibrations", fresh_shop.folder / "cache" / "calibrations")
    run = fresh_shop.run(CHECKED, limit=2, engine=InlineEngine(fresh_shop.folder, dies=dies, retries=0))
    assert {c.facts.component for c in run.failures} == {"distortion"}
    assert all("calibration of detector distortion: tried once" in c.error for c in run.failures)
    own = [r for r in without_seconds(run) if r["component"] != "distortion"]
    assert own == [r for r in without_seconds(checked.first) if r["component"] != "distortion"]


def test_a_broken_component_is_attributed_as_it_is_here(light, fresh_shop):
    (fresh_shop.folder / "bad.py").write_text(BROKEN)
    text = edited(LIGHT, ('defenses = ["jpeg"]', 'defenses = ["jpeg", "broken"]'))
    text += '\n[plugins]\nlocal = { acme = "./bad.py" }\n[defense.broken]\nuse = "acme/bad"\n'
    local = fresh_shop.run(text, out="local")
    shown = list(fresh_shop.messages)
    fresh_shop.messages.clear()
    run = fresh_shop.run(text, engine=InlineEngine(fresh_shop.folder))
    assert {c.facts.component for c in run.failures} == {"broken"}
    assert [c.error for c in run.failures] == [c.error for c in local.failures]
    assert all("acme/bad" in c.error for c in run.failures)
    assert sorted(fresh_shop.messages) == sorted(shown)
    same(run, local)


def test_what_was_finished_before_an_interrupt_is_kept(light, fresh_shop):
    def interrupt(unit, worker):
        if unit.kind == "cell" and unit.number == 4:
            raise KeyboardInterrupt
        return False

    engine = InlineEngine(fresh_shop.folder, dies=interrupt)
    with pytest.raises(KeyboardInterrupt):
        fresh_shop.run(LIGHT, engine=engine)
    assert engine.dismissed
    kept = len(list((fresh_shop.folder / "cache" / "cells").rglob("*.json")))
    assert kept > 0
    run = fresh_shop.run(LIGHT, engine=InlineEngine(fresh_shop.folder))
    assert run.reused == kept
    same(run, light.first)


def test_a_shard_goes_to_workers_too(light, fresh_shop):
    engine = InlineEngine(fresh_shop.folder)
    parts = [fresh_shop.run(LIGHT, shard=(i, 2), engine=engine, out="none") for i in (1, 2)]
    assert not (fresh_shop.folder / "none").exists()
    assert sum(len(part.cells) for part in parts) == len(light.first.cells)
    whole = fresh_shop.run(LIGHT)
    assert whole.computed == 0
    same(whole, light.first)


def test_observers_hear_of_every_cell_once(light, fresh_shop):
    heard = []

    class Observer:
        @hookimpl
        def magdr_cell_finished(self, cell):
            heard.append(tuple(cell["facts"][k] for k in ("attack", "component", "seed")))

    bench = fresh_shop.bench(LIGHT, engine=InlineEngine(fresh_shop.folder))
    bench.toolkit.host.add_observer(Observer(), "ear")
    bench.run()
    assert len(heard) == len(set(heard)) == len(light.first.cells)


def test_the_manifest_names_the_engine(light, fresh_shop):
    assert light.first.manifest["engine"] == LocalEngine.name == "local"
    run = fresh_shop.run(LIGHT, engine=InlineEngine(fresh_shop.folder))
    assert (run.manifest["engine"], run.manifest["threads"]) == ("inline", 1)


# -- what is sent -----------------------------------------------------------------------------------------


def test_local_plugin_files_travel_with_the_registry(fresh_shop, tmp_path):
    (fresh_shop.folder / "bad.py").write_text(BROKEN)
    text = LIGHT + '\n[plugins]\nlocal = { acme = "./bad.py" }\n[defense.broken]\nuse = "acme/bad"\n'
    parcel = parcel_of(fresh_shop.bench(text).toolkit)
    os.remove(fresh_shop.folder / "bad.py")  # the other machine has no such file
    toolkit = parcel.unpack(tmp_path / "there")
    assert toolkit.resolve("defense", "broken").key == parcel.identities["[defense.broken]"]
    # Nor does a changed one there matter.
    (fresh_shop.folder / "bad.py").write_text(BROKEN + "\nVERSION = 2\n")
    toolkit = parcel.unpack(tmp_path / "elsewhere")
    assert toolkit.resolve("defense", "broken").key == parcel.identities["[defense.broken]"]


def test_a_machine_with_other_versions_or_components_is_refused(fresh_shop, tmp_path):
    parcel = parcel_of(fresh_shop.bench(LIGHT).toolkit)
    other = replace(parcel, environment={**parcel.environment, "torch": "0.1"})
    with pytest.raises(MagdrError, match=r"torch is .* there, 0\.1 where the benchmark was started"):
        other.unpack(tmp_path)
    other = replace(parcel, identities={**parcel.identities, "[attack.pgd]": "another"})
    with pytest.raises(MagdrError, match=r"\[attack\.pgd\] is not the same component there"):
        other.unpack(tmp_path)


def test_components_made_in_python_are_refused_before_anything_is_written(fresh_shop):
    def bad(x, c, G):
        return x

    bench = fresh_shop.bench(LIGHT, engine=InlineEngine(fresh_shop.folder))
    bench.toolkit.plugins = {"mine": [DefenseSpec(name="bad", build=stateless(bad))]}
    with pytest.raises(MagdrError, match="components made in Python"):
        bench.run()
    assert not (fresh_shop.folder / "run").exists()
