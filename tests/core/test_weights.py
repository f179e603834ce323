"""Weight files: found, whole, safe, and fitting."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import random
import sys
import zipfile
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from magdr_core.components.weights import file_sha256, load_state, read_card, read_state, resolve_weights
from magdr_core.errors import WeightsError
from tests.edits import edited


def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True))


@pytest.fixture
def state():
    return {k: torch.full_like(v, 0.5) for k, v in net().state_dict().items()}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `acme_weights_pkg` with one weight file."""
    module = ModuleType("acme_weights_pkg")
    module.__file__ = str(tmp_path / "pkg" / "__init__.py")
    (tmp_path / "pkg" / "weights").mkdir(parents=True)
    save_file({"a": torch.ones(2)}, tmp_path / "pkg" / "weights" / "small.safetensors")
    monkeypatch.setitem(sys.modules, "acme_weights_pkg", module)
    return "acme_weights_pkg"


def test_weights_references(tmp_path, package, monkeypatch):
    assert resolve_weights("random", package=None, base=tmp_path) is None
    found = resolve_weights("builtin:small", package=package, base=tmp_path)
    assert found == tmp_path / "pkg" / "weights" / "small.safetensors"
    torch.save({"a": torch.ones(2)}, tmp_path / "w.pth")
    assert resolve_weights("w.pth", package=package, base=tmp_path) == tmp_path / "w.pth"
    assert resolve_weights(str(tmp_path / "w.pth"), package=None, base=tmp_path / "x") == tmp_path / "w.pth"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_weights("~/w.pth", package=None, base=tmp_path / "x") == tmp_path / "w.pth"


def test_weights_missing(tmp_path, package):
    for reference, owner, message in [
        ("builtin:smal", package, "no built-in weights 'smal'; did you mean 'small'?"),
        ("builtin:small", None, "'builtin:' weights belong to a packaged plugin; a local file names a path"),
        ("w.pth", package, f"weight file 'w.pth' does not exist (looked in {tmp_path})"),
        ("pkg", None, "weight file 'pkg' is a folder; name the file in it"),
    ]:
        with pytest.raises(WeightsError) as e:
            resolve_weights(reference, package=owner, base=tmp_path)
        assert str(e.value) == message


@pytest.mark.parametrize("cut", [0, 4, 30, -1])
def test_weights_truncated_file_is_found_before_a_run(tmp_path, state, cut):
    save_file(state, tmp_path / "w.safetensors")
    whole = (tmp_path / "w.safetensors").read_bytes()
    assert resolve_weights("w.safetensors", package=None, base=tmp_path)
    (tmp_path / "w.safetensors").write_bytes(whole[:cut])
    said = "is damaged or truncated" if cut else r"is empty \(0 bytes\)"
    with pytest.raises(WeightsError, match=said):
        resolve_weights("w.safetensors", package=None, base=tmp_path)
    with pytest.raises(WeightsError, match=said):
        read_state(tmp_path / "w.safetensors")


def test_weights_sha256(tmp_path):
    (tmp_path / "w").write_bytes(b"abc")
    assert file_sha256(tmp_path / "w") == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
@pytest.mark.parametrize("half", [False, True])
def test_weights_load(tmp_path, state, suffix, half):
    stored = {k: v.half() for k, v in state.items()} if half else state
    path = tmp_path / f"w{suffix}"
    save_file(stored, path) if suffix == ".safetensors" else torch.save(stored, path)
    module = net()
    load_state(module, path)
    assert all((v == 0.5).all() and v.dtype == torch.float32 for v in module.state_dict().values())


def test_weights_none_leaves_the_module_as_it_is():
    module = net()
    before = module[0].weight.clone()
    load_state(module, None)
    assert torch.equal(module[0].weight, before)


# -- bad files: one line each, found before a run, and nothing is executed -------------------------------


