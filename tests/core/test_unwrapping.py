"""The state dict is taken out of what programs wrap around it, and nothing in a file is run."""

from __future__ import annotations

import argparse
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from magdr_core.components.weights import load_state
from magdr_core.errors import WeightsError
from magdr_core.files.checkpoint import file_sha256
from magdr_core.files.unwrapping import save_unwrapped, unwrap


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def scaled(state, factor):
    return {k: v * factor for k, v in state.items()}


@pytest.fixture
def state():
    return {k: v.clone() for k, v in net().state_dict().items()}


def saved(tmp_path, content, **options) -> Path:
    path = tmp_path / "wrapped.ckpt"
    torch.save(content, path, **options)
    return path


def same(found, state):
    return list(found) == list(state) and all(torch.equal(found[k], state[k]) for k in state)


def refusal(path, **options) -> str:
    with pytest.raises(WeightsError) as e:
        unwrap(path, **options)
    assert str(e.value).isprintable()
    return str(e.value)


@pytest.mark.parametrize("old", [False, True])
def test_a_training_checkpoint_gives_its_network(tmp_path, state, old):
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    content = {"epoch": 3, "state_dict": state, "optimizer": optimizer.state_dict(), "best": 0.5}
    found = unwrap(saved(tmp_path, content, _use_new_zipfile_serialization=not old))
    assert same(found.state, state)
    assert (found.place, found.others) == ("state_dict", ())


@pytest.mark.parametrize(
    "around",
    [
        lambda s: s,
        lambda s: {"model": s},
        lambda s: {"a": {"b": {"network": s}}, "note": "text"},
        lambda s: {"model": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()},
        lambda s: {k: nn.Parameter(v, v.is_floating_point()) for k, v in s.items()},
    ],
)
def test_wrappers_are_taken_away(tmp_path, state, around):
    found = unwrap(saved(tmp_path, around(state)))
    assert same(found.state, state)
    assert not any(v.requires_grad for v in found.state.values())


def test_a_name_that_only_some_keys_begin_with_belongs_to_the_network(tmp_path):
    state = {"module.weight": torch.ones(2), "head.weight": torch.ones(3)}
    assert same(unwrap(saved(tmp_path, state)).state, state)


@pytest.mark.parametrize("average", ["ema", "state_dict_ema", "ema_model", "EMA", "params.ema", "swa"])
def test_a_moving_average_is_taken_only_if_it_is_asked_for(tmp_path, state, average):
    content = {"state_dict": state}
    *outer, last = average.split(".")
    inner = content
    for name in outer:
        inner = inner.setdefault(name, {})
    inner[last] = scaled(state, 2)
    path = saved(tmp_path, content)
    found = unwrap(path)
    assert same(found.state, state)
    assert found.others == (average,)
    assert same(unwrap(path, key=average).state, scaled(state, 2))


def test_a_moving_average_alone_is_taken(tmp_path, state):
    assert unwrap(saved(tmp_path, {"ema": state})).place == "ema"


def test_of_several_networks_one_has_to_be_named(tmp_path, state):
    path = saved(tmp_path, {"G": state, "D": scaled(state, 3), "iteration": 5})
    assert refusal(path) == (
        "wrapped.ckpt holds several state dicts; name one with --key: G (7 entries); D (7 entries)"
    )
    assert same(unwrap(path, key="D").state, scaled(state, 3))
    assert refusal(path, key="g") == "wrapped.ckpt has no state dict 'g'; did you mean 'G'?"


def test_a_key_where_there_is_nothing_to_choose_is_refused(tmp_path, state):
    said = refusal(saved(tmp_path, state), key="model")
    assert said == "wrapped.ckpt has no state dict 'model'; the file is one state dict, leave --key out"


def test_one_network_of_a_state_dict_that_holds_several_is_taken_by_its_prefix(tmp_path, state):
    both = {f"{who}.{k}": v for who in ("generator", "discriminator") for k, v in state.items()}
    path = saved(tmp_path, {"state_dict": both})
    assert same(unwrap(path, prefix="generator.").state, state)
    said = refusal(path, prefix="netG.")
    assert said == "wrapped.ckpt: no key begins with 'netG.'; they begin with discriminator.; generator."


