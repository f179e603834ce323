"""The store gives back what was written under a key, or nothing, and says which file it did not use."""

import json
import os

import pytest
import torch
from safetensors.torch import save

from magdr_core.errors import MagdrError, WriteError
from magdr_core.files.disk import Unreadable
from magdr_core.files.sealed import seal_images, seal_json
from magdr_core.results.store import AwayStore, Store
from tests.edits import edited

KEY = "b7cb29b3638b9218"
CELL = {"values": {"mse_o": [0.1, 2 / 3]}, "ids": ["a", "b"], "text": "\u00e9\n"}


@pytest.fixture
def said():
    return []


@pytest.fixture
def store(tmp_path, said):
    return Store(tmp_path / "cache", said.append)


def place(store, kind="cells", suffix=".json"):
    path = store.root / kind / KEY[:2] / f"{KEY}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def pictures(n=2):
    return (torch.arange(n * 3 * 16).reshape(n, 3, 4, 4) % 256) / 255


def test_results_come_back_as_they_were(store, said):
    store.put_json("cells", KEY, CELL)
    store.put_images(KEY, pictures())
    assert store.json("cells", KEY) == CELL
    assert torch.equal(store.images(KEY, (2, 3, 4, 4)), pictures())
    assert store.json("cells", "0" * 16) is None
    assert store.images("0" * 16) is None
    assert said == []


def test_a_stored_result_is_valid_json_that_names_itself(store):
    store.put_json("cells", KEY, CELL)
    found = json.loads(place(store).read_text())
    assert (found["kind"], found["key"], found["data"]) == ("cells", KEY, CELL)


def of_other_key(content):
    return seal_json("cells", "0" * 16, CELL)


def of_other_kind(content):
    return seal_json("checks", KEY, CELL)


def with_changed_number(content):
    return edited(content, (b"0.1", b"0.2"), first=True)


DAMAGES = {
    "another cell's file": of_other_key,
    "another kind's file": of_other_kind,
    "a changed number": with_changed_number,
    "a cut file": lambda c: c[:-5],
    "an empty file": lambda c: b"",
    "UTF-16 text": lambda c: c.decode().encode("utf-16"),
    "nothing but brackets": lambda c: b"[" * 200_000,
    "a huge integer": lambda c: b'{"a": ' + b"9" * 6000 + b"}",
    "a list": lambda c: b"[1, 2]",
    "null": lambda c: b"null",
    "a flipped bit": lambda c: c[:200] + bytes([c[200] ^ 4]) + c[201:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_not_what_was_written_counts_as_absent_and_is_said_once(store, said, damage):
    store.put_json("cells", KEY, CELL)
    path = place(store)
    path.write_bytes(damage(path.read_bytes()))
    assert store.json("cells", KEY) is None
    assert store.json("cells", KEY) is None
    assert len(said) == 1
    assert said[0].startswith(f"{path} ")
    assert said[0].endswith("it counts as absent and is computed again")
    store.put_json("cells", KEY, CELL)
    assert store.json("cells", KEY) == CELL


def test_content_that_does_not_fit_counts_as_absent_whatever_its_checksum(store, said):
    store.put_json("cells", KEY, CELL)

    def check(data):
        raise ValueError("holds no thresholds")

    assert store.json("cells", KEY, check) is None
    assert "holds no thresholds" in said[0]


def test_results_of_earlier_versions_are_told_together(store, said):
    for number in range(5):
        path = place(store).with_name(f"{KEY[:-1]}{number}.json")
        path.write_text(json.dumps(CELL))
        assert store.json("cells", path.stem) is None
    place(store, "images", ".safetensors").write_bytes(
        save({"images": torch.zeros(2, 3, 4, 4, dtype=torch.uint8)})
    )
    assert store.images(KEY) is None
    assert len(said) == 1
    assert "has no checksum, like all results of versions before 0.2" in said[0]


LEVELS = (pictures() * 255).round().byte()
IMAGES = {
    "another's images": seal_images("0" * 16, LEVELS),
    "fewer images": seal_images(KEY, LEVELS[:1]),
    "floats": save({"images": pictures()}, {"key": KEY, "kind": "images", "sha256": "0"}),
    "a plane": save({"images": LEVELS[0, 0].clone()}),
    "other names": save({"pictures": LEVELS}),
    "changed pixels": seal_images(KEY, LEVELS)[:-3] + b"\0\0\0",
    "no tensors": b"nonsense",
    "a header of 2^60 bytes": b"\0" * 7 + b"\x10" + b"{}" * 50,
}


@pytest.mark.parametrize("content", IMAGES.values(), ids=IMAGES)
def test_images_that_are_not_what_was_written_count_as_absent_and_are_said(store, said, content):
    path = place(store, "images", ".safetensors")
    path.write_bytes(content)
    assert store.images(KEY, (2, 3, 4, 4)) is None
    assert len(said) == 1
    assert str(path) in said[0]


@pytest.mark.parametrize("special", ["fifo", "zero", "folder", "sparse"])
@pytest.mark.parametrize("kind", ["cells", "images"])
def test_special_files_are_said_and_replaced(store, said, special, kind):
    path = place(store, kind, ".json" if kind == "cells" else ".safetensors")
    if special == "fifo":
        os.mkfifo(path)
    elif special == "zero":
        path.symlink_to("/dev/zero")
    elif special == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 2**31)
    read = (lambda: store.json("cells", KEY)) if kind == "cells" else (lambda: store.images(KEY))
    assert read() is None
    assert len(said) == 1
    store.put_json("cells", KEY, CELL)
    store.put_images(KEY, pictures())
    assert read() is not None


def test_nan_is_not_kept(store):
    with pytest.raises(MagdrError, match="cells b7cb29b3638b9218 cannot be kept as JSON"):
        store.put_json("cells", KEY, {"values": [float("nan")]})
    assert not list(store.root.rglob("*.json"))


def test_a_store_that_cannot_be_written_to_is_one_line(store):
    (store.root / "cells").mkdir(parents=True)
    (store.root / "cells" / KEY[:2]).write_text("")
    with pytest.raises(WriteError, match=rf"{KEY}\.json: cannot be written"):
        store.put_json("cells", KEY, CELL)


def test_an_away_store_checks_what_it_fetches_and_says_it(store):
    said = []
    away = AwayStore(store.read, said.append)
    away.put_json("cells", KEY, CELL)
    away.put_images(KEY, pictures())
    assert away.json("cells", KEY) == CELL
    for name, content in away.take().items():
        store.write(name, content)
    assert away.json("cells", KEY) == store.json("cells", KEY) == CELL
    assert torch.equal(away.images(KEY, (2, 3, 4, 4)), pictures())
    path = place(store)
    path.write_bytes(with_changed_number(path.read_bytes()))
    assert away.json("cells", KEY) is None
    path.unlink()
    os.mkfifo(path)
    assert store.read(f"cells/{KEY[:2]}/{KEY}.json") == Unreadable("is no ordinary file")
    assert AwayStore(store.read, said.append).json("cells", KEY) is None
    assert [("checksum" in line, "ordinary" in line) for line in said] == [(True, False), (False, True)]
