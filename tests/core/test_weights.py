"""Weight files: found, whole, safe, and fitting."""

from __future__ import annotations

import hashlib
import pickle
import sys
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from magdr_core.errors import WeightsError
from magdr_core.weights import file_sha256, load_state, read_card, read_state, resolve_weights


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
    (tmp_path / "w.pth").touch()
    assert resolve_weights("w.pth", package=package, base=tmp_path) == tmp_path / "w.pth"
    assert resolve_weights(str(tmp_path / "w.pth"), package=None, base=tmp_path / "x") == tmp_path / "w.pth"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_weights("~/w.pth", package=None, base=tmp_path / "x") == tmp_path / "w.pth"


def test_weights_missing(tmp_path, package):
    for reference, owner, message in [
        ("builtin:smal", package, "no built-in weights 'smal'; did you mean 'small'?"),
        ("builtin:small", None, "'builtin:' weights belong to a packaged plugin; a local file names a path"),
        ("w.pth", package, f"weight file 'w.pth' does not exist (looked in {tmp_path})"),
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
    with pytest.raises(WeightsError, match="is damaged or truncated"):
        resolve_weights("w.safetensors", package=None, base=tmp_path)
    with pytest.raises(WeightsError, match="damaged or truncated"):
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


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code ran')",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", ["text", "pickle", "evil", "list", "nested", "truncated"])
def test_weights_unsafe_or_wrong_files(tmp_path, state, content):
    path = tmp_path / "w.pth"
    if content == "text":
        path.write_text("hello")
    elif content == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    else:
        torch.save({"evil": {"a": Evil()}, "list": [1], "nested": {"state": state}}.get(content, state), path)
    if content == "truncated":
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(WeightsError) as e:
        read_state(path)
    assert str(e.value).startswith("w.pth ")
    assert "\n" not in str(e.value)


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
    with pytest.raises(WeightsError, match=r"unexpected x5 and 3 more$"):
        load_state(net(), tmp_path / "w.safetensors")


def test_weights_stale_keys_are_dropped_where_asked(tmp_path, state):
    torch.save(state | {"1.running_mean": torch.zeros(4)}, tmp_path / "w.ckpt")
    load_state(net(), tmp_path / "w.ckpt", stale=("running_mean",))
    with pytest.raises(WeightsError, match=r"unexpected 1.running_mean"):
        load_state(net(), tmp_path / "w.ckpt")


def test_weights_card(tmp_path):
    assert read_card(tmp_path / "w.safetensors") == {}
    (tmp_path / "w.toml").write_text("seed = 3")
    assert read_card(tmp_path / "w.safetensors") == {"seed": 3}
