"""A benchmark with a plugin that misbehaves finishes the other cells and says whose fault the rest is."""

from __future__ import annotations

import csv

import pytest

from magdr_core.cli import main
from tests.bench.conftest import DEFENSES, SMALL
from tests.edits import edited
from tests.testing.hostile import HOSTILE

REGISTRY = edited(SMALL, (DEFENSES, 'defenses = ["jpeg", "bad"]'), ("pictures = 2", "pictures = 0"))
REGISTRY = edited(REGISTRY, ('detectors = ["magdr", "distortion"]', "detectors = []"))
REGISTRY = edited(REGISTRY, ('ensemble = ["flip"]', ""), ('benign = ["jpeg"]\n', ""))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Cells of the other components are computed once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys, cache):
    """`bench(registry)`: run it; exit code, lines of failed cells, rows of the table."""

    def run(text):
        (tmp_path / "small.toml").write_text(text)
        monkeypatch.chdir(tmp_path)
        arguments = ["bench", "small.toml", "--out", "run", "--cache", str(cache), "--device", "cpu"]
        monkeypatch.setattr("sys.argv", ["magdr", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failed: ")]
        assert (tmp_path / "run" / "report.html").is_file()
        return ended.value.code, lines, list(csv.DictReader((tmp_path / "run" / "results.csv").open()))

    return run


@pytest.mark.parametrize("case", HOSTILE)
def test_bench_with_a_hostile_plugin_finishes_the_other_cells(tmp_path, bench, case):
    # Of the few pictures here every second one is refused, so that there is one.
    text = HOSTILE[case][0]
    if case == "one_in_a_hundred":
        text = edited(text, ("% 100 == 7", "% 2 == 0"))
    (tmp_path / f"{case}.py").write_text(text)
    own = f'[plugins]\nlocal = {{ hostile = "./{case}.py" }}\n[restoration.bad]\nuse = "hostile/bad"\n'
    code, failed, rows = bench(f"{REGISTRY}\n{own}")
    assert code == 1
    assert len(failed) in ((1, 2, 3) if case == "one_in_a_hundred" else (3,)), "clean, pgd and noise"
    for line in failed:
        assert "hostile" in line
        assert f"{case}.py" in line
    assert {row["component"] for row in rows if row["role"] == "defense"} >= {"identity", "jpeg"}
    assert {row["attack"] for row in rows if row["component"] == "jpeg"} == {"none", "pgd", "noise"}


def test_bench_with_a_broken_attack_finishes_the_other_attacks(tmp_path, bench):
    (tmp_path / "gone.py").write_text(HOSTILE["import_error"][0])
    own = '[plugins]\nlocal = { hostile = "./gone.py" }\n[attack.odd]\nuse = "hostile/odd"\n'
    text = edited(REGISTRY, ('"bad"', '"identity"'), ('["pgd", "noise"]', '["pgd", "odd", "noise"]'))
    code, failed, rows = bench(f"{text}\n{own}")
    assert code == 1
    assert {line.split(" / ")[2].split(" ")[1] for line in failed} >= {"odd", "identity", "jpeg"}
    for line in failed:
        assert "/ odd /" in line
        assert "plugin 'hostile' (./gone.py): cannot be imported: ModuleNotFoundError" in line
    assert {row["attack"] for row in rows if row["component"] == "jpeg"} == {"none", "pgd", "noise"}
