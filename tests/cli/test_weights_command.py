"""`magdr weights convert`, from the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

from magdr_core.files.checkpoint import file_sha256


def test_convert_writes_the_network_and_prints_its_keys(magdr):
    state = {"a.weight": torch.ones(2, 3), "a.count": torch.tensor(5)}
    average = {"a.weight": torch.zeros(2, 3)}
    torch.save({"model": state | {"epoch": 3}, "model_ema": average}, "in.pth")
    done = magdr("weights", "convert", "in.pth", "new/out.safetensors")
    out = Path("new/out.safetensors")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "a.weight  float32 [2, 3]",
        "a.count  int64 []",
        "left out, being no tensors: epoch",
        "also in in.pth: model_ema (--key takes one of them)",
        f"{out}: 2 tensors of model, 7 values, sha256 {file_sha256(out)}",
    ]
    assert torch.equal(load_file(out)["a.weight"], torch.ones(2, 3))
    assert magdr("weights", "convert", "in.pth", "ema.safetensors", "--key", "model_ema").code == 0
    assert torch.equal(load_file("ema.safetensors")["a.weight"], torch.zeros(2, 3))


def test_convert_refuses_in_one_line(magdr):
    torch.save({"state_dict": {"a": torch.ones(2)}, "args": argparse.Namespace()}, "in.pth")
    for arguments, said in [
        (("in.pth", "out.safetensors"), "loading it would call argparse.Namespace, which was not done"),
        (("in.pth", "out.pth"), "out.pth must end with .safetensors"),
        (("none.pth", "out.safetensors"), "none.pth does not exist"),
    ]:
        done = magdr("weights", "convert", *arguments)
        assert done.code == 2
        assert done.err.count("\n") == 1
        assert said in done.err
        assert not Path("out.safetensors").exists()
