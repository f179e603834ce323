"""One file never ends the work on the others, and a program always gets one document."""

import ctypes
import json
import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from magdr_core.cli.document import as_text, for_a_program, path_facts, text_only
from magdr_core.errors import DataError
from tests.edits import edited

RARE = '''
from magdr_core.api import AugmentationSpec, hookimpl, stateless

MAGDR_API = 1
print("said at import")


def turned(x):
    """Fails on dark pictures."""
    print("said in a call", flush=True)
    if (x.mean((1, 2, 3)) < 0.02).any():
        raise ValueError("too dark")
    return x.flip(3)


@hookimpl
def magdr_augmentations():
    return [AugmentationSpec(name="rare", build=stateless(turned, undo=lambda y: y.flip(3)))]
'''
TABLES = '\n[plugins]\nlocal = { a = "./rare.py" }\n[augmentation.n]\nuse = "a/rare"\n'


def picture(path, seed=0, mode="RGB"):
    levels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(levels).convert(mode).save(path, format="PNG")


@pytest.fixture
def folder(tmp_path):
    """Three good pictures and a black one."""
    place = tmp_path / "d"
    place.mkdir()
    for i, name in enumerate(("a.png", "b.png", "z.png")):
        picture(place / name, i)
    Image.new("RGB", (40, 40)).save(place / "black.png")
    return place


@pytest.fixture
def rare(magdr, workshop, tmp_path):
    """`rare("detect", "d")` with a component that fails on dark pictures and prints."""
    (tmp_path / "rare.py").write_text(RARE)
    text = edited(
        (workshop / "small.toml").read_text(),
        ('augmentations = ["flip"]', 'augmentations = ["n"]'),
        first=True,
    )
    (tmp_path / "rare.toml").write_text(
        edited(text, ("fit = 40\nclean = 40", "fit = 12\nclean = 20")) + TABLES
    )

    def run(command, *arguments):
        return magdr(command, *arguments, "--registry", "rare.toml", "--set", "Blond_Hair", "--whole")

    return run


def names(entries):
    return [entry["path"] for entry in entries]


@pytest.mark.parametrize("command", ["detect", "defend"])
def test_a_component_that_fails_on_one_picture_costs_that_picture_alone(rare, folder, command):
    done = rare(command, "d", "--json")
    assert done.code == 1
    assert sorted(names(done.document["results"])) == ["d/a.png", "d/b.png", "d/z.png"]
    (skipped,) = done.document["skipped"]
    assert skipped["path"] == "d/black.png"
    assert skipped["error"].startswith("d/black.png: ")
    assert "too dark" in skipped["error"]
    assert "rare.py" in skipped["error"]
    assert "said at import" in done.err
    assert "said in a call" in done.err


def test_only_the_document_reaches_stdout(capfd):
    libc = ctypes.CDLL(None)
    with for_a_program(True) as stdout:
        print("said by a plugin")
        libc.puts(b"said by C")
        libc.fflush(None)
        os.write(1, b"said to the stream\n")
        with stdout():
            print("document")
        print("said afterwards")
    said = capfd.readouterr()
    assert said.out == "document\n"
    for words in ("by a plugin", "by C", "to the stream", "afterwards"):
        assert f"said {words}" in said.err


def test_without_a_program_nothing_is_redirected(capfd):
    with for_a_program(False) as stdout:
        print("seen")
        with stdout():
            print("seen too")
    assert capfd.readouterr().out == "seen\nseen too\n"


def test_results_that_cannot_be_written_are_named_and_the_rest_is_done(own, folder, monkeypatch):
    from magdr_core.cli import photos

    write = photos.write_picture

    def full(path, image, **options):
        if path.name.startswith("b.png.output"):
            raise DataError(f"{path}: cannot be written (No space left on device)")
        write(path, image, **options)

    monkeypatch.setattr(photos, "write_picture", full)
    done = own("defend", "d", "--whole", "--json")
    assert done.code == 1
    assert names(done.document["results"]) == ["d/a.png", "d/black.png", "d/z.png"]
    (skipped,) = done.document["skipped"]
    assert skipped["path"] == "d/b.png"
    assert "No space left on device" in skipped["error"]
    assert not list(folder.parent.glob("magdr-out/b.png.*")), "no half of its results is left"


def test_memory_that_runs_out_on_one_picture_costs_that_picture_alone(own, folder, monkeypatch):
    from magdr_core.inference.operations import Detect

    call = Detect.__call__

    def small(self, x, c, ids):
        if "b.png" in ids:
            raise MemoryError
        return call(self, x, c, ids)

    monkeypatch.setattr(Detect, "__call__", small)
    done = own("detect", "d", "--whole", "--json")
    assert done.code == 1
    assert names(done.document["skipped"]) == ["d/b.png"]
    assert "not enough memory" in done.document["skipped"][0]["error"]
    assert len(done.document["results"]) == 3


