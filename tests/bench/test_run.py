"""The benchmark end to end, small: what it writes, what it computes again, how it fails."""

import contextlib
import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from magdr_core.report import write_report
from magdr_core.results.columns import COLUMNS
from magdr_core.results.pictures import worst_of
from tests.bench.conftest import DEFENSES, SMALL
from tests.edits import edited
from tests.run_files import load_pictures

BROKEN = '''
"""A defense that fails on its third call, in a local plugin."""
from magdr_core.api import DefenseSpec, hookimpl, stateless
MAGDR_API = 1

def bad(x, c, G):
    """Always returns the wrong shape."""
    return x[:, :1]

@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="bad", build=stateless(bad))]
'''


def rows_of(run):
    with (run.folder / "results.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def without_seconds(run):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows_of(run)]


def test_results_csv_has_exactly_the_documented_columns(shop):
    header = (shop.first.folder / "results.csv").read_text().splitlines()[0]
    assert header == (
        "registry,task,generator,dataset,attack,eps,steps,knowledge,role,component,variant,metric,value,"
        "ci_low,ci_high,n,seed,seconds,channel"
    )
    assert ",".join(COLUMNS) == header


def test_every_component_has_its_rows(shop):
    rows = rows_of(shop.first)
    assert {r["component"] for r in rows if r["role"] == "defense"} == {
        *("identity", "magdr", "jpeg", "fixed-chain", "oracle"),
    }
    assert {r["component"] for r in rows if r["role"] == "detector"} == {"magdr", "distortion"}
    assert {r["attack"] for r in rows if r["role"] == "attack"} == {"pgd", "noise"}
    assert {r["n"] for r in rows} == {"5"}


def test_clean_rows_say_none_and_undefended_rows_have_no_knowledge(shop):
    rows = rows_of(shop.first)
    assert all(r["eps"] == "0" for r in rows if r["attack"] == "none")
    knowledge = {(r["role"], r["component"]): r["knowledge"] for r in rows}
    assert knowledge[("defense", "identity")] == "none"
    assert knowledge[("attack", "pgd")] == "none"
    assert knowledge[("defense", "magdr")] == "oblivious"
    assert knowledge[("detector", "magdr")] == "oblivious"


def test_detectors_are_measured_against_equal_strength_noise(shop):
    rows = rows_of(shop.first)
    measured = {(r["component"], r["attack"]) for r in rows if r["metric"] == "auroc_noise"}
    assert measured == {("magdr", "pgd"), ("distortion", "pgd")}


def test_benign_edits_have_a_false_positive_rate(shop):
    row = next(r for r in rows_of(shop.first) if r["metric"] == "fpr_benign")
    assert (row["attack"], row["variant"]) == ("none", "jpeg")


def test_identity_on_clean_images_does_no_damage(shop):
    rows = rows_of(shop.first)
    clean = {
        r["metric"]: float(r["value"])
        for r in rows
        if r["component"] == "identity" and r["attack"] == "none" and not r["variant"]
    }
    assert clean["mse_o"] == 0
    assert clean["psnr_o"] == 100
    assert clean["forwards"] == 1


def test_the_oracle_is_at_least_as_good_as_every_single_candidate(shop):
    values = {
        (r["attack"], r["component"]): float(r["value"])
        for r in rows_of(shop.first)
        if r["role"] == "defense" and r["metric"] == "mse_o" and not r["variant"]
    }
    for attack in ("none", "pgd", "noise"):
        single = min(values[(attack, c)] for c in ("identity", "jpeg", "fixed-chain"))
        assert values[(attack, "oracle")] <= single + 1e-6


def test_every_defense_has_an_ensemble_variant_of_its_outputs(shop):
    rows = [r for r in rows_of(shop.first) if r["role"] == "defense" and r["metric"] == "mse_o"]
    plain = {(r["attack"], r["component"]): float(r["value"]) for r in rows if not r["variant"]}
    together = {(r["attack"], r["component"]): float(r["value"]) for r in rows if r["variant"] == "ensemble"}
    assert together.keys() == plain.keys()


def test_differences_to_the_best_baseline_are_paired(shop):
    rows = [r for r in rows_of(shop.first) if r["role"] == "defense" and r["attack"] == "pgd"]
    mean = {r["component"]: float(r["value"]) for r in rows if r["metric"] == "mse_o" and not r["variant"]}
    paired = {r["component"]: r for r in rows if r["metric"] == "mse_o_difference"}
    best = min(("jpeg", "fixed-chain"), key=mean.__getitem__)
    assert paired["magdr"]["variant"] == f"to {best}"
    assert float(paired["magdr"]["value"]) == pytest.approx(mean["magdr"] - mean[best], rel=1e-4, abs=1e-3)
    # Of the baselines each is compared with the other, never with itself.
    assert all(r["variant"] != f"to {name}" for name, r in paired.items())


def test_differences_have_a_p_adjusted_for_all_defenses_of_the_table(shop):
    rows = [r for r in rows_of(shop.first) if r["metric"].startswith("mse_o_difference")]
    tables = {(r["attack"], r["component"], r["variant"], r["metric"]): float(r["value"]) for r in rows}
    adjusted = {k: v for k, v in tables.items() if k[3] == "mse_o_difference_p"}
    assert {k[:3] for k in adjusted} == {k[:3] for k in tables if k[3] == "mse_o_difference"}
    assert all(0 < v <= 1 for v in adjusted.values())
    # With five images no sign test can be below 2/32, with five comparisons the smallest is 5 times that.
    assert min(adjusted.values()) >= 2 / 32


MEASURES = ("mse", "ssim", "psnr", "fsim", "featsim")


def test_defenses_have_every_measure_of_inputs_and_outputs_with_medians(shop):
    for component in ("magdr", "identity", "oracle", "jpeg"):
        where = ("defense", component, "pgd")
        rows = [r for r in rows_of(shop.first) if (r["role"], r["component"], r["attack"]) == where]
        per_image = {f"{m}_{side}" for m in MEASURES for side in "io"} | {"mse_o_target"}
        pooled = {f"{m}_{side}" for m in ("psnr_pooled", "l2_table2") for side in "io"}
        found = {r["metric"] for r in rows if not r["variant"]} - {"forwards"}
        assert found == per_image | {f"median_{m}" for m in per_image} | pooled
        together = {r["metric"] for r in rows if r["variant"] == "ensemble"}
        assert together == {m for m in found if m.endswith(("_o", "_o_target"))}


def test_the_labelled_comparison_obeys_the_papers_law(shop):
    for attack in ("pgd", "noise"):
        rows = [r for r in rows_of(shop.first) if (r["component"], r["attack"]) == ("jpeg", attack)]
        value = {r["metric"]: float(r["value"]) for r in rows if not r["variant"]}
        for side in "io":
            law = value[f"psnr_pooled_{side}"] + 20 * math.log10(value[f"l2_table2_{side}"])
            assert law == pytest.approx(61.06, abs=0.01)
            assert value[f"l2_table2_{side}"] == pytest.approx(4.433 * math.sqrt(value[f"mse_{side}"]))


def test_detectors_have_both_conventions_of_table_1(shop):
    rows = [r for r in rows_of(shop.first) if (r["role"], r["attack"]) == ("detector", "pgd")]
    for point in ("fpr1", "best-f1"):
        own = {r["metric"]: float(r["value"]) for r in rows if r["variant"] == point}
        assert own.keys() == {
            *("precision", "recall", "f1", "accuracy"),
            *("precision_weighted", "recall_weighted", "f1_weighted"),
        }
        assert own["recall_weighted"] == pytest.approx(own["accuracy"])
    free = {r["metric"] for r in rows if not r["variant"]}
    known = {"auroc", "auroc_noise", "f1_of_all", "forwards"}
    assert free - {"auroc_successful"} == known, "five clean images cannot tell a rate of 1% or 5%"


def test_a_profile_may_start_further_on_in_the_split(shop):
    ids = {i for c in shop.first.cells for i in c.ids}
    text = edited(SMALL, ("samples = 5", "samples = 5\nfirst = 5"))
    later = {i for c in shop.run(text, name="later.toml", out="later").cells for i in c.ids}
    assert later
    assert not later & ids


def test_the_same_command_again_computes_nothing_and_writes_the_same(shop):
    before = (shop.first.folder / "results.csv").read_bytes()
    again = shop.run()
    assert again.computed == 0
    assert again.reused == len(again.cells)
    assert (again.folder / "results.csv").read_bytes() == before


def test_a_run_from_nothing_gives_the_same_results(shop, fresh_shop):
    assert without_seconds(fresh_shop.run()) == without_seconds(shop.first)


def test_two_registries_share_what_they_have_in_common(shop):
    other = edited(SMALL, (DEFENSES, edited(DEFENSES, ("[", '["blur", '))))
    other = edited(other, ('name = "small"', 'name = "other"')) + '\n[restoration.blur]\nuse = "gaussian"\n'
    run = shop.run(other, "other.toml", "other")
    new = [c for c in run.cells if not c.reused]
    assert {c.facts.component for c in new} == {"blur"}


def test_a_changed_parameter_is_computed_again(shop):
    other = edited(SMALL, ("steps = 2", "steps = 1"))
    run = shop.run(other, "steps.toml", "steps")
    changed = {c.facts.attack for c in run.cells if not c.reused}
    assert "pgd" in changed
    assert "none" not in {c.facts.attack for c in run.cells if not c.reused and c.facts.component == "jpeg"}


def test_a_damaged_cell_is_computed_again(shop):
    key = shop.first.cells[-1].key
    cell = shop.folder / "cache" / "cells" / key[:2] / f"{key}.json"
    text = cell.read_text()
    cell.write_text(text[: len(text) // 2])
    assert shop.run().computed == 1
    again, before = json.loads(cell.read_text()), json.loads(text)
    assert again["data"]["values"] == before["data"]["values"]
    assert again["key"] == before["key"] == key


def test_a_failing_component_is_attributed_and_the_others_finish(shop):
    (shop.folder / "bad.py").write_text(BROKEN)
    text = edited(SMALL, (DEFENSES, edited(DEFENSES, ("[", '["broken", '))))
    text += '\n[plugins]\nlocal = { acme = "./bad.py" }\n[defense.broken]\nuse = "acme/bad"\n'
    run = shop.run(text, "broken.toml", "broken")
    assert {c.facts.component for c in run.failures} == {"broken"}
    assert all("acme/bad" in c.error and "expected (5, 3, 32, 32)" in c.error for c in run.failures)
    assert without_seconds(run) == [r | {"registry": "small"} for r in without_seconds(shop.first)]
    assert any("acme/bad" in message for message in shop.messages)


def test_the_limit_takes_fewer_samples(shop):
    run = shop.run(out="limited", limit=3)
    assert {r["n"] for r in rows_of(run)} == {"3"}


@pytest.fixture
def fitted_shop(shop, fresh_shop):
    """A shop whose store has the first one's calibrations and images, but no cells."""
    shutil.copytree(shop.folder / "cache", fresh_shop.folder / "cache")
    shutil.rmtree(fresh_shop.folder / "cache" / "cells")
    return fresh_shop


def test_shards_share_the_work_and_an_unsharded_run_assembles_it(shop, fitted_shop):
    parts = [fitted_shop.bench(shard=(i, 3), out=f"part{i}").run() for i in (3, 1, 2)]
    places = [[(c.facts.attack, c.facts.component) for c in part.cells] for part in parts]
    assert sum(map(len, places)) == len(shop.first.cells)
    assert all(places), "nobody is idle"
    assert not any(c.reused for part in parts for c in part.cells), "nothing is done twice"
    assert not any((fitted_shop.folder / f"part{i}").exists() for i in (1, 2, 3)), "no tables of a part"
    whole = fitted_shop.run()
    assert whole.computed == 0
    assert without_seconds(whole) == without_seconds(shop.first)
    assert load_pictures(whole.folder).keys() == load_pictures(shop.first.folder).keys()


def test_pictures_of_every_defense_are_kept(shop):
    pictures = load_pictures(shop.first.folder)
    assert pictures[("editing", "pgd", "magdr", "output")].shape == (2, 3, 32, 32)
    assert ("editing", "none", "clean", "input") in pictures


def worst_cell(run, component="magdr"):
    facts = ("defense", component, "pgd")
    return next(
        c for c in run.cells if tuple(getattr(c.facts, k) for k in ("role", "component", "attack")) == facts
    )


def test_pictures_of_the_worst_images_are_kept_with_what_they_are_compared_with(shop):
    pictures = load_pictures(shop.first.folder)
    cell = worst_cell(shop.first)
    errors = dict(zip(cell.ids, cell.values["mse_o"], strict=True))
    assert cell.worst == sorted(errors, key=errors.get, reverse=True)
    brief = json.loads((shop.first.folder / "cells.json").read_text())
    assert cell.worst in [c.get("worst") for c in brief]
    # The profile shows the first two images: wherever they stand among the worst, they are the same.
    place = [cell.worst.index(name) for name in cell.ids[:2]]
    compared = {
        "input": ("pgd", "magdr", "input"),
        "output": ("pgd", "magdr", "output"),
        "attacked-input": ("pgd", "identity", "input"),
        "attacked-output": ("pgd", "identity", "output"),
        "clean-input": ("none", "clean", "input"),
        "clean-output": ("none", "clean", "output"),
    }
    for side, name in compared.items():
        kept = pictures[("editing", "pgd", "magdr", f"worst-{side} 0")][place].int()
        assert (kept - pictures[("editing", *name)].int()).abs().max() <= 1, side
    assert not [k for k in pictures if k[2] == "jpeg" and k[3].startswith("worst")], (
        "a baseline's: in the store"
    )
    store = shop.bench().store
    assert store.images(f"{worst_cell(shop.first, 'jpeg').key}-worst-pictures").shape == (30, 3, 32, 32)


def test_the_worst_images_are_told_apart_as_the_run_folder_does():
    errors = {f"face-{i}": float(i % 7) for i in range(14)}
    assert worst_of(errors) == ["face-13", "face-6", "face-12", "face-5", "face-11"]
    assert worst_of({"b": 1.0000001, "a": 1.0, "c": 2.0}) == ["c", "a", "b"]


def test_cells_of_a_store_without_pictures_of_the_worst_are_used_as_they_are(shop, fresh_shop):
    shutil.copytree(shop.folder / "cache", fresh_shop.folder / "cache")
    store = fresh_shop.bench().store
    for path in (fresh_shop.folder / "cache" / "cells").rglob("*.json"):
        cell = json.loads(path.read_text())["data"]
        cell.pop("worst", None)
        store.put_json("cells", path.stem, cell)
    for path in (fresh_shop.folder / "cache").rglob("*-worst-pictures.safetensors"):
        path.unlink()
    run = fresh_shop.run()
    assert (run.computed, run.failures) == (0, [])
    assert without_seconds(run) == without_seconds(shop.first)
    assert not [name for name in load_pictures(run.folder) if name[3].startswith("worst")]
    assert write_report(run.folder).is_file()


def test_the_manifest_tells_what_ran(shop):
    manifest = json.loads((shop.first.folder / "manifest.json").read_text())
    assert manifest["registry_text"] == SMALL
    assert manifest["versions"]["torch"]
    assert manifest["settings"]["samples"] == 5


def test_a_killed_run_is_continued_and_ends_with_the_same_results(shop, fitted_shop):
    folder = fitted_shop.folder
    (folder / "small.toml").write_text(SMALL)
    command = [sys.executable, "-m", "magdr_core.cli", "bench", "small.toml", "--out", "run"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--cache", "cache"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    until = time.monotonic() + 200
    while not finished_cells(folder) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):  # it was quicker than this
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    left_behind = finished_cells(folder)
    assert left_behind
    for path in left_behind:
        json.loads(path.read_text())  # complete, or not there
    run = fitted_shop.run()
    assert run.reused == len(left_behind)
    assert without_seconds(run) == without_seconds(shop.first)


def finished_cells(folder):
    return [*(folder / "cache" / "cells").rglob("*.json")]
