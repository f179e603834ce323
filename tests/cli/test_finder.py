"""A finder of somebody's own decides where the commands look for faces."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.media import write_video
from tests.bench.conftest import SMALL
from tests.edits import edited

PLUGIN = '''
"""Stickers: a face is wherever a picture is pure green, and this one can fail."""
import torch

from magdr_core.api import Box, FinderSpec, ForensicSpec, FoundFace, hookimpl

MAGDR_API = 1


class Stickers:
    """One face around all pixels that are pure green."""

    def __init__(self, *, angle: float = 0.0):
        self.angle = angle

    def __call__(self, picture):
        """[3,H,W] uint8 -> the sticker."""
        if int(picture[0, 0, 0]) == 13:
            raise ValueError("unlucky")
        green = torch.tensor([0, 255, 0], dtype=torch.uint8)[:, None, None]
        rows, columns = (picture == green).all(0).nonzero(as_tuple=True)
        if not len(rows):
            return []
        side = int(rows.max() - rows.min()) + 1
        if len(rows) < side**2:  # some of it is not pure any more
            side //= 2
        middle = (float(rows.min() + rows.max() + 1) / 2, float(columns.min() + columns.max() + 1) / 2)
        return [FoundFace(Box.around(*middle, side, self.angle), 0.75)]


class Green:
    """A model that takes green for forged."""

    def score(self, x):
        """[B,3,H,W] -> [B]."""
        return x[:, 1].mean((1, 2))


@hookimpl
def magdr_forensics():
    return [ForensicSpec(name="green", build=Green)]


@hookimpl
def magdr_finders():
    return [FinderSpec(name="stickers", build=Stickers)]
'''

LOCAL = '[plugins]\nlocal = { acme = "./acme.py" }\n'
TABLES = (
    '[finder.green]\nuse = "acme/stickers"\n[finder.tilted]\nuse = "acme/stickers"\nparams = { angle = 30 }\n'
)

CUT = {"top": 56, "left": 126, "side": 64}
"""Around a sticker of 40 pixels in rows 70 to 110, columns 138 to 178: 1.6 times as wide, a 20th higher."""


def sheet(path, corner=40):
    """Grey with a green sticker."""
    levels = np.full((200, 260, 3), 128, np.uint8)
    levels[70:110, 138:178] = (0, 255, 0)
    levels[0, 0] = corner
    Image.fromarray(levels).save(path)


@pytest.fixture
def use(magdr, workshop, tmp_path):
    """A command with the registry that has `tables`."""

    def run(command, *arguments, tables=TABLES):
        (tmp_path / "acme.py").write_text(PLUGIN)
        (tmp_path / "acme.toml").write_text(SMALL + LOCAL + tables)
        options = ["--registry", "acme.toml", "--set", "Blond_Hair", "--cache", workshop / "cache"]
        if command != "attack":
            options += ["--calibration", workshop / "always.json"]
        return magdr(command, *arguments, "--json", *options)

    return run


@pytest.mark.parametrize("command", ["detect", "defend", "attack"])
def test_the_registrys_finder_is_used_on_pictures(use, tmp_path, command):
    sheet(tmp_path / "a.png")
    done = use(command, "a.png")
    assert done.code == 0, done.err
    assert done.document["finder"] == "green"
    (result,) = done.document["results"]
    assert result["cut"] == CUT
    if command == "attack":  # found anew in the perturbed picture
        assert result["cut_in_file"] == {"top": 73, "left": 142, "side": 32}


def test_a_finder_that_is_named_goes_before_the_registrys(use, tmp_path):
    sheet(tmp_path / "a.png")
    done = use("detect", "a.png", "--finder", "tilted")
    assert done.document["finder"] == "tilted"
    (result,) = done.document["results"]
    assert result["cut"]["angle"] == 30
    done = use("detect", "a.png", "--finder", "acme/stickers", tables="")
    assert done.document["results"][0]["cut"] == CUT
    done = use("detect", "a.png", tables="")
    assert done.document["finder"] == "cascade"
    assert done.code == 1
    assert "no face was found" in done.document["skipped"][0]["error"]


def test_a_finder_that_fails_costs_that_picture_alone(use, tmp_path):
    sheet(tmp_path / "a.png")
    sheet(tmp_path / "b.png", corner=13)
    done = use("detect", "a.png", "b.png")
    assert done.code == 1
    assert [one["path"] for one in done.document["results"]] == ["a.png"]
    (skipped,) = done.document["skipped"]
    assert "b.png: finder acme/stickers of" in skipped["error"]
    assert "failed on 3x200x260: ValueError: unlucky" in skipped["error"]


def test_a_finder_that_there_is_not_is_said_before_anything_is_done(use, tmp_path):
    sheet(tmp_path / "a.png")
    done = use("defend", "a.png", "--finder", "gren")
    assert done.code == 2
    assert "no finder named 'gren'" in done.err
    assert "green" in done.err
    done = use("defend", "a.png", "--finder", "green", "--whole")
    assert done.code == 2
    assert "--finder finds faces, --whole looks for none" in done.err
    assert not (tmp_path / "magdr-out").exists()


def test_with_whole_no_finder_is_built(use, tmp_path):
    sheet(tmp_path / "a.png")
    done = use("detect", "a.png", "--whole", tables='[finder.gone]\nuse = "mediapipe"\n')
    assert done.code == 0, done.err
    assert "finder" not in done.document
    assert done.document["results"][0]["cut"]["side"] == 200


def test_an_absent_mediapipe_is_one_line(use, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    sheet(tmp_path / "a.png")
    done = use("detect", "a.png", "--finder", "mediapipe", tables="")
    assert done.code == 2
    assert "mediapipe needs mediapipe, not installed here; pip install 'magdr[mediapipe]'" in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_clip_is_followed_by_it(use, tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed (pip install 'magdr[video]')")
    frames = []
    for i in range(6):
        frame = torch.full((3, 120, 160), 0.5)
        frame[:, 40:64, 50 + 4 * i : 74 + 4 * i] = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
        frames.append(frame)
    write_video(tmp_path / "a.mkv", frames, 6)
    done = use("detect", "a.mkv")
    assert done.code == 0, done.err
    assert done.document["results"][0]["frames"] == 6
    assert use("detect", "a.mkv", tables="").code == 1


def test_inspect_looks_where_it_says(magdr, tmp_path):
    (tmp_path / "acme.py").write_text(PLUGIN)
    forensic = '[forensic.green]\nuse = "acme/green"\n'
    (tmp_path / "acme.toml").write_text(SMALL + LOCAL + TABLES + forensic)
    sheet(tmp_path / "a.png")
    folder = tmp_path / "reals"
    folder.mkdir()
    for i in range(24):
        sheet(folder / f"{i}.png", corner=100 + i)
    options = ("--reals", "reals", "--model", "green", "--registry", "acme.toml", "--json")
    done = magdr("inspect", "a.png", *options)
    assert done.code == 0, done.err
    assert (done.document["finder"], done.document["reals"]) == ("green", 24)
    (result,) = done.document["results"]
    assert result["faces"][0]["cut"] == CUT


def test_calibrate_looks_where_it_says(magdr, workshop, tmp_path):
    (tmp_path / "acme.py").write_text(PLUGIN)
    text = edited(SMALL, ("[calibration]", '[calibration]\nfile = "c.json"'))
    (tmp_path / "acme.toml").write_text(text + LOCAL + TABLES)
    (tmp_path / "c.json").write_bytes((workshop / "c.json").read_bytes())
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(24):
        sheet(folder / f"{i}.png", corner=100 + i)
    shared = ("calibrate", "acme.toml", "--data", "photos", "--cache", "cache", "--out")
    done = magdr(*shared, "mine.json")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "mine.json").read_text())["provenance"]["pictures"] == 24
    done = magdr(*shared, "none.json", "--finder", "cascade")
    assert "no picture with a face" in done.err
    assert not (tmp_path / "none.json").exists()
    assert "--finder goes with --data" in magdr("calibrate", "acme.toml", "--finder", "green").err
