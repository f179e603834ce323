"""What stand-ins are fitted on, and how: small networks that depend on nothing but the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from magdr_core.adaptive.victim import Target
from magdr_core.functional import round_toward

Net = TypeVar("Net", bound=nn.Module)

BATCH = 16
RATE = 2e-3
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How much of the perturbation the training images keep, so that the way down to clean is learned."""


def training_images(target: Target) -> list[Tensor]:
    """The target's faces clean, attacked, between the two, and noisy, as they are received, `[B,3,H,W]` each;
    nobody attacks them afterwards."""
    kept = [round_toward(target.x + share * (target.oblivious - target.x), target.x) for share in SHARES]
    noise = target.eps * target.rng.fork(3).sign(*target.x.shape[1:])
    published = [*kept, target.inside(target.x + noise).detach()]
    if target.channel is None:
        return published
    with torch.no_grad():
        draws = target.forks(1)
        return [target.sent(x, next(draws, target.rng)) for x in published]


def fitted(make: Callable[[], Net], loss: Callable[[Net, Tensor], Tensor], images: Tensor, steps: int) -> Net:
    """A network that `loss` was brought down on; initial weights and batches have a seed of their own.

    Args:
        make: builds the network; called with its own random state.
        loss: one number, `[]`, of the network on the rows of a batch, `[b]` indices.
        images: `[n,3,H,W]`, as many rows as there are, on the device to fit on.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        net = make().to(images.device)
    chance = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
    with torch.enable_grad():
        for _ in range(steps):
            rows = torch.randint(len(images), (BATCH,), generator=chance).to(images.device)
            error = loss(net, rows)
            optimiser.zero_grad()
            error.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return net.requires_grad_(False).eval()
