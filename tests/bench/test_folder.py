"""A run folder holds one whole run, or says that it does not; its store checks itself."""

import errno
import json
import os
import shutil

import pytest

from magdr_core.errors import MagdrError, WriteError
from magdr_core.report import write_report
from magdr_core.results import run_folder as folders
from magdr_core.results.recorded import RecordedRun
from magdr_core.results.run_folder import CELLS, MANIFEST, PICTURES, RESULTS
from tests.bench.conftest import SMALL
from tests.bench.test_run import without_seconds
from tests.edits import edited


class _Killed(BaseException):
    pass


@pytest.fixture
def again(shop, fresh_shop):
    """A workshop with a finished run and its store, of its own."""
    for name in ("cache", "run"):
        shutil.copytree(shop.folder / name, fresh_shop.folder / name)
    return fresh_shop


def killed(shop, text, monkeypatch):
    """A run that ends like a killed process, before anything is computed."""
    bench = shop.bench(text)

    def kill(result):
        raise _Killed

    monkeypatch.setattr(bench, "_compute", kill)
    with pytest.raises(_Killed):
        bench.run()


def test_a_run_that_is_killed_in_an_old_folder_is_not_taken_for_the_old_one(again, monkeypatch):
    run = again.folder / "run"
    write_report(run)
    killed(again, edited(SMALL, ('eps = "6/255"', 'eps = "7/255"')), monkeypatch)
    assert sorted(p.name for p in run.iterdir()) == [MANIFEST]
    with pytest.raises(MagdrError, match=r"not finished.*the same `magdr bench` command continues it"):
        write_report(run)


def test_the_same_command_finishes_what_was_killed(again, shop, monkeypatch):
    killed(again, SMALL, monkeypatch)
    run = again.run()
    assert (run.computed, run.failures) == (0, [])
    assert without_seconds(run) == without_seconds(shop.first)
    RecordedRun(run.folder).check()


@pytest.mark.parametrize("step", range(1, 8))
def test_killed_between_any_two_writes_it_is_whole_or_refused(again, monkeypatch, step):
    """Every file of the folder, and the manifest twice: what is there is of one run, or refused."""
    before, written = (again.folder / "run" / MANIFEST).read_bytes(), []
    real = folders.write_atomically

    def write(path, content):
        written.append(path.name)
        if len(written) == step:
            raise _Killed
        real(path, content)

    monkeypatch.setattr(folders, "write_atomically", write)
    with pytest.raises(_Killed):
        again.run(edited(SMALL, ("samples = 5", "samples = 4")))
    if step == 1:
        assert (again.folder / "run" / MANIFEST).read_bytes() == before
        RecordedRun(again.folder / "run").check()
    else:
        with pytest.raises(MagdrError, match="not finished"):
            RecordedRun(again.folder / "run")
    assert written[0] == MANIFEST
    assert step < 7 or written[-1] == MANIFEST


def test_without_pictures_there_are_none_of_the_run_before(again):
    assert (again.folder / "run" / PICTURES).exists()
    again.run(edited(SMALL, ("pictures = 2", "pictures = 0")))
    assert not (again.folder / "run" / PICTURES).exists()
    RecordedRun(again.folder / "run").check()


def test_a_full_disk_at_the_end_is_one_line_and_an_unfinished_run(again, monkeypatch):
    real = folders.write_atomically

    def write(path, content):
        if path.name == RESULTS:
            raise WriteError(f"{path}: cannot be written ({os.strerror(errno.ENOSPC)})")
        real(path, content)

    monkeypatch.setattr(folders, "write_atomically", write)
    with pytest.raises(WriteError, match=r"results\.csv: cannot be written \(No space left on device\)"):
        again.run()
    with pytest.raises(MagdrError, match="not finished"):
        RecordedRun(again.folder / "run")


def test_a_folder_that_cannot_be_written_to_keeps_its_run(again, monkeypatch):
    def refuse(path, content):
        raise WriteError(f"{path}: cannot be written ({os.strerror(errno.EROFS)})")

    monkeypatch.setattr(folders, "write_atomically", refuse)
    with pytest.raises(WriteError, match="Read-only file system"):
        again.run()
    RecordedRun(again.folder / "run").check()


def test_figures_that_are_no_numbers_are_written_as_null(tmp_path):
    writer = folders.RunWriter(tmp_path, {})
    writer.write_json(CELLS, [{"a": float("nan"), "b": (1.5, float("-inf"))}])
    assert json.loads((tmp_path / CELLS).read_text()) == [{"a": None, "b": [1.5, None]}]


def of_cells(again, shop, what):
    """The first files of a kind that the store holds of a run's cells."""
    keys = {cell.key for cell in shop.first.cells}
    there = sorted((again.folder / "cache").glob(what))
    return [path for path in there if path.stem.split("-")[0] in keys][:3]


def damaged(paths, change):
    assert paths
    for path in paths:
        change(path)
    return paths


def changed_number(path):
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 300))


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def fifo(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("cells/*/*.json", changed_number),
        ("cells/*/*.json", fifo),
        ("images/*/*[0-9a-f]-pictures.safetensors", cut),
        ("images/*/*-worst-pictures.safetensors", fifo),
    ],
)
def test_results_from_a_damaged_store_are_those_of_an_unbroken_run(again, shop, what, change):
    paths = damaged(of_cells(again, shop, what), change)
    run = again.run()
    assert run.computed == len(paths)
    assert without_seconds(run) == without_seconds(shop.first)
    said = [m for m in again.messages if "counts as absent and is computed again" in m]
    assert len(said) == len(paths)
    assert all(any(str(path) in line for line in said) for path in paths)
    assert (run.folder / PICTURES).read_bytes() == (shop.first.folder / PICTURES).read_bytes()
    assert again.run().computed == 0


def test_damaged_attacked_images_are_made_again(again, shop):
    shutil.rmtree(again.folder / "cache" / "cells")
    paths = damaged(list((again.folder / "cache").glob("images/*/????????????????.safetensors")), cut)
    run = again.run()
    assert without_seconds(run) == without_seconds(shop.first)
    said = "\n".join(again.messages)
    assert any(str(path) in said for path in paths)


def test_what_a_killed_run_left_half_written_in_the_store_is_swept(again):
    folder = next((again.folder / "cache" / "cells").iterdir())
    left = folder / ".magdr-ffffffff-1-00000000.tmp"
    left.write_text("half")
    os.utime(left, (0, 0))
    again.run()
    assert not left.exists()
