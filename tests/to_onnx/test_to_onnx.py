"""Networks as ONNX files: the same outputs, small files, a page that runs them, plain refusals."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from torch import nn

from magdr_core.errors import MagdrError
from magdr_core.to_onnx import convert as converting
from magdr_core.to_onnx import graph
from magdr_core.to_onnx.convert import Converted, convert, convertible
from magdr_core.to_onnx.site import write_site


class Small(nn.Module):
    """A purifier of one layer, whose weights half precision holds, but for the bias."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 5, padding=2)
        self.layer.weight.data = torch.linspace(-1, 1, 225).reshape(3, 3, 5, 5).half().float()

    def forward(self, x):
        return (x + self.layer(x)).clamp(0, 1)


def test_only_networks_of_kinds_that_take_pictures_alone_are_converted():
    assert convertible(Small(), "restoration")
    assert not convertible(Small(), "generator")
    assert not convertible(lambda x: x, "restoration")


def test_a_file_gives_what_torch_gives_for_any_number_of_images(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    net = Small()
    done = convert(net, "restoration", "small", 16, tmp_path)
    assert done.file == "restoration-small.onnx"
    assert done.several
    assert done.difference <= 1e-4
    assert done.bytes == (tmp_path / done.file).stat().st_size
    assert done.bytes < 225 * 4 + 2000
    session = onnxruntime.InferenceSession(tmp_path / done.file)
    for count in (1, 5):
        x = torch.rand(count, 3, 16, 16)
        (got,) = session.run(["result"], {"images": x.numpy()})
        assert torch.allclose(torch.from_numpy(got), net(x), atol=1e-4)


def test_a_file_that_differs_from_torch_is_refused_and_not_written(tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(converting, "_difference", lambda *given, several: 0.01)
    with pytest.raises(MagdrError, match=r"\[restoration.small\]: its ONNX file differs from torch by 0.01"):
        convert(Small(), "restoration", "small", 16, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_page_comes_with_what_it_needs_and_fetches_nothing_by_itself(tmp_path):
    made = [
        Converted("restoration", "a", "restoration-a.onnx", 10, 0.0, True),
        Converted("restoration", "b", "restoration-b.onnx", 10, 0.0, True),
        Converted("parser", "c", "parser-c.onnx", 10, 0.0, True),
    ]
    write_site(made, 64, tmp_path)
    told = json.loads((tmp_path / "models.json").read_text())
    assert [m["file"] for m in told["models"]] == ["restoration-a.onnx", "parser-c.onnx"]
    assert told["size"] == 64
    text = (tmp_path / "index.html").read_text() + (tmp_path / "page.js").read_text()
    assert "http://" not in text
    assert "https://" not in text
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 20_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("generator.editing",), "'generator.editing' is no KIND.LABEL with one of the kinds restoration"),
        (("restoration.jpg",), "jpg"),
        (("restoration.jpeg",), "[restoration.jpeg] is no network"),
    ],
    ids=["kind", "label", "no network"],
)
def test_what_cannot_be_converted_is_one_line(magdr, workshop, monkeypatch, arguments, words):
    monkeypatch.setattr("magdr_core.cli.onnx.need_extra", lambda: None)
    done = magdr("onnx", *arguments, "--registry", workshop / "small.toml")
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_a_missing_extra_is_one_line(magdr, monkeypatch):
    monkeypatch.setattr(graph, "find_spec", lambda name: None)
    done = magdr("onnx")
    assert done.code == 2
    assert done.err == "magdr: ONNX needs onnx, which is not installed: pip install 'magdr[onnx]'\n"


@pytest.mark.slow
def test_the_shipped_networks_and_the_page_are_under_a_megabyte(magdr, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    done = magdr("onnx", "restoration.purifier", "parser.faces", "forensic.classifier", "--out", "site")
    assert done.code == 0, done.err
    files = {file.name: file.stat().st_size for file in (tmp_path / "site").iterdir()}
    assert {"restoration-purifier.onnx", "parser-faces.onnx", "index.html", "page.js"} <= set(files)
    assert sum(name.endswith(".onnx") for name in files) == 3
    assert sum(files.values()) < 1_000_000
    assert "torchvision" not in sys.modules
