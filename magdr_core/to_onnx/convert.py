"""One component's network as an ONNX file, checked against torch.

Needs the extra `onnx`: torch's exporter goes through onnxscript, and onnxruntime runs the check.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from magdr_core.errors import MagdrError, one_line
from magdr_core.files.disk import write_atomically

AGREEMENT = 1e-4
"""What an output may differ from torch's by."""

INPUT, OUTPUT = "images", "result"

CALLS: Mapping[str, Callable[[Any], Callable[[Tensor], Tensor]]] = {
    "restoration": lambda component: component,
    "parser": lambda component: component,
    "forensic": lambda component: component.score,
}
"""By kind, what is called with images `[B,3,S,S]`: restored ones, soft masks `[B,N,S,S]`, or scores `[B]`."""


@dataclass(frozen=True)
class Converted:
    """A file that was written.

    Attributes:
        kind, label: of the component.
        file: its name.
        bytes: its size.
        difference: of its outputs to torch's, at most.
        several: it takes any number of images at once, else one.
    """

    kind: str
    label: str
    file: str
    bytes: int
    difference: float
    several: bool


class _Called(nn.Module):
    """A component as a network whose `forward` is what is called of it."""

    def __init__(self, component: nn.Module, kind: str) -> None:
        super().__init__()
        self.component = component
        self.called = CALLS[kind](component)

    def forward(self, images: Tensor) -> Tensor:
        return self.called(images)


def convertible(component: object, kind: str) -> bool:
    """Whether it is a network of a kind that takes pictures alone."""
    return kind in CALLS and isinstance(component, nn.Module)


def convert(component: nn.Module, kind: str, label: str, size: int, folder: Path) -> Converted:
    """Write `KIND-LABEL.onnx` into a folder: images `[B,3,S,S]` in [0,1] -> what `CALLS` says.

    B is any number, or 1 where the exporter cannot leave it open. Weights that half precision holds exactly
    are stored in it, and are made single precision as they are read.

    Args:
        component: on the CPU.
        size: S, which is fixed.

    Raises:
        MagdrError: the extra is not installed, the network uses what ONNX does not have, or the file's
            outputs differ from torch's by more than `AGREEMENT`.
    """
    net = _Called(component, kind).eval()
    where = f"[{kind}.{label}]"
    content = _halved(_exported(net, torch.rand(2, 3, size, size), where))
    several = _takes_several(content, size)
    if not several:
        content = _halved(_exported(net, torch.rand(1, 3, size, size), where))
    difference = _difference(content, net, size, several=several)
    if not difference <= AGREEMENT:
        raise MagdrError(
            f"[{kind}.{label}]: its ONNX file differs from torch by {difference:.2g}, more than {AGREEMENT:g}"
        )
    file = f"{kind}-{label}.onnx"
    write_atomically(folder / file, lambda path: path.write_bytes(content))
    return Converted(kind, label, file, len(content), difference, several)


def need_extra() -> None:
    """Raises MagdrError unless the extra is installed."""
    for name in ("onnx", "onnxruntime", "onnxscript"):
        if find_spec(name) is None:
            raise MagdrError(f"ONNX needs {name}, which is not installed: pip install 'magdr[onnx]'")


def _takes_several(content: bytes, size: int) -> bool:
    """Whether the number of images is left open, in all of the graph: with three it gives three results."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    try:
        (got,) = session.run([OUTPUT], {INPUT: np.zeros((3, 3, size, size), np.float32)})
    except Exception:  # onnxruntime's own, which has no common base
        return False
    return len(got) == 3


def _exported(net: nn.Module, example: Tensor, where: str) -> Any:
    """The model; with an example of more than one image, of any number if that can be."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                net,
                (example,),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim.AUTO},) if len(example) > 1 else None,
            )
    except Exception as e:
        raise MagdrError(f"{where}: cannot be made an ONNX file: {one_line(e)[:300]}") from None
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    assert program is not None
    return program.model_proto


def _halved(model: Any) -> bytes:
    """The model with weights in half precision where that changes none, without the exporter's notes."""
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < 64:
            continue
        half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    del model.metadata_props[:]
    content: bytes = model.SerializeToString()
    return content


@torch.no_grad()
def _difference(content: bytes, net: nn.Module, size: int, *, several: bool) -> float:
    """Of the outputs of both on noise, a ramp of grey and faint noise, at most.

    A picture of one colour, whose variance is 0, would show how normalisation enlarges rounding errors, and
    nothing about the file.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    noise = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    ramp = torch.linspace(0, 1, size).expand(1, 3, size, size)
    images = torch.cat([noise, ramp, 0.4 + 0.2 * noise])
    found = [
        float((torch.from_numpy(session.run([OUTPUT], {INPUT: some.numpy()})[0]) - net(some)).abs().max())
        for some in images.split(len(images) if several else 1)
    ]
    return max(found)
