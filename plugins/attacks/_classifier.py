"""A generator and an objective, shown to torchattacks as a classifier with own random numbers.

The helper of `torchattacks_adapter`; see there for what it keeps out and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from magdr_core.api import ComponentError, Objective, SampleRng
from magdr_core.functional import project_linf, round_toward

JITTER = 0.0005
"""Half-width in [0,1] units of the jitter where the clean image itself is looked at (.001 in [-1,1] units,
as the public disruption code suggests)."""

_ON_THE_BALL = 1e-6


class Classifier(nn.Module):
    """`[B*k,3,H,W]` images, k in a row for each clean one, to the logits `[goal, loss]`, `[B*k,2]`.

    Args:
        x: `[B,3,H,W]` clean images.
        objective: what disrupts them.
        goal: the loss to pass.
        eps: L-infinity bound in [0,1] units.
        draws: the active random streams.
        delivered: look at each image as it will be delivered: clipped to the ball and rounded to 8 bits
            toward the clean one, the gradient straight through.
        unit: give each image the gradient of its loss times +1 or -1, whatever weight a batch's mean has.

    Attributes:
        best, best_loss: `[B,3,H,W]`, `[B]`: of all images in the ball that were looked at, the highest loss.
    """

    def __init__(
        self,
        x: Tensor,
        objective: Objective,
        goal: float,
        eps: float,
        draws: Draws,
        *,
        delivered: bool,
        unit: bool,
    ) -> None:
        super().__init__()
        # torchattacks reads its device off the parameters.
        self.device_of = nn.Parameter(x.new_empty(0), requires_grad=False)
        # In a tuple, because eval() and train() walk down to every module that is an attribute.
        self.behind = (objective, draws)
        self.x, self.goal, self.eps = x, goal, eps
        self.delivered, self.unit = delivered, unit
        self.jitter = draws.rng.uniform(*x.shape[1:], low=-JITTER, high=JITTER)
        self.best, self.best_loss = x, torch.full((len(x),), -torch.inf, device=x.device)

    def forward(self, z: Tensor) -> Tensor:
        """
        Raises:
            ComponentError: the attack changed the size of the images or their number per clean image.
        """
        with self.behind[1].paused():
            loss = self._loss(z)
        return torch.stack([torch.full_like(loss, self.goal), loss], 1)

    def _loss(self, z: Tensor) -> Tensor:
        objective = self.behind[0]
        copies, rest = divmod(len(z), len(self.x))
        if rest or z.shape[1:] != self.x.shape[1:]:
            raise ComponentError(f"it made images {tuple(z.shape)} of images {tuple(self.x.shape)}")
        clean, jitter = self.x, self.jitter
        if copies > 1:
            idx = torch.arange(len(self.x), device=z.device).repeat_interleave(copies)
            objective, clean, jitter = objective.select(idx), clean[idx], jitter[idx]
        seen = z.detach()
        if self.delivered:
            seen = round_toward(project_linf(seen, clean, self.eps), clean)
        still = (seen - clean).abs().flatten(1).amax(1) < _ON_THE_BALL
        seen = torch.where(_wide(still), project_linf(clean + jitter, clean, self.eps), seen)
        if not (torch.is_grad_enabled() and z.requires_grad):
            loss, _, _ = objective.evaluate(seen)
            self._keep(seen, loss, clean, copies)
            return loss
        loss, uphill = objective.gradient(seen)
        self._keep(seen, loss, clean, copies)
        # z - z is an exact zero: the value is the loss, the gradient is the one that is known already.
        loss = loss + ((z - z.detach()) * uphill).flatten(1).sum(1)
        if self.unit:
            loss.register_hook(torch.sign)
        return loss

    def _keep(self, seen: Tensor, loss: Tensor, clean: Tensor, copies: int) -> None:
        away = torch.maximum((seen - clean).abs() - self.eps, torch.maximum(-seen, seen - 1))
        inside = away.flatten(1).amax(1) <= _ON_THE_BALL
        score, which = torch.where(inside, loss, -torch.inf).unflatten(0, (-1, copies)).max(1)
        wins = score > self.best_loss
        image = seen.unflatten(0, (-1, copies))[torch.arange(len(which), device=which.device), which]
        self.best = torch.where(_wide(wins), image, self.best)
        self.best_loss = torch.where(wins, score, self.best_loss)


def _wide(choice: Tensor) -> Tensor:
    return choice[:, None, None, None]


class Draws(TorchFunctionMode):
    """While active, torch's random functions draw from one stream per image instead of the global generator.

    Args:
        rng: the streams of the B images; the leading dimension of every draw must be a multiple of B.
    """

    def __init__(self, rng: SampleRng) -> None:
        super().__init__()
        self.rng = rng

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        own = _OWN.get(func)
        return func(*args, **(kwargs or {})) if own is None else own(self, *args, **(kwargs or {}))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The generator runs without this: a mode costs time at every operation and hinders compiled nets."""
        self.__exit__(None, None, None)
        try:
            yield
        finally:
            self.__enter__()

    def uniform(self, shape: Any) -> Tensor:
        return self._split(self.rng.uniform, shape)

    def normal(self, shape: Any) -> Tensor:
        return self._split(self.rng.normal, shape)

    def _split(self, draw: Callable[..., Tensor], shape: Any) -> Tensor:
        copies, rest = divmod(shape[0], len(self.rng))
        if rest:
            raise ComponentError(f"it draws {tuple(shape)} random numbers for {len(self.rng)} images")
        return draw(copies, *shape[1:]).reshape(shape)

    def integers(self, low: int, high: int, size: Any, dtype: torch.dtype = torch.int64) -> Tensor:
        return (low + self.uniform(size) * (high - low)).to(dtype).clamp_max(high - 1)


def _size(size: tuple[Any, ...]) -> tuple[int, ...]:
    """torch.rand takes `(2, 3)` and `((2, 3),)`."""
    return size if isinstance(size[0], int) else tuple(size[0])


_OWN: dict[Callable[..., Any], Callable[..., Tensor]] = {
    torch.rand: lambda d, *size: d.uniform(_size(size)),
    torch.randn: lambda d, *size: d.normal(_size(size)),
    torch.rand_like: lambda d, t: d.uniform(t.shape),
    torch.randn_like: lambda d, t: d.normal(t.shape),
    torch.randint: Draws.integers,
    Tensor.uniform_: lambda d, t, low=0.0, high=1.0: t.copy_(low + d.uniform(t.shape) * (high - low)),
    Tensor.normal_: lambda d, t: t.copy_(d.normal(t.shape)),
    Tensor.bernoulli_: lambda d, t: t.copy_(d.uniform(t.shape) < 0.5),
}


@contextmanager
def own_randomness(rng: SampleRng, device: torch.device) -> Iterator[Draws]:
    """Draws for torch, and a seed for numpy where there is one image; the global generators are put back
    (some attacks seed torch's)."""
    numpy_state = np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), Draws(rng) as draws:
            if len(rng) == 1:
                np.random.seed(int(rng.fork(0).bits(1)))
            yield draws
    finally:
        np.random.set_state(numpy_state)
