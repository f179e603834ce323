"""Muon for the inner convolutions of a network, Adam for everything else.

Muon (Jordan et al. 2024, github.com/KellerJordan/Muon) replaces a gradient matrix by the nearest orthogonal
one. For the editors here it reaches in 350 steps the error that Adam needs several thousand for, which is
what makes their training affordable on a CPU. The first and last layers, the norms and the biases stay with
Adam, as its authors recommend.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MUON_LR = 0.02


class NetOptimiser:
    """Steps a network's parameters from a list of their gradients.

    Args:
        net: parameters are updated in place; convert its memory format before, not after.
        lr: of Adam.
        betas: of Adam.
        muon_lr: of Muon; None leaves everything to Adam.
    """

    def __init__(
        self,
        net: nn.Module,
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        muon_lr: float | None = MUON_LR,
    ) -> None:
        self.parameters = list(net.parameters())
        inner = [p for p in self.parameters if p.ndim == 4 and min(p.shape[:2]) > 8] if muon_lr else []
        self._matrices = {id(p): nn.Parameter(_matrix(p.detach(), p)) for p in inner}
        rest = [p for p in self.parameters if id(p) not in self._matrices]
        self.parts: dict[str, torch.optim.Optimizer] = {"adam": torch.optim.Adam(rest, lr, betas=betas)}
        if muon_lr and inner:
            self.parts["muon"] = torch.optim.Muon(
                list(self._matrices.values()), muon_lr, weight_decay=0.0, adjust_lr_fn="original"
            )

    def step(self, loss: Tensor) -> None:
        """Backward pass of a loss (one number, `[]`), gradients clipped to norm 1, one update."""
        for p, g in zip(self.parameters, torch.autograd.grad(loss, self.parameters), strict=True):
            p.grad = g
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for p in self.parameters:
            if id(p) in self._matrices:
                assert p.grad is not None
                self._matrices[id(p)].grad = _matrix(p.grad, p)
        for part in self.parts.values():
            part.step()


def _matrix(values: Tensor, weight: Tensor) -> Tensor:
    """`values` of a convolution's weights as a matrix, a row per first index, columns as `weight` is stored.

    Of the weights themselves it is a view, so that an update of the matrix is one of the weights.
    """
    channels_last = weight.is_contiguous(memory_format=torch.channels_last)
    rows = values.permute(0, 2, 3, 1) if channels_last else values
    return rows.flatten(1)


def as_named(optimisers: Sequence[tuple[str, NetOptimiser]]) -> dict[str, torch.optim.Optimizer]:
    """The parts of several, by name, for schedules and checkpoints."""
    return {f"{name}-{part}": o for name, whole in optimisers for part, o in whole.parts.items()}
