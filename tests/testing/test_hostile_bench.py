"""A benchmark with a plugin that misbehaves finishes the other cells and says whose fault the rest is."""

from __future__ import annotations

import csv

import pytest

from magdr_core.cli import main
from tests.bench.conftest import DEFENSES, SMALL
from tests.testing.hostile import HOSTILE

REGISTRY = SMALL.replace(DEFENSES, 'defenses = ["jpeg", "bad"]').replace("pictures = 2", "pictures = 0")
REGISTRY = REGISTRY.replace('detectors = ["magdr", "distortion"]', "detectors = []")
REGISTRY = REGISTRY.replace('ensemble = ["flip"]', "").replace('benign = ["jpeg"]\n', "")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Cells of the other components are computed once."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("case", HOSTILE)
def test_bench_with_a_hostile_plugin_finishes_the_other_cells(tmp_path, monkeypatch, capsys, cache, case):
    # Of the few pictures here every second one is refused, so that there is one.
    text = HOSTILE[case][0].replace("% 100 == 7", "% 2 == 0")
    (tmp_path / f"{case}.py").write_text(text)
    own = f'[plugins]\nlocal = {{ hostile = "./{case}.py" }}\n[restoration.bad]\nuse = "hostile/bad"\n'
    (tmp_path / "small.toml").write_text(f"{REGISTRY}\n{own}")
    monkeypatch.chdir(tmp_path)
    arguments = ["bench", "small.toml", "--out", "run", "--cache", str(cache), "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["magdr", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 1, said.err
    failed = [line for line in said.out.splitlines() if line.startswith("failed: ")]
    assert len(failed) in ((1, 2, 3) if case == "one_in_a_hundred" else (3,)), "clean, pgd and noise"
    for line in failed:
        assert "hostile" in line
        assert f"{case}.py" in line
    rows = list(csv.DictReader((tmp_path / "run" / "results.csv").open()))
    assert {row["component"] for row in rows if row["role"] == "defense"} >= {"identity", "jpeg"}
    assert {row["attack"] for row in rows if row["component"] == "jpeg"} == {"none", "pgd", "noise"}
    assert (tmp_path / "run" / "report.html").is_file()