class Evil:
    """Unpickled by a careless loader, it makes a folder."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


def torch_bytes(content, old=False):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


def zipped(files, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def recompressed(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return zipped(files, zipfile.ZIP_DEFLATED)


def refused(tmp_path, content, name="w.pth"):
    """What is said about a file of these bytes, by the check before a run and by loading alike."""
    (tmp_path / name).write_bytes(content)
    said = set()
    for attempt in (
        lambda: resolve_weights(name, package=None, base=tmp_path),
        lambda: read_state(tmp_path / name),
    ):
        with pytest.raises(WeightsError) as e:
            attempt()
        said.add(str(e.value))
    (message,) = said
    assert message.startswith(name)
    assert message.isprintable(), "one line"
    assert len(message) < 200
    return message


PAGE = b"<!DOCTYPE html><html><head><title>Virus scan warning</title></head></html>"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty (0 bytes)"),
        (PAGE, "is a web page, not a checkpoint"),
        (b"\xef\xbb\xbf\n  <HTML>not found</HTML>", "is a web page, not a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        (b"hello", "is damaged, truncated or no torch checkpoint"),
        (zipped({"models/200000-G.ckpt": b"x"}), "is a zip archive, not a checkpoint; unpack it"),
        (recompressed(torch_bytes({"a": torch.zeros(10**6)})), "declares more data than it holds"),
        (pickle.dumps({"a": 1}), "is damaged, truncated or no torch checkpoint"),
        (torch_bytes([1]), "does not hold a plain state dict, but list"),
        (torch_bytes({1: torch.ones(1)}), "does not hold a plain state dict, but 1"),
        (torch_bytes({"epoch": 3, "net": {"a": torch.ones(1)}}), "a plain state dict, but epoch; net"),
        (torch_bytes({"a": torch.eye(2).to_sparse()}), "a is not a dense tensor"),
        (torch_bytes(net()), "loading it would call torch.nn.modules."),
        (torch_bytes(net(), old=True), "loading it would call torch.nn.modules."),
    ],
    ids=[
        *("empty", "page", "page-with-bom", "lfs-pointer", "text", "archive", "compressed", "bare-pickle"),
        *("list", "numbers-as-names", "wrapped", "sparse", "whole-module", "whole-module-old"),
    ],
)
def test_weights_bad_file_is_named_in_one_line(tmp_path, content, said):
    assert said in refused(tmp_path, content)


@pytest.mark.parametrize("name", ["w.safetensors", "w.ckpt", "w"])
def test_weights_a_web_page_is_recognised_under_any_name(tmp_path, name):
    assert "is a web page" in refused(tmp_path, PAGE, name)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_weights_truncated_checkpoint(tmp_path, state, old, share):
    whole = torch_bytes(state, old)
    assert "truncated" in refused(tmp_path, whole[: int(share * len(whole))])


@pytest.mark.parametrize("form", ["new", "old", "bare"])
def test_weights_pickle_that_would_run_code_does_not(tmp_path, state, form):
    marker = tmp_path / "code-ran"
    evil = Evil(marker)
    content = pickle.dumps(evil) if form == "bare" else torch_bytes(state | {"0.bias": evil}, form == "old")
    said = refused(tmp_path, content)
    assert "loading it would call posix.mkdir" in said or form == "bare"
    assert not marker.exists()
    pickle.loads(pickle.dumps(evil))
    assert marker.exists(), "it does run where pickles are trusted"


def test_weights_huge_declared_size_is_refused_without_allocating_it(tmp_path):
    """Of the old stream: a storage of 2**60 elements, in a file of some hundred bytes."""
    content = torch_bytes({"a": torch.ones(3)}, old=True)
    huge = edited(content, (b"K\x03Nt", b"\x8a\x08" + (2**60).to_bytes(8, "little") + b"Nt"))
    assert len(huge) > len(content)
    refused(tmp_path, huge)


def test_weights_flipped_bytes_never_escape_as_another_error(tmp_path, state):
    g = random.Random(0)
    for content in (torch_bytes(state), torch_bytes(state, old=True)):
        for _ in range(30):
            damaged = bytearray(content)
            for _ in range(3):
                damaged[g.choice([g.randrange(400), -1 - g.randrange(400)])] = g.randrange(256)
            (tmp_path / "w.pth").write_bytes(damaged)
            with contextlib.suppress(WeightsError):  # any other error fails the test
                read_state(tmp_path / "w.pth")


def test_weights_of_a_form_that_only_a_plugin_knows_are_left_to_it(tmp_path):
    (tmp_path / "w.onnx").write_bytes(b"\x08\x07 something")
    assert resolve_weights("w.onnx", package=None, base=tmp_path) == tmp_path / "w.onnx"
    (tmp_path / "w.onnx").write_bytes(PAGE)
    with pytest.raises(WeightsError, match="is a web page"):
        resolve_weights("w.onnx", package=None, base=tmp_path)


# -- files that do not fit ------------------------------------------------------------------------------


def test_weights_that_do_not_fit_are_listed(tmp_path, state):
    del state["0.bias"]
    state |= {"2.extra": torch.zeros(1), "0.weight": torch.zeros(4, 5, 3, 3)}
    save_file(state, tmp_path / "w.safetensors")
    module = net()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    with pytest.raises(WeightsError) as e:
        load_state(module, tmp_path / "w.safetensors")
    assert str(e.value) == (
        "w.safetensors does not fit Sequential: missing 0.bias; unexpected 2.extra; "
        "0.weight is (4, 5, 3, 3), expected (4, 3, 3, 3)"
    )
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items()), "nothing was loaded"


def test_weights_long_lists_are_shortened(tmp_path, state):
    save_file(state | {f"x{i}": torch.zeros(1) for i in range(9)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"unexpected x2 and 6 more unexpected$"):
        load_state(net(), tmp_path / "w.safetensors")


def test_weights_stale_keys_are_dropped_where_asked(tmp_path, state):
    torch.save(state | {"1.running_mean": torch.zeros(4)}, tmp_path / "w.ckpt")
    load_state(net(), tmp_path / "w.ckpt", stale=("running_mean",))
    with pytest.raises(WeightsError, match=r"unexpected 1.running_mean"):
        load_state(net(), tmp_path / "w.ckpt")


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(torch.int8, "int8"), (torch.complex64, "complex64"), (torch.bool, "bool"), (torch.int64, "int64")],
)
def test_weights_of_another_type_are_refused(tmp_path, state, dtype, name):
    torch.save(state | {"0.weight": state["0.weight"].to(dtype)}, tmp_path / "w.ckpt")
    with pytest.raises(WeightsError) as e:
        load_state(net(), tmp_path / "w.ckpt")
    assert str(e.value) == f"w.ckpt does not fit Sequential: 0.weight is {name}, expected float32"


def test_weights_counters_must_be_whole_numbers(tmp_path):
    norm = nn.BatchNorm2d(3)
    torch.save(norm.state_dict() | {"num_batches_tracked": torch.tensor(3.5)}, tmp_path / "w.ckpt")
    with pytest.raises(WeightsError, match="num_batches_tracked is float32, expected int64"):
        load_state(norm, tmp_path / "w.ckpt")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_weights_that_are_not_finite_are_refused(tmp_path, state, value):
    broken = {k: v.double() for k, v in state.items()}
    broken["0.weight"][0, 0, 0, 0] = value
    torch.save(broken, tmp_path / "w.ckpt")
    module = net()
    before = module[0].bias.clone()
    with pytest.raises(WeightsError) as e:
        load_state(module, tmp_path / "w.ckpt")
    assert str(e.value) == "w.ckpt holds NaN or infinite values in 0.weight"
    assert torch.equal(module[0].bias, before), "nothing was loaded"


def test_weights_names_of_keys_cannot_break_the_line(tmp_path, state):
    save_file(state | {"x\n\x1b[31m": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as e:
        load_state(net(), tmp_path / "w.safetensors")
    assert str(e.value).isprintable()


def test_weights_files_are_recognised_by_content(tmp_path, state):
    """Whatever they are called."""
    save_file(state, tmp_path / "w.pth")
    torch.save(state, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        assert resolve_weights(name, package=None, base=tmp_path)
        assert torch.equal(read_state(tmp_path / name)["0.bias"], state["0.bias"])


def test_weights_of_another_implementation_are_adapted(tmp_path, state):
    torch.save({f"theirs.{k}": v for k, v in state.items()} | {"n": torch.ones(1)}, tmp_path / "w.ckpt")
    module = net()
    with pytest.raises(WeightsError, match=r"missing 0.weight.*unexpected theirs.0.weight"):
        load_state(module, tmp_path / "w.ckpt", stale=("n",))
    load_state(module, tmp_path / "w.ckpt", stale=("n",), adapt=lambda s: {k[7:]: v for k, v in s.items()})
    assert torch.equal(module[0].weight, state["0.weight"])

    def refuse(state):
        raise WeightsError("two of these differ")

    with pytest.raises(WeightsError, match=r"^w\.ckpt: two of these differ$"):
        load_state(module, tmp_path / "w.ckpt", adapt=refuse)


def test_weights_card(tmp_path):
    assert read_card(tmp_path / "w.safetensors") == {}
    (tmp_path / "w.toml").write_text("seed = 3")
    assert read_card(tmp_path / "w.safetensors") == {"seed": 3}


def test_weights_paths_hold_environment_variables_and_have_bounds(tmp_path, monkeypatch):
    torch.save({"a": torch.ones(2)}, tmp_path / "w.pth")
    monkeypatch.setenv("MODELS", str(tmp_path))
    assert resolve_weights("$MODELS/w.pth", package=None, base=tmp_path / "x") == tmp_path / "w.pth"
    os.mkfifo(tmp_path / "pipe.pth")
    for reference, said in [
        ("pipe.pth", "weight file 'pipe.pth' is a device, pipe or socket"),
        ("/dev/zero", "weight file '/dev/zero' is a device, pipe or socket"),
        ("/proc/self/mem", "mem is empty"),
        ("~nobody-of-that-name/w.pth", "there is no such home folder"),
        ("w" * 5000, "cannot be used: File name too long"),
        ("a\0b", "cannot be used"),
    ]:
        with pytest.raises(WeightsError) as e:
            resolve_weights(reference, package=None, base=tmp_path)
        assert said in str(e.value)
        assert len(str(e.value)) < 250


@pytest.mark.parametrize("name", ["../small", "/etc/passwd", "small\0", "s" * 5000])
def test_weights_of_a_package_lie_in_its_folder(package, tmp_path, name):
    with pytest.raises(WeightsError, match="no built-in weights"):
        resolve_weights(f"builtin:{name}", package=package, base=tmp_path)
