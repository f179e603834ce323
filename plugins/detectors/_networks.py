"""Training and use of the small networks inside detectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import FitData
from magdr_core.functional import in_pieces

from ._faces import Faces

SEED = 0
Net = TypeVar("Net", bound=nn.Module)


def seeded(build: Callable[[], Net], device: torch.device) -> Net:
    """A network with the same initial weights every time; the caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        net = build()
    return net.to(device)


def run(net: nn.Module, x: Tensor) -> Tensor:
    """`net(x)`, for an image the same in any batch; differentiable in x."""
    result: Tensor = in_pieces(lambda i: net(x[i]), x)
    return result


def scores(net: nn.Module, x: Tensor, batch: int = 64) -> np.ndarray:
    """Logits `[n]` of stored inputs, as numpy, in evaluation mode."""
    net.eval()
    with torch.no_grad():
        parts = [run(net, part.float()) for part in x.split(batch)]
    return torch.cat(parts).double().cpu().numpy()


def compact(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state to keep: weights in half precision, which halves a calibration file; the rest as it is."""
    return {k: v.half() if v.is_floating_point() and v.ndim > 1 else v for k, v in state.items()}


def frozen(net: Net, state: Mapping[str, Tensor]) -> Net:
    """The network with these weights, ready for use."""
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


@dataclass(frozen=True)
class Schedule:
    """How a binary detector network is trained: Adam on the logistic loss, balanced batches.

    Attributes:
        lr: of Adam.
        steps: at most.
        every: steps between two looks at the choosing faces; the best of these moments is kept.
        patience: looks without a better AUROC after which training stops.
        batch: half of it attacked, half harmless.
        flips: mirror every second input at random.
    """

    lr: float
    steps: int
    every: int
    patience: int = 4
    betas: tuple[float, float] = (0.9, 0.999)
    batch: int = 32
    flips: bool = False


def train_detector(
    net: nn.Module,
    faces: Faces,
    inputs: Tensor,
    held: Faces,
    held_inputs: Tensor,
    schedule: Schedule,
    data: FitData,
) -> tuple[dict[str, Tensor], tuple[float, float]]:
    """Train `net(inputs) -> [B]` to tell attacked from harmless inputs.

    Args:
        inputs: `[n, ...]` of `faces`, to learn from; may be half precision.
        held_inputs: of `held`, on which the moment to stop is chosen.

    Returns:
        (the state of the best moment, its quality: see `Faces.quality`).
    """
    draw = torch.Generator().manual_seed(SEED)
    optimiser = torch.optim.Adam(net.parameters(), schedule.lr, betas=schedule.betas)
    batches = balanced(faces, schedule.batch, draw)
    best: dict[str, Tensor] = {}
    reached, waited = (-1.0, 0.0), 0
    for step in range(1, schedule.steps + 1):
        index, target = next(batches)
        x = inputs[index.to(inputs.device)].float()
        if schedule.flips:
            mirrored = torch.rand(len(x), generator=draw).lt(0.5).to(x.device)
            x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
        net.train()
        with torch.enable_grad():
            loss = F.binary_cross_entropy_with_logits(net(x), target.to(x.device))
            optimiser.zero_grad()
            loss.backward()
        optimiser.step()
        data.progress(step, schedule.steps)
        if step % schedule.every and step < schedule.steps:
            continue
        quality = held.quality(scores(net, held_inputs))
        waited = 0 if quality[0] > reached[0] else waited + 1
        if quality > reached:
            reached = quality
            best = {k: v.detach().clone() for k, v in net.state_dict().items()}
        if waited >= schedule.patience:
            break
    return best, reached


def balanced(faces: Faces, batch: int, draw: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (indices, targets) of half attacked, half harmless batches; all of each before any again."""
    half = batch // 2
    target = torch.arange(2 * half).lt(half).float()
    attacked, harmless = (
        _endless(torch.from_numpy(np.flatnonzero(mask)), draw) for mask in (faces.attacked, ~faces.attacked)
    )
    while True:
        index = [next(attacked) for _ in range(half)] + [next(harmless) for _ in range(half)]
        yield torch.tensor(index), target


def _endless(indices: Tensor, draw: torch.Generator) -> Iterator[int]:
    while True:
        yield from indices[torch.randperm(len(indices), generator=draw)].tolist()