def test_special_files_are_named_and_the_pictures_are_judged(own, folder):
    os.mkfifo(folder / "m.png")
    os.mkfifo(folder / "m.mp4")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "loop.png").symlink_to("loop.png")
    with open(folder / "sparse.png", "wb") as file:
        file.truncate(2 * 10**9)
    (folder / "photo.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 99)
    (folder / "x.png").mkdir()
    (folder / "README").write_text("no picture")
    done = own("detect", "d", "--whole", "--json")
    assert done.code == 1
    assert len(done.document["results"]) == 4
    said = {s["path"].removeprefix("d/"): s["error"] for s in done.document["skipped"]}
    assert set(said) == {"m.png", "m.mp4", "zero.png", "loop.png", "sparse.png", "photo.HEIC"}
    assert "HEIC; convert it to PNG or JPEG" in said["photo.HEIC"]
    assert own("detect", "d/m.png", "--whole").code == 1


def test_a_folder_of_unreadable_pictures_is_not_an_empty_one(own, tmp_path):
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 99)
    done = own("detect", "phone", "--json")
    assert done.code == 1
    assert names(done.document["skipped"]) == ["phone/IMG_1.HEIC"]


ODD = [
    b"a\xff.png",
    b"-rf.png",
    b"a\nb.png",
    b"\x1b[31mred.png",
    b"%s%n.png",
    b"[bold].png",
    b"x" * 251 + b".png",
]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_judged_and_told(own, tmp_path, name):
    (tmp_path / "d").mkdir()
    picture(os.path.join(os.fsencode(tmp_path), b"d", name).decode("utf-8", "surrogateescape"))
    done = own("detect", "d", "--whole", "--json")
    assert done.code == 0, done.err
    (result,) = done.document["results"]
    result["path"].encode()  # text, without half characters
    raw = unquote_to_bytes(result["path_bytes"]) if "path_bytes" in result else result["path"].encode()
    assert raw == b"d/" + name


def test_a_name_too_long_for_its_results_is_skipped_and_named(own, tmp_path):
    (tmp_path / "d").mkdir()
    picture(tmp_path / "d" / ("x" * 251 + ".png"))
    picture(tmp_path / "d" / "good.png")
    done = own("defend", "d", "--whole", "--json")
    assert done.code == 1
    assert names(done.document["results"]) == ["d/good.png"]
    (skipped,) = done.document["skipped"]
    assert "x" * 251 in skipped["path"]
    assert "File name too long" in skipped["error"]


def test_pictures_of_one_stem_have_results_of_their_own(own, tmp_path):
    (tmp_path / "d").mkdir()
    picture(tmp_path / "d" / "a.png", 1)
    picture(tmp_path / "d" / "a.jpg", 2)
    results = own("defend", "d", "--whole", "--json").document["results"]
    files = [file for result in results for file in result["files"].values()]
    assert len(set(files)) == len(files) == 6
    assert all(os.path.isfile(file) for file in files)


@pytest.mark.parametrize(("command", "suffix"), [("defend", "restored"), ("attack", "attacked")])
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_picture_comes_back_grey(own, restoring, tmp_path, command, suffix, mode):
    picture(tmp_path / "grey.png", mode=mode)
    done = own(
        command, "grey.png", "--whole", "--json", **({} if command == "attack" else {"flags": "always"})
    )
    (result,) = done.document["results"]
    back, given = Image.open(result["files"][suffix]), Image.open("grey.png").convert("L")
    assert back.mode == "L"
    moved = np.abs(np.asarray(back).astype(int) - np.asarray(given))
    if command == "attack":
        assert 0 < moved.max() <= 6


# -- what is asked for ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--set", "Blond_Hair"], "--set Blond_Hair is given twice"),
        (["--set", "Blond_Hair=0"], "--set Blond_Hair is given twice"),
        (["--set", "Black_Hair"], "hair has one colour"),
        (["--has", "Smiling", "--has", "Smiling"], "--has Smiling is given twice"),
    ],
)
def test_what_is_asked_twice_is_refused_in_a_line(own, tmp_path, options, expected):
    picture(tmp_path / "a.png")
    done = own("detect", "a.png", *options)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert expected in done.err


def test_a_misspelt_edit_is_corrected_before_a_task_is_asked_for(magdr, workshop, tmp_path):
    text = (workshop / "small.toml").read_text() + (
        '\n[generator.other]\nuse = "stargan"\nparams = { weights = "random", width = 8, blocks = 1 }\n'
    )
    (tmp_path / "two.toml").write_text(text)
    picture(tmp_path / "a.png")
    done = magdr("detect", "a.png", "--registry", "two.toml", "--set", "blond_hair")
    assert done.code == 2
    assert "no generator of two.toml has a condition 'blond_hair'; did you mean 'Blond_Hair'?" in done.err


def test_a_document_holds_nothing_but_text():
    assert as_text("a\udcff") == "a\\xff"
    assert as_text("half \ud83d") == "half \\ud83d"
    assert as_text("ü\n") == "ü\n"
    document = text_only({"a\udcff": ["b\udcfe", ("c", 1.5, None)]})
    assert document == {"a\\xff": ["b\\xfe", ["c", 1.5, None]]}
    json.dumps(document, ensure_ascii=False).encode()


def test_a_name_that_is_no_text_is_told_with_its_bytes(tmp_path):
    assert path_facts(Path("a b.png")) == {"path": "a b.png"}
    assert path_facts(Path("a\udcff.png")) == {"path": "a\\xff.png", "path_bytes": "a%FF.png"}
