"""A whole run with the role and the scenario of a plugin: its figures reach every table and comparison."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load, save

from magdr_core.bench import registered
from magdr_core.bench.plan import plan
from magdr_core.cli.result_view import print_tables
from magdr_core.compare import compare_folders
from magdr_core.components.figure import Figure, Threshold
from magdr_core.report import write_report
from magdr_core.results.run_folder import VALUES, RunWriter
from tests.bench.test_roles_and_scenarios import Dimmed, Filtering
from tests.cli.test_tables import printed
from tests.report.page import Page
from tests.run_files import load_values

BRIGHTNESS = Figure(
    name="brightness",
    role="filter",
    unit="share",
    digits=4,
    threshold=Threshold(0.001),
    needs=("brightness",),
)
DARKENING = Figure(
    name="darkening",
    role="filter",
    better="lower",
    needs=("clean:brightness", "brightness"),
    statistic="mean_difference",
)


class Bright(Filtering):
    figures = (BRIGHTNESS, DARKENING)


@pytest.fixture(scope="module")
def ran(shop):
    with pytest.MonkeyPatch.context() as patch:
        bench = shop.bench(out="own-figures")
        roles, scenarios = registered.roles(bench.toolkit), registered.scenarios(bench.toolkit)
        patch.setattr(registered, "roles", lambda toolkit: {**roles, "filter": Bright()})
        patch.setattr(registered, "scenarios", lambda toolkit: {**scenarios, "dimmed": Dimmed()})
        told = bench.profile.model_copy(update={"extra": {"filters": ["jpeg"], "dim": [{"share": 0.5}]}})
        # As if the registry's profile said so.
        bench.profile, bench.groups = told, plan(bench.toolkit, told, "quick")
        return bench.run()


def values_of(result, attack):
    (cell,) = (c for c in result.cells if (c.facts.role, c.facts.attack) == ("filter", attack))
    return np.array(cell.values["brightness"])


def test_rows_are_the_figures_of_the_values(ran):
    rows = {(r["attack"], r["metric"]): r for r in ran.rows if r["role"] == "filter"}
    assert {attack for attack, _ in rows} == {"none", "pgd", "noise", "dim@0.5"}
    for attack in ("none", "pgd", "dim@0.5"):
        assert rows[attack, "brightness"]["value"] == pytest.approx(values_of(ran, attack).mean())
    dimmed = rows["dim@0.5", "darkening"]
    expected = values_of(ran, "none") - values_of(ran, "dim@0.5")
    assert dimmed["value"] == pytest.approx(expected.mean())
    assert dimmed["ci_low"] <= dimmed["value"] <= dimmed["ci_high"]


def test_detectors_and_defenses_have_their_figures_on_the_images_of_another_scenario(ran):
    there = {(r["role"], r["metric"]) for r in ran.rows if r["attack"] == "dim@0.5"}
    assert {("detector", "auroc"), ("detector", "recall"), ("defense", "mse_o")} <= there


def test_the_manifest_lists_what_the_role_says(ran):
    listed = json.loads((ran.folder / "manifest.json").read_text())["figures"]
    assert [f for f in listed if f["role"] == "filter"] == [BRIGHTNESS.as_json(), DARKENING.as_json()]


def test_report_and_terminal_have_the_roles_table(ran):
    page = Page(write_report(ran.folder).read_text(encoding="utf-8"))
    text = str(page.tables["filter, editing"])
    assert f"{values_of(ran, 'dim@0.5').mean():.4f}" in text
    assert "dim@0.5" in text
    told = printed(print_tables, ran)
    assert "editing: filter" in told
    assert "brightness (share)" in told


def test_two_runs_are_compared_by_the_roles_figures(ran, tmp_path):
    """The second run's filter leaves images brighter: planted in its values."""
    other = tmp_path / "other"
    shutil.copytree(ran.folder, other)
    keys = [c.key for c in ran.cells if c.facts.role == "filter"]
    brighter(other, keys)
    found = compare_folders(ran.folder, other, tmp_path / "none")
    own = [r for r in found.rows if r.place.role == "filter" and r.metric == "brightness"]
    assert len(own) == 4
    assert [r.difference for r in own] == pytest.approx([0.25] * 4)
    assert {r.figure for r in own} == {BRIGHTNESS}
    same = [r for r in found.rows if r.metric == "darkening"]
    assert [r.difference for r in same] == pytest.approx([0.0] * 4, abs=1e-6)


def brighter(folder, keys):
    """Raise the stored brightness by a quarter, signed as the run's own."""
    content = (folder / VALUES).read_bytes()
    meta = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    tensors = load(content)
    for key in keys:
        tensors[key] = tensors[key] + tensors[key].dtype.type(0.25)
    manifest = json.loads((folder / "manifest.json").read_text())
    writer = RunWriter(folder, manifest)
    writer._files = manifest["files"]
    writer.write(VALUES, save(tensors, meta))
    writer.finish()
    assert set(keys) <= set(load_values(folder))
