"""Rules of finders of faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from magdr_core.errors import MagdrError, one_line
from magdr_core.testing.rules import rule
from magdr_core.testing.subject import Subject
from magdr_core.testing.watching import Network, global_generators

SHAPES = ((1, 1), (16, 16), (23, 200), (96, 64), (240, 320))
"""Heights and widths: a single pixel, a strip, odd and upright ones."""

LEVELS = (0, 128, 255)
"""Of pictures of one grey, in which there is nobody."""


def pictures() -> Iterator[Tensor]:
    """Pictures `[3,H,W]` uint8 of all shapes: a soft disc before a gradient, and noise."""
    rng = torch.Generator().manual_seed(0)
    for height, width in SHAPES:
        rows, columns = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
        disc = torch.sigmoid(12 * (0.4 - rows.square() - columns.square()))
        tint = torch.tensor([1.0, 0.8, 0.7])[:, None, None]
        scene = 0.3 + 0.2 * columns * torch.ones(height, 1)
        yield ((scene + (tint - scene) * disc) * 255).round().to(torch.uint8)
    yield torch.randint(256, (3, 80, 96), generator=rng, dtype=torch.uint8)


def asked(component: Any) -> dict[str, Callable[[Tensor], Any]]:
    """By name, what core calls with a picture `[3,H,W]`."""
    places = getattr(component, "places", None)
    return {"": component, **({} if places is None else {"places: ": places})}


@rule(
    "found",
    "gives FoundFaces that lie in the picture, at least in part, the surest first, whatever its shape",
)
def found(s: Subject) -> Iterator[str]:
    for name, find in asked(s.component).items():
        for picture in pictures():
            height, width = picture.shape[1:]
            try:
                s.guarded.checked(_without_traces(s, find, picture), height, width)
            except MagdrError as e:
                told = one_line(e).removeprefix(f"{s.guarded.where}: ")
                yield f"{name}on 3x{height}x{width}: {told}"
                return
            except Exception as e:
                yield f"{name}fails on 3x{height}x{width}: {one_line(e)}"
                return


@rule("kept", "the picture, networks and the global random generators are as before", ("found",))
def kept(s: Subject) -> Iterator[str]:
    for name, find in asked(s.component).items():
        for picture in pictures():
            given = picture.clone()
            networks = [Network(told, network) for told, network in s.networks()]
            with global_generators(0) as drew:
                find(given)
            lines = [line for network in networks for line in network.restore()]
            if not torch.equal(given, picture):
                lines.append("edits the picture in place")
            if drew:
                lines.append(f"draws from {' and '.join(drew)} global generator")
            if lines:
                yield name + lines[0]
                return


@rule("alike", "a picture has the same faces every time, and after a rebuild", ("found", "kept"))
def alike(s: Subject) -> Iterator[str]:
    again = asked(s.rebuilt())
    for name, find in asked(s.component).items():
        for picture in pictures():
            first = list(_without_traces(s, find, picture))
            if list(_without_traces(s, find, picture, world=1)) != first:
                yield f"{name}the same picture has other faces the second time"
                return
            if list(_without_traces(s, again[name], picture)) != first:
                yield f"{name}the same picture has other faces after a rebuild"
                return


@rule("nothing", "there is no face in a picture of one grey", ("found",))
def nothing(s: Subject) -> Iterator[str]:
    for level in LEVELS:
        grey = torch.full((3, 120, 160), level, dtype=torch.uint8)
        faces = s.component(grey)
        if len(faces):
            yield f"finds {len(faces)} in a picture that is {level} everywhere: {faces[0]}"
            return


def _without_traces(s: Subject, find: Callable[[Tensor], Any], picture: Tensor, world: int = 0) -> Any:
    """What is found in a copy; networks and generators are as before, whatever it does to them."""
    networks = [Network(name, network) for name, network in s.networks()]
    try:
        with global_generators(world):
            return find(picture.clone())
    finally:
        for network in networks:
            network.restore()


RULES = (found, kept, alike, nothing)