def test_numbers_beside_the_tensors_are_left_out_and_said(tmp_path, state):
    found = unwrap(saved(tmp_path, state | {"epoch": 3, "note": "x"}))
    assert same(found.state, state)
    assert found.left_out == ("epoch", "note")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"epoch": 3, "best": 0.5}, "holds no state dict, but epoch; best"),
        ({}, "holds no state dict, but nothing"),
        (torch.ones(3), "holds no state dict, but Tensor"),
        ([{"a": torch.ones(1)}], "holds no state dict, but list"),
        ({"optimizer": {"state": {0: {"exp_avg": torch.ones(1)}}}}, "holds no state dict, but optimizer"),
        ({"model": {"a": torch.eye(2).to_sparse()}}, "a is not a dense tensor"),
    ],
)
def test_a_file_without_a_network_is_refused(tmp_path, content, said):
    assert said in refusal(saved(tmp_path, content))


# -- files that would run code ----------------------------------------------------------------------------


class Evil:
    def __init__(self, place: Path, call=os.mkdir) -> None:
        self.place, self.call = place, call

    def __reduce__(self) -> tuple:
        return self.call, (str(self.place),)


@pytest.mark.parametrize("old", [False, True])
def test_what_would_run_code_is_refused_by_name_and_not_run(tmp_path, state, old):
    path = saved(
        tmp_path,
        {"state_dict": state, "hook": Evil(tmp_path / "ran")},
        _use_new_zipfile_serialization=not old,
    )
    said = refusal(path)
    assert "loading it would call " in said
    assert f"{os.mkdir.__module__}.mkdir, which was not done" in said
    assert not (tmp_path / "ran").exists()


def test_everything_that_would_be_called_is_named(tmp_path, state):
    content = {"state_dict": state, "options": argparse.Namespace(lr=1), "hook": Evil(tmp_path / "ran")}
    said = refusal(saved(tmp_path, content))
    assert "would call argparse.Namespace; posix.mkdir, which was not done" in said


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_is_no_checkpoint_is_refused_without_running_it(tmp_path, protocol):
    path = tmp_path / "plain.pkl"

    def said(content) -> str:
        path.write_bytes(pickle.dumps(content, protocol))
        return refusal(path)

    both = said(
        {"a": Evil(tmp_path / "ran"), "b": argparse.Namespace(), "c": Evil(tmp_path / "ran", os.rmdir)}
    )
    assert "argparse.Namespace" in both
    assert "posix.mkdir; posix.rmdir, which was not done" in both
    assert "torch.storage._load_from_bytes, which was not done" in said({"a": torch.ones(2)})
    assert "is damaged, truncated or no torch checkpoint" in said({"a": 1.0})
    assert not (tmp_path / "ran").exists()


# -- writing ----------------------------------------------------------------------------------------------


def test_what_is_written_loads_into_the_network_and_says_where_it_is_from(tmp_path, state):
    path = saved(tmp_path, {"state_dict": {f"module.{k}": v for k, v in state.items()}})
    out = tmp_path / "net.safetensors"
    digest = save_unwrapped(unwrap(path), path, out)
    assert digest == file_sha256(out)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    load_state(module, out)
    assert same(module.state_dict(), state)
    with safe_open(str(out), framework="pt") as f:
        about = f.metadata()["converted_from"]
    assert about == f'{{"file": "wrapped.ckpt", "sha256": "{file_sha256(path)}", "key": "state_dict"}}'


def test_equal_inputs_give_equal_files(tmp_path, state):
    path = saved(tmp_path, {"model": state})
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert save_unwrapped(unwrap(path), path, first) == save_unwrapped(unwrap(path), path, second)


def test_tensors_that_share_their_values_are_written_apart(tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    path = saved(tmp_path, {"a": weight, "b": weight, "c": weight.t(), "half": weight.bfloat16()})
    save_unwrapped(unwrap(path), path, tmp_path / "o.safetensors")
    found = load_file(tmp_path / "o.safetensors")
    assert torch.equal(found["a"], weight)
    assert torch.equal(found["c"], weight.t())
    assert torch.equal(found["b"], weight)
    assert found["half"].dtype == torch.bfloat16


def test_what_is_there_is_not_overwritten(tmp_path, state):
    path = tmp_path / "net.safetensors"
    save_file(state, path)
    before = path.read_bytes()
    with pytest.raises(WeightsError, match="is there already, and stays as it is"):
        save_unwrapped(unwrap(path), path, path)
    assert path.read_bytes() == before


def test_a_type_that_the_format_does_not_have_is_said(tmp_path):
    path = saved(tmp_path, {"a": torch.ones(2, dtype=torch.complex128)})
    with pytest.raises(WeightsError, match="cannot be written as safetensors"):
        save_unwrapped(unwrap(path), path, tmp_path / "o.safetensors")
    assert not (tmp_path / "o.safetensors").exists()
