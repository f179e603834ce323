"""magdr bench with several registries: what is shared is computed once, and the later are compared."""

import csv
import json
from types import SimpleNamespace

import pytest

from magdr_core.cli import main
from magdr_core.cli.bench import _images_kept
from tests.cli.conftest import Done
from tests.edits import edited

TINY = """
[registry]
name = "one"

[dataset.faces]
use = "procedural-faces"
params = { size = 32 }

[generator.editing]
use = "stargan"
params = { weights = "random", width = 8, blocks = 1, size = 32 }

[attack.pgd]
params = { eps = "6/255", steps = 2 }

[restoration.jpeg]
params = { quality = 75 }

[restoration.blur]
use = "gaussian"
params = { sigma = 0.6 }

[restoration.bits]
use = "bit-depth"

[profile.quick]
samples = 14
attacks = ["pgd"]
defenses = ["jpeg", "blur", "bits"]
pictures = 0
"""
WORSE = edited(TINY, ('"one"', '"two"'), ("sigma = 0.6", "sigma = 2.5"), ("quality = 75", "quality = 74"))


def run_in(folder, monkeypatch, capsys, *arguments):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.argv", ["magdr", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main()
    said = capsys.readouterr()
    return Done(exit_.value.code, said.out, said.err)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("several")


@pytest.fixture(scope="module")
def benched(folder):
    """The two registries' benchmark, done once."""
    (folder / "one.toml").write_text(TINY)
    (folder / "two.toml").write_text(WORSE)
    with pytest.MonkeyPatch.context() as patch:
        from click.testing import CliRunner

        from magdr_core.cli import cli

        patch.chdir(folder)
        patch.setenv("COLUMNS", "120")
        return CliRunner().invoke(cli, ["bench", "one.toml", "two.toml", "--device", "cpu"])


def folders(folder):
    return [next(folder.glob(f"runs/{name}-quick-*")) for name in ("one", "two")]


def cells(run):
    return {
        (f["role"], f["component"], f["attack"]): c["key"]
        for c in json.loads((run / "cells.json").read_text())
        for f in [c["facts"]]
    }


def test_the_second_registry_computes_only_what_the_first_did_not(benched, folder):
    assert benched.exit_code == 0, benched.output
    assert "9 cells computed, 0 kept, 0 failed" in benched.output
    assert "4 cells computed, 5 kept, 0 failed" in benched.output
    one, two = map(cells, folders(folder))
    assert one.keys() == two.keys()
    changed = {place for place in one if one[place] != two[place]}
    assert changed == {("defense", name, attack) for name in ("jpeg", "blur") for attack in ("none", "pgd")}


def test_a_run_of_more_images_says_how_many_of_them_were_there(tmp_path, monkeypatch, capsys):
    (tmp_path / "one.toml").write_text(TINY)

    def said(limit):
        arguments = ("bench", "one.toml", "--device", "cpu", "--limit", limit)
        return run_in(tmp_path, monkeypatch, capsys, *arguments).out

    assert "9 cells computed, 0 kept, 0 failed" in said("2")
    assert "9 cells computed (2 of 3 images kept), 0 kept, 0 failed" in said("3")
    assert "0 cells computed, 9 kept, 0 failed" in said("3")


@pytest.mark.parametrize(
    ("grown", "words"),
    [
        ([], ""),
        ([(2, 3)] * 4, " (2 of 3 images kept)"),
        ([(2, 3)] * 3, " (2 of 3 images kept in 3 of them)"),
        ([(2, 3), (1, 3)], " (some images kept in 2 of them)"),
        ([(2, 3), (1, 3)] * 2, " (some images kept)"),
    ],
)
def test_images_that_were_there_are_told_of_the_cells_that_had_them(grown, words):
    assert _images_kept(SimpleNamespace(grown=grown, computed=4)) == words


def test_the_comparison_follows_with_its_page(benched, folder):
    said = benched.output.partition("two against one")[2]
    assert "[restoration.blur] params.sigma" in said
    assert "9 cells in both, 5 of them one and the same result" in said
    assert "regression" in said
    one, two = folders(folder)
    assert (two / f"compare-to-{one.name}.html").is_file()
    assert not list(one.glob("compare-to-*")), "the first is compared with nothing"


def test_compare_reports_the_planted_regression_from_the_folders_alone(
    benched, folder, monkeypatch, capsys, tmp_path
):
    one, two = map(str, folders(folder))
    done = run_in(tmp_path, monkeypatch, capsys, "compare", one, two, "--json")
    assert done.code == 1
    found = {(c["component"], c["attack"]): c for c in done.document["comparisons"] if c["role"] == "defense"}
    blur = found[("blur", "none")]
    assert blur["verdict"] == "regression"
    assert 0 < blur["ci_low"] <= blur["difference"] <= blur["ci_high"]
    assert (blur["n"], blur["causes"]) == (14, ["[restoration.blur]"])
    assert blur["p_holm"] < 0.05
    assert found[("bits", "pgd")]["verdict"] == "same"
    # The interval and the means are of results.csv's own cells.
    rows = [list(csv.DictReader((f / "results.csv").open(newline=""))) for f in folders(folder)]
    means = [
        float(r["value"])
        for table in rows
        for r in table
        if (r["component"], r["attack"], r["metric"], r["variant"]) == ("blur", "none", "mse_o", "")
    ]
    assert [blur["a"], blur["b"]] == pytest.approx(means)


def test_the_other_way_round_it_is_an_improvement(benched, folder, monkeypatch, capsys, tmp_path):
    one, two = map(str, folders(folder))
    done = run_in(tmp_path, monkeypatch, capsys, "compare", two, one, "--out", "page.html")
    assert done.code == 0
    assert "improvement" in done.out


def test_a_registry_named_twice_is_refused_before_anything_runs(benched, folder, monkeypatch, capsys):
    done = run_in(folder, monkeypatch, capsys, "bench", "one.toml", "one.toml")
    assert (done.code, done.out) == (2, "")
    assert "named twice" in done.err


def test_a_wrong_second_registry_stops_the_first_too(benched, folder, monkeypatch, capsys):
    (folder / "wrong.toml").write_text(edited(TINY, ("quality", "qality"), ('"one"', '"wrong"')))
    done = run_in(folder, monkeypatch, capsys, "bench", "one.toml", "wrong.toml", "--limit", "3")
    assert done.code == 2
    assert "wrong.toml" in done.err
    assert "cells" not in done.out


def test_registries_that_share_nothing_are_both_run_and_not_compared(benched, folder, monkeypatch, capsys):
    other = edited(TINY, ('"one"', '"three"'), ("samples = 14", "samples = 2\nfirst = 20"))
    (folder / "three.toml").write_text(other)
    done = run_in(folder, monkeypatch, capsys, "bench", "one.toml", "three.toml", "--device", "cpu")
    assert done.code == 0
    assert "share no cell: they measured other images" in done.out
