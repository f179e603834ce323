"""Components with a weakness on purpose, to see whether an attack finds it. They defend against nothing.

A plugin like any other, that no listing shows and no registry has by itself:
`[plugins] local = { planted = "magdr_core.bench.checks.planted" }`, then `use = "planted/hard-quantiser"`.

Each is a mistake of the literature: shattered gradients and randomness of which one draw is attacked (both
Athalye, Carlini, Wagner, ICML 2018), and a detector whose score has no slope, so that only an attack that
keeps account of what was noticed gets by.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from magdr_core.api import (
    Condition,
    DefenseSpec,
    DetectorSpec,
    Field,
    Generator,
    SampleRng,
    hookimpl,
    stateless,
)
from magdr_core.functional import bit_depth

MAGDR_API = 1


def hard_quantiser(
    x: Tensor, c: Condition, G: Generator, *, bits: Annotated[int, Field(ge=1, le=8)] = 4
) -> Tensor:
    """Few levels per channel, `[B,3,H,W]` -> same, whose gradient is zero everywhere: BPDA breaks it."""
    return bit_depth(x, bits)


def random_switch(x: Tensor, c: Condition, G: Generator, *, rng: SampleRng) -> Tensor:
    """Shows one of two lattices of pixels, drawn per call, each pixel of the other filled with a neighbour:
    what was made for one draw is lost in the other. EOT breaks it. `[B,3,H,W]` -> same."""
    rows = torch.arange(x.shape[2], device=x.device)[:, None]
    columns = torch.arange(x.shape[3], device=x.device)
    lattice = (rows + columns) % 2 == rng.integers(1, high=2)[:, :, None]
    # The right neighbour lies on the other lattice; at the edge, the left one.
    neighbour = torch.cat([x[..., 1:], x[..., -2:-1]], -1)
    return torch.where(lattice[:, None], x, neighbour)


def hashing(x: Tensor, c: Condition, G: Generator) -> Tensor:
    """A number in [0,1) that depends on every bit of the 8-bit image and on nothing else, `[B]`: without any
    slope to follow, yet whoever tries a few images and keeps what passed gets by."""
    levels = (x.detach() * 255).round().to(torch.int64).flatten(1)
    place = torch.arange(1, levels.shape[1] + 1, device=x.device)
    mixed = ((levels + 1) * (place * 0x9E3779B1 % 0xFFFFFFFB) & 0xFFFFFFFF) * 0x85EBCA6B & 0xFFFFFFFF
    total = (mixed ^ (mixed >> 13)).sum(1) * 0xC2B2AE35 & 0xFFFFFFFF
    return ((total ^ (total >> 16)) & 0xFFFFFF).to(torch.float32) / 2.0**24


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(name="hard-quantiser", build=stateless(hard_quantiser), gradient="none"),
        DefenseSpec(name="random-switch", build=stateless(random_switch), gradient="exact", stochastic=True),
    ]


@hookimpl
def magdr_detectors() -> list[DetectorSpec]:
    return [DetectorSpec(name="hashing", build=stateless(hashing), gradient="none")]
