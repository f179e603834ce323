"""A folder that is shared out already."""

from __future__ import annotations

import pytest
from PIL import Image

from magdr_core.errors import MagdrError

SPLITS = ("train", "calibration", "test")


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), (90, 120, 150)).save(path)


def table(path):
    return f"[dataset.mine]\nuse = 'folder'\nparams = {{ path = '{path}', size = 32, split = 'folders' }}"


def test_what_lies_in_folders_of_the_splits_names_is_in_those(tmp_path, toolkit_from):
    for name in ("train/a.png", "train/deep/b.png", "calibration/c.png", "test/d.png"):
        write(tmp_path / "data" / name)
    mine = toolkit_from(table(tmp_path / "data")).build("dataset", "mine")
    ids = {name: mine.split(name)[list(range(len(mine.split(name))))].ids for name in SPLITS}
    assert ids == {
        "train": ("train/a.png", "train/deep/b.png"),
        "calibration": ("calibration/c.png",),
        "test": ("test/d.png",),
    }


@pytest.mark.parametrize("name", ["stray.png", "training/a.png"])
def test_a_picture_elsewhere_is_told(tmp_path, toolkit_from, name):
    write(tmp_path / "data" / "train" / "a.png")
    write(tmp_path / "data" / name)
    mine = toolkit_from(table(tmp_path / "data")).build("dataset", "mine")
    with pytest.raises(MagdrError, match="lies in none of the folders train, calibration, test"):
        mine.split("train")
