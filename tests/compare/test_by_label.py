"""Two runs that differ in a parameter are compared by label, and what differs is said."""

from __future__ import annotations

import json

import pytest

from magdr_core.bench.run import Bench
from magdr_core.compare import RegressionRule, compare_folders
from magdr_core.compare.format import rule_lines
from magdr_core.compare.output import to_json
from magdr_core.errors import MagdrError
from tests.compare.conftest import REGISTRY, filled
from tests.edits import edited

LABEL = RegressionRule(by="label")

STRONG = {"eps": 8 / 255, "steps": 50}

RUN = """
[registry]
name = "run"
device = "cpu"
[dataset.faces]
use = "procedural-faces"
params = { size = 32 }
[generator.editing]
use = "stargan"
params = { weights = "random", width = 8, blocks = 1, size = 32 }
[attack.pgd]
params = { eps = "4/255", steps = 2 }
[defense.median]
use = "filter"
params = { restoration = "soft" }
[restoration.soft]
use = "median"
params = { radius = 1 }
[profile.quick]
samples = 6
attacks = ["pgd"]
defenses = ["median"]
"""


@pytest.fixture
def stronger(folder):
    """Two run folders, of which the second has a stronger attack of the same label."""

    def make(**facts):
        text = edited(REGISTRY, ('eps = "6/255", steps = 30', 'eps = "8/255", steps = 50'))
        a, b = filled(folder("a")), filled(folder("b", text=text), mse=130.0)
        for cell in b.cells:
            if cell["facts"]["attack"] == "pgd":
                cell["facts"] |= {**STRONG, **facts}
        return a.write(), b.write()

    return make


def test_a_stronger_attack_of_the_same_label_is_paired_by_label_alone(stronger):
    a, b = stronger()
    usual = compare_folders(a, b, a / "none")
    assert {row.place.attack for row in usual.rows} == {"none"}
    by_label = compare_folders(a, b, a / "none", LABEL)
    assert {row.place.attack for row in by_label.rows} == {"none", "pgd"}
    assert by_label.matching.only_a == by_label.matching.only_b == []
    row = next(r for r in by_label.rows if (r.place.attack, r.place.component) == ("pgd", "jpeg"))
    assert (row.a, row.b) == (pytest.approx(100), pytest.approx(130))
    assert row.place.eps == pytest.approx(6 / 255), "A's"


def test_cells_that_only_labels_would_pair_are_told(stronger):
    a, b = stronger()
    usual = compare_folders(a, b, a / "none")
    count = len(usual.matching.only_a)
    assert count > 1
    assert [line for line in rule_lines(usual) if "--by label" in line] == [
        f"not compared: {count} cells with the same labels but other settings; --by label pairs them"
    ]
    assert not any("--by label" in line for line in rule_lines(compare_folders(a, b, a / "none", LABEL)))


def test_what_differs_is_said_plainly(stronger):
    a, b = stronger()
    comparison = compare_folders(a, b, a / "none", LABEL)
    (line,) = [line for line in rule_lines(comparison) if "paired by label" in line]
    assert line == (
        "paired by label, whatever the parameters; these differ: [attack.pgd] params.eps: 6/255 -> 8/255; "
        "[attack.pgd] params.steps: 30 -> 50"
    )
    document = json.loads(to_json(comparison))
    assert document["rule"]["by"] == "label"
    assert document["differ"] == [
        "[attack.pgd] params.eps: 6/255 -> 8/255",
        "[attack.pgd] params.steps: 30 -> 50",
    ]


def test_a_strength_of_which_the_registries_say_nothing_is_said_too(folder):
    a, b = filled(folder("a")), filled(folder("b"), mse=130.0)
    for cell in b.cells:
        if cell["facts"]["attack"] == "pgd":
            cell["facts"] |= STRONG
    comparison = compare_folders(a.write(), b.write(), a.path / "none", LABEL)
    assert any("attack pgd: eps 6/255 -> 8/255, steps 30 -> 50" in line for line in rule_lines(comparison))


