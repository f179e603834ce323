"""The example scripts run as they are, on drawn faces, and show what they say they show."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


@pytest.fixture
def example(monkeypatch, tmp_path):
    """`example("folder")`: the script as a module, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def load(name):
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_example_scripts_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60


def test_one_photo_is_flagged_and_repaired(example, capsys, tmp_path):
    example("one_photo").main()
    said = capsys.readouterr().out
    assert said.startswith("disrupted (score ")
    assert "guess" not in said
    assert (tmp_path / "magdr-out" / "face-1.png.restored.png").is_file()


def test_a_folder_gives_a_table_of_verdicts(example, capsys, tmp_path):
    example("folder").main()
    with (tmp_path / "magdr-out" / "verdicts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"] for row in rows] == [f"face-{i}.png" for i in range(4)]
    flagged = [row["disrupted"] == "True" for row in rows]
    assert flagged == [False, True] * 2
    repaired = sorted(p.name for p in (tmp_path / "magdr-out").glob("*.restored.png"))
    assert repaired == [f"face-{i}.png.restored.png" for i in (1, 3)]


def test_a_layer_before_a_generator(example, capsys):
    example("before_a_generator").main()
    said = capsys.readouterr().out
    assert "output (2, 3, 128, 128)" in said
    assert "edited entries [['Smiling'], ['Smiling']]" in said


def test_a_defense_that_is_defined_in_the_script_is_benchmarked_once(example, capsys, tmp_path):
    module = example("own_defense")
    module.main("runs", "1")
    first = capsys.readouterr().out
    assert "halved" in first
    assert ", 0 kept" in first
    module.main("runs", "1")
    again = capsys.readouterr().out
    assert "0 computed" in again
    assert first.splitlines()[:-1] == again.splitlines()[:-1]


def test_a_clip_is_restored_where_it_is_disrupted(example, capsys, tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed (pip install 'magdr[video]')")
    example("video").main()
    said = capsys.readouterr().out
    assert "clip.mkv: disrupted in" in said
    assert "guess" not in said
    assert "restored from 0." in said, "the first half is left as it is"
    assert (tmp_path / "magdr-out" / "clip.mkv.restored.mkv").is_file()
