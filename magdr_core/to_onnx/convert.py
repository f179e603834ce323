"""One component's network as an ONNX file, checked against torch (extra `onnx`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from magdr_core.errors import MagdrError
from magdr_core.files.disk import write_atomically
from magdr_core.to_onnx.graph import INPUT, OUTPUT, exported, halved, session

AGREEMENT = 1e-4
"""What an output may differ from torch's by."""

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
    content = halved(exported(net, torch.rand(2, 3, size, size), where))
    several = _takes_several(content, size)
    if not several:
        content = halved(exported(net, torch.rand(1, 3, size, size), where))
    difference = _difference(content, net, size, several=several)
    if not difference <= AGREEMENT:
        raise MagdrError(
            f"[{kind}.{label}]: its ONNX file differs from torch by {difference:.2g}, more than {AGREEMENT:g}"
        )
    file = f"{kind}-{label}.onnx"
    write_atomically(folder / file, lambda path: path.write_bytes(content))
    return Converted(kind, label, file, len(content), difference, several)


def _takes_several(content: bytes, size: int) -> bool:
    """Whether the number of images is left open, in all of the graph: with three it gives three results."""
    try:
        (got,) = session(content).run([OUTPUT], {INPUT: np.zeros((3, 3, size, size), np.float32)})
    except Exception:  # onnxruntime's own, which has no common base
        return False
    return len(got) == 3


@torch.no_grad()
def _difference(content: bytes, net: nn.Module, size: int, *, several: bool) -> float:
    """Of the outputs of both on noise, a ramp of grey and faint noise, at most.

    A picture of one colour, whose variance is 0, would show how normalisation enlarges rounding errors, and
    nothing about the file.
    """
    running = session(content)
    noise = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    ramp = torch.linspace(0, 1, size).expand(1, 3, size, size)
    images = torch.cat([noise, ramp, 0.4 + 0.2 * noise])
    found = [
        float((torch.from_numpy(running.run([OUTPUT], {INPUT: some.numpy()})[0]) - net(some)).abs().max())
        for some in images.split(len(images) if several else 1)
    ]
    return max(found)