def test_other_pictures_are_paired_by_no_label(stronger):
    a, b = stronger(data="faces-v2")
    comparison = compare_folders(a, b, a / "none", LABEL)
    assert {row.place.attack for row in comparison.rows} == {"none"}
    assert {place.attack for place in comparison.matching.other_images} == {"pgd"}


def test_points_of_a_sweep_keep_their_steps(folder):
    a, b = folder("a"), folder("b")
    for run, eps, mse in ((a, 6, 1.0), (b, 8, 2.0)):
        for steps in (1, 10):
            facts = {"slice_role": "sweep", "eps": eps / 255, "steps": steps}
            values = {"mse_o": [mse * steps + i / 100 for i in range(24)], "success": [1.0] * 24}
            run.cell("attack", "pgd", values, **facts)
    comparison = compare_folders(a.write(), b.write(), a.path / "none", LABEL)
    assert [pair.place.steps for pair in comparison.matching.pairs] == [1, 10]


def test_noise_of_an_attack_s_strength_goes_with_the_attack(folder):
    a, b = folder("a"), folder("b")
    for run, eps in ((a, 6), (b, 8)):
        run.cell("detector", "magdr", {"score": [0.0, 1.0] * 12}, "none")
        run.cell("detector", "magdr", {"score": [2.0] * 24}, eps=eps / 255)
        facts = {"slice_role": "noise", "eps": eps / 255, "steps": 1, "noise": True}
        run.cell("detector", "magdr", {"score": [0.5] * 24}, f"noise@{eps}", **facts)
    comparison = compare_folders(a.write(), b.write(), a.path / "none", LABEL)
    assert [pair.place.attack for pair in comparison.matching.pairs] == ["none", "pgd", "noise@6"]


def test_a_failure_of_the_same_label_counts_as_a_new_one(folder):
    a, b = filled(folder("a")), filled(folder("b"))
    b.cells = [c for c in b.cells if (c["facts"]["component"], c["facts"]["attack"]) != ("jpeg", "pgd")]
    b.cell("defense", "jpeg", error="no luck", **STRONG)
    folders = a.write(), b.write()
    assert compare_folders(*folders, a.path / "none").new_failures == []
    (failed,) = compare_folders(*folders, a.path / "none", LABEL).new_failures
    assert failed.error == "no luck"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"4/255"', '"8/255"'), "[attack.pgd] params.eps: 4/255 -> 8/255"),
        (("radius = 1", "radius = 2"), "[restoration.soft] params.radius: 1 -> 2"),
    ],
    ids=["attack", "defense"],
)
def test_two_runs_that_differ_in_one_parameter_are_compared(toolkit_from, tmp_path, change, said):
    def run(name, text):
        toolkit = toolkit_from(text, tmp_path / f"{name}.toml")
        cache = tmp_path / "cache"
        return (
            Bench(toolkit, "quick", out=tmp_path / name, cache=cache, report=lambda line: None).run().folder
        )

    folders = run("a", RUN), run("b", edited(RUN, change))
    comparison = compare_folders(*folders, tmp_path / "cache", LABEL)
    places = {(row.place.attack, row.place.component) for row in comparison.rows}
    assert {("pgd", "pgd"), ("pgd", "median"), ("none", "median")} <= places
    assert f"these differ: {said}" in " ".join(rule_lines(comparison))
    moved = [r for r in comparison.rows if (r.place.attack, r.place.component) == ("pgd", "median")]
    assert all(row.difference != 0 for row in moved)


def test_runs_that_share_no_label_share_nothing(folder):
    a, b = filled(folder("a")), filled(folder("b"))
    for cell in b.cells:
        cell["facts"]["task"] = "another"
    with pytest.raises(MagdrError, match="share no cell: tasks editing there, another here"):
        compare_folders(a.write(), b.write(), a.path / "none", LABEL)
