"""Damage in a weight file is seen, whatever part of it is hit, and bombs are refused before they grow."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import random
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from magdr_core.errors import WeightsError
from magdr_core.files import checkpoint
from magdr_core.files.checkpoint import check_whole, read_card, read_state

FLIPS = 200


@pytest.fixture(scope="module")
def state():
    draw = torch.Generator().manual_seed(0)
    return {f"layer.{i}.weight": torch.randn(8, 5, generator=draw) for i in range(4)}


@pytest.fixture(scope="module")
def archive(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def refused(path):
    said = set()
    for action in (check_whole, read_state):
        with pytest.raises(WeightsError) as e:
            action(path)
        said.add(str(e.value))
    (message,) = said
    assert message.isprintable()
    assert path.stem in message
    return message


def same(found, state):
    return list(found) == list(state) and all(torch.equal(found[k], v) for k, v in state.items())


def test_checkpoint_with_one_flipped_bit_is_refused_or_gives_the_same_weights(tmp_path, state, archive):
    places = random.Random(0)
    refusals = 0
    for _ in range(FLIPS):
        damaged = bytearray(archive)
        damaged[places.randrange(len(archive))] ^= 1 << places.randrange(8)
        (tmp_path / "w.pth").write_bytes(damaged)
        try:
            assert same(read_state(tmp_path / "w.pth"), state), "altered weights were loaded"
        except WeightsError:
            refusals += 1
    assert refusals > FLIPS / 4


def test_checkpoint_with_a_flipped_value_names_what_is_damaged(tmp_path, state, archive):
    where = archive.index(state["layer.2.weight"].numpy().tobytes())
    (tmp_path / "w.pth").write_bytes(archive[:where] + bytes([archive[where] ^ 1]) + archive[where + 1 :])
    assert "archive/data/2 does not have the checksum" in refused(tmp_path / "w.pth")


def test_checkpoint_that_was_saved_without_checksums_is_read(tmp_path, state):
    try:
        torch.serialization.set_crc32_options(False)
        torch.save(state, tmp_path / "w.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert same(read_state(tmp_path / "w.pth"), state)


@pytest.mark.parametrize("form", ["safetensors", "zip", "stream"])
def test_checkpoint_must_be_the_one_of_its_card(tmp_path, state, form):
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    (tmp_path / "w.toml").write_text(f"sha256 = '{hashlib.sha256(path.read_bytes()).hexdigest()}'")
    assert same(read_state(path), state)
    (tmp_path / "w.toml").write_text("name = 'no card at all'")
    assert same(read_state(path), state)
    (tmp_path / "w.toml").write_text(f"sha256 = '{'0' * 64}'")
    assert "its sha256 is not the one in w.toml beside it" in refused(path)


def test_card_that_is_no_toml_is_named(tmp_path):
    (tmp_path / "w.toml").write_text("[")
    with pytest.raises(WeightsError, match=r"w.toml: is not valid TOML"):
        read_card(tmp_path / "w.pth")


def header(content, size=None):
    text = content.encode()
    return struct.pack("<Q", len(text) if size is None else size) + text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            header('{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'),
            "damaged or truncated",
        ),
        (header("{}", 2**40), "it declares a header of 1,099,511,627,776 bytes"),
        (header("{" + "[" * 10**5), "damaged or truncated"),
        (b"\0" * 4, "damaged or truncated"),
    ],
    ids=["beyond-its-end", "long-header", "deep-header", "zeros"],
)
def test_safetensors_that_declare_more_than_they_hold_are_refused(tmp_path, content, said):
    (tmp_path / "w.safetensors").write_bytes(content)
    assert said in refused(tmp_path / "w.safetensors")


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_torchscript_is_told_apart(tmp_path):
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "w.pt"))
    assert "is a TorchScript archive" in refused(tmp_path / "w.pt")


def test_compressed_download_is_told_apart(tmp_path, archive):
    (tmp_path / "w.pth").write_bytes(gzip.compress(archive))
    assert "is a compressed archive, not a checkpoint; unpack it" in refused(tmp_path / "w.pth")


class Allocates:
    def __reduce__(self):
        return bytearray, (2**40,)


@pytest.mark.parametrize("new", [True, False])
def test_pickle_that_would_fill_the_memory_does_not(tmp_path, new):
    torch.save({"a": Allocates()}, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    assert "loading it would call bytearray" in refused(tmp_path / "w.pth")


def test_members_that_share_a_name_are_refused(tmp_path, archive):
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(tmp_path / "w.pth", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        with pytest.warns(UserWarning, match="Duplicate name"):
            new.writestr("archive/data/0", b"\0" * 160)
    assert "which no checkpoint of torch has" in refused(tmp_path / "w.pth")


def test_old_stream_of_any_size_is_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "STREAM", 1000)
    (tmp_path / "w.pth").write_bytes(pickle.dumps(1) + b"\0" * 1000)
    assert "has over 1,000 bytes" in refused(tmp_path / "w.pth")


def test_devices_and_folders_are_no_weight_files(tmp_path):
    os.mkfifo(tmp_path / "w.pth")
    assert "is a device, pipe or socket" in refused(tmp_path / "w.pth")
    (tmp_path / "v.pth").mkdir()
    assert "is a folder" in refused(tmp_path / "v.pth")
