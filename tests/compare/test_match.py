"""Which cells are compared with which, and folders that cannot be."""

import numpy as np
import pytest

from magdr_core.compare import compare_folders
from magdr_core.errors import MagdrError
from magdr_core.results.run_folder import VALUES
from magdr_core.results.store import Store
from tests.compare.conftest import errors, filled


def compare(folders, rule=None, cache=None):
    a, b = folders
    return compare_folders(a, b, cache or a.parent / "no-cache", rule)


def test_only_samples_of_both_runs_are_compared(folder):
    a, b = folder("a"), folder("b")
    a.cell("defense", "jpeg", {"mse_o": np.arange(20.0)}, ids=[f"f{i}" for i in range(20)])
    order = [f"f{i}" for i in (25, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10)]
    b.cell("defense", "jpeg", {"mse_o": [900, *np.arange(19.0, 9, -1) + 7]}, ids=order)
    (row,) = compare((a.write(), b.write())).rows
    assert (row.n, row.n_a, row.n_b) == (10, 20, 11)
    assert (row.a, row.b) == (14.5, 21.5), "matched by name, in whatever order"
    assert (row.low, row.high) == pytest.approx((7, 7))


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"task": "reenactment"}, "tasks editing there, reenactment here"),
        ({"seed": 3}, "seeds 0 there, 3 here"),
        ({"attack": "cw"}, "attacks pgd there, cw here"),
        ({"component": "blur"}, "components jpeg there, blur here"),
        ({"eps": 8 / 255}, "no component stands under the same attack in both"),
        ({"data": "faces-v2"}, "they measured other images"),
        ({"ids": [f"other-{i}" for i in range(24)]}, "they measured other images"),
    ],
)
def test_runs_that_share_nothing_say_in_one_line_what_differs(folder, facts, reason):
    b = folder("b")
    facts = dict(facts)
    b.cell(
        "defense", facts.pop("component", "jpeg"), {"mse_o": errors(1)}, facts.pop("attack", "pgd"), **facts
    )
    a = folder("a").cell("defense", "jpeg", {"mse_o": errors(1)})
    with pytest.raises(MagdrError, match="share no cell") as error:
        compare((a.write(), b.write()))
    assert str(error.value).endswith(reason)
    assert "\n" not in str(error.value)


def test_a_stronger_attack_is_another_attack(two, folder):
    a, _ = two()
    b = filled(folder("b"))
    for c in b.cells:
        if c["facts"]["attack"] == "pgd":
            c["facts"]["eps"] = 8 / 255
    found = compare((a, b.write()))
    assert {r.place.attack for r in found.rows} == {"none"}
    assert found.matching.alone_a == ["editing, pgd (eps 6/255, 30 steps): 4 cells"]
    assert found.matching.alone_b == ["editing, pgd (eps 8/255, 30 steps): 4 cells"]


def test_a_component_that_one_run_lacks_is_told_once(two, folder):
    a, _ = two()
    b = filled(folder("b"))
    for attack in ("none", "pgd"):
        b.cell("defense", "blur", {"mse_o": errors(1)}, attack)
    found = compare((a, b.write()))
    assert found.matching.alone_b == ["editing, defense blur: 2 cells"]
    assert not found.found_worse


def test_a_run_of_an_earlier_version_needs_its_cache(two, folder, tmp_path):
    a, _ = two()
    old = filled(folder("old"), mse=130.0)
    path = old.write(values=False)
    with pytest.raises(MagdrError, match=r"no per-sample values of 7 of its 7 cells.*--cache"):
        compare((a, path))
    store = Store(tmp_path / "cache")
    for c in old.cells:
        store.put_json("cells", c["key"], {"schema": 1, **c})
    found = compare((a, path), cache=tmp_path / "cache")
    assert [r.place.component for r in found.regressions] == ["jpeg"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("manifest.json", None, "missing; is this the folder of a finished"),
        ("manifest.json", "{", "damaged, not JSON"),
        ("manifest.json", "[]", "not the manifest"),
        ("manifest.json", '{"schema": 1, "settings": {}}', "not the manifest"),
        ("cells.json", None, "missing; is this the folder of a finished"),
        ("cells.json", '{"a": 1}', "not the cells"),
        ("cells.json", '[{"facts": {"task": "editing"}}]', "not the cells"),
        (VALUES, "not tensors", "damaged"),
    ],
)
def test_a_damaged_or_foreign_folder_is_one_line_with_the_file(two, name, content, said):
    a, b = two()
    if content is None:
        (b / name).unlink()
    else:
        (b / name).write_text(content)
    with pytest.raises(MagdrError) as error:
        compare((a, b))
    assert str(error.value).startswith(str(b / name))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_run_of_another_format_is_refused(two, folder):
    a, _ = two()
    b = filled(folder("new", manifest={"schema": 9})).write()
    with pytest.raises(MagdrError, match="written in format 9, this version reads 1"):
        compare((a, b))


def test_a_detector_on_fewer_images_takes_those_clean_images(folder):
    """A long run's checkpoints and adaptive attacks are on the first images only."""
    a, b = folder("a"), folder("b")
    for run, found in ((a, [2.0] * 8), (b, [2.0] * 4 + [0.0] * 4)):
        run.cell("detector", "magdr", {"score": [0.0] * 8 + [9.0] * 16}, "none")
        for role in ("sweep", "adaptive"):
            knowledge = "adaptive" if role == "adaptive" else "oblivious"
            run.cell("detector", "magdr", {"score": found}, slice_role=role, knowledge=knowledge)
    rows = compare((a.write(), b.write())).rows
    assert [(r.place.slice_role, r.n) for r in rows] == [("adaptive", 8), ("sweep", 8)]
    # The clean images that would be false alarms are others: F1 is 2 tp / (2 tp + fn).
    assert [(r.a, r.b) for r in rows] == [(1.0, pytest.approx(2 / 3))] * 2
    assert rows[0].place.where == "editing, pgd (eps 6/255, 30 steps), adaptive"


def test_seeds_are_compared_apart(folder):
    a, b = folder("a"), folder("b")
    for run, shift in ((a, 0.0), (b, 50.0)):
        for seed in (0, 1):
            run.cell("defense", "jpeg", {"mse_o": errors(100 + shift * seed, seed=seed)}, seed=seed)
    found = compare((a.write(), b.write()))
    assert {r.place.seed: r.verdict for r in found.rows} == {0: "same", 1: "regression"}
