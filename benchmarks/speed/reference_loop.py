"""The public disruption loop, restated: what an attack on an image translation network usually looks like.

Its algorithm, in our own words (Ruiz et al., arXiv 2003.01279, and the facts of their repository
natanielruiz/disrupting-deepfakes): images in [-1,1]; the network in training mode, instance norms with
running statistics, weights that ask for gradients. In each step a fresh leaf tensor of the current images;
the network; the gradients of the step before set to zero; mean squared error to the clean output;
`backward()` through everything, weights included; a step along the sign; the difference clipped to the ball,
the image to [-1,1].
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


def reference_network(main: nn.Sequential) -> nn.Sequential:
    """A copy of StarGAN's layers as that loop has them."""
    net = deepcopy(main)
    for parent in list(net.modules()):
        for name, module in parent.named_children():
            if isinstance(module, nn.InstanceNorm2d):
                norm = nn.InstanceNorm2d(module.num_features, affine=True, track_running_stats=True)
                norm.load_state_dict({**norm.state_dict(), **module.state_dict()})
                setattr(parent, name, norm.to(module.weight.device))
    return net.train().requires_grad_(True)


def reference_loop(
    net: nn.Module,
    x: Tensor,
    values: Tensor,
    start: Tensor,
    *,
    eps: float = 0.05,
    step: float = 0.01,
    steps: int = 10,
) -> tuple[Tensor, list[Tensor]]:
    """Disrupt images.

    Args:
        net: takes `[B,3+C,H,W]`: images and constant planes of condition values.
        x: `[B,3,H,W]` in [-1,1].
        values: `[B,C]`.
        start: `[B,3,H,W]`, the first iterate.
        eps, step: in [-1,1] units.

    Returns:
        (the last iterate, the loss of every iterate that was differentiated).
    """
    planes = values[:, :, None, None].expand(-1, -1, *x.shape[2:])
    with torch.no_grad():
        wanted = net(torch.cat([x, planes], 1))
    loss_of = nn.MSELoss()
    losses = []
    for _ in range(steps):
        leaf = start.clone().detach().requires_grad_(True)
        output = net(torch.cat([leaf, planes], 1))
        net.zero_grad()
        loss = loss_of(output, wanted)
        loss.backward()
        assert leaf.grad is not None
        moved = leaf + step * leaf.grad.sign()
        start = torch.clamp(x + torch.clamp(moved - x, -eps, eps), -1, 1).detach()
        losses.append(loss.detach())
    return start, losses
