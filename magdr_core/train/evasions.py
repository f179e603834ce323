"""What a forensic model is trained against: changes of a picture that keep its label.

After Wang, Guo and Zuo, Deepfake Forensics via an Adversarial Game, IEEE TIP 2022 (arXiv 2103.13567), with
the authors' own control, random blur. Slips of the published code are mended; the published form is kept as
an option where it is a method of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.components.rng import SampleRng
from magdr_core.functional import pixelwise_blur, project_linf
from magdr_core.train.blur_generator import BlurGenerator
from magdr_core.train.optimiser import NetOptimiser, as_named

Classify = Callable[[Tensor], Tensor]
"""Pictures `[B,3,H,W]` -> log odds `[B]`, of a network whose weights stand still."""

SIGMAS = (0.22, 1.0)
"""Standard deviations of random blurs, in pixels: from nearly none to the strongest that s >= 1 allows."""

START = 3.0
"""Precision above the least one at which searches and generators begin: a mild blur."""


def cross_entropy(logits: Tensor, fake: Tensor) -> Tensor:
    """Of log odds `[B]` with labels `[B]`, 1 for fakes: `[B]`."""
    return F.binary_cross_entropy_with_logits(logits, fake, reduction="none")


class Evasion(Protocol):
    """Changes pictures so that a classifier errs on them.

    Attributes:
        gradients: evaluations of the classifier's gradient for each of its updates.
        modules, optimisers: what is trained along with the classifier.
    """

    gradients: int
    modules: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]

    def __call__(self, classify: Classify, x: Tensor, fake: Tensor, rng: SampleRng) -> Tensor:
        """Pictures `[B,3,H,W]` in [0,1] with labels `[B]` -> the same pictures, changed."""

    def learn(self, classify: Classify, x: Tensor, fake: Tensor) -> None:
        """Train what is trained along, on pictures `[B,3,H,W]` with labels `[B]`."""


class _Untrained:
    gradients = 0

    def __init__(self) -> None:
        self.modules: dict[str, nn.Module] = {}
        self.optimisers: dict[str, torch.optim.Optimizer] = {}

    def learn(self, classify: Classify, x: Tensor, fake: Tensor) -> None:
        """Nothing is trained along."""


def uniform_blur(x: Tensor, s_min: float) -> Tensor:
    """`[B,3,H,W]` with the strongest blur that is allowed, everywhere -> same."""
    return pixelwise_blur(x, torch.full_like(x[:, :1], s_min))


class RandomBlur(_Untrained):
    """One drawn blur for each whole picture, `[B,3,H,W]` -> same: what every blurring adversary has to beat.

    Args:
        s_min: the least precision of the adversary that it is the control of.
    """

    def __init__(self, s_min: float = 1.0) -> None:
        super().__init__()
        self.widest = min(SIGMAS[1], 1 / math.sqrt(s_min)) if s_min else SIGMAS[1]

    def __call__(self, classify: Classify, x: Tensor, fake: Tensor, rng: SampleRng) -> Tensor:
        sigma = rng.uniform(1, 1, 1, low=SIGMAS[0], high=self.widest)
        return pixelwise_blur(x, sigma.square().reciprocal().expand_as(x[:, :1]))


class SignSteps(_Untrained):
    """Projected sign ascent on the cross entropy, from a random start in the ball: `[B,3,H,W]` -> same.

    Args:
        eps: the ball's radius in [0,1] units.
        steps: gradient evaluations.
        published: one step from the picture itself, and fakes, the second half of the batch, held in the
            ball around the *real* pictures, the first half: as the published code has it.
    """

    def __init__(self, eps: float, steps: int, *, published: bool = False) -> None:
        super().__init__()
        self.eps, self.published = eps, published
        self.gradients = 1 if published else steps

    def __call__(self, classify: Classify, x: Tensor, fake: Tensor, rng: SampleRng) -> Tensor:
        centre, eps = x, self.eps
        if self.published:
            centre = x[: len(x) // 2].repeat(2, 1, 1, 1)
        y = x if self.published else x + rng.uniform(*x.shape[1:], low=-eps, high=eps)
        y = y.clamp(0, 1)
        for _ in range(self.gradients):
            step = eps if self.gradients == 1 else 2.5 * eps / self.gradients
            y = project_linf(y + step * _ascent(classify, y, fake).sign(), centre, eps)
        return y


class BlurSteps(_Untrained):
    """Ascent on the cross entropy over the blur of each pixel, without a generator: `[B,3,H,W]` -> same.

    Args:
        s_min: the least precision, the strongest blur.
        steps: gradient evaluations.
        published: one step of length 10 on precisions of norm 100 for each picture and channel, normalised
            again, as the published code has it: next to a uniform blur.
    """

    LENGTH = 0.5  # of a step of u, where s = s_min + u^2

    def __init__(self, s_min: float, steps: int, *, published: bool = False) -> None:
        super().__init__()
        self.s_min, self.published = s_min, published
        self.gradients = 1 if published else steps

    def __call__(self, classify: Classify, x: Tensor, fake: Tensor, rng: SampleRng) -> Tensor:
        if self.published:
            s = torch.full_like(x, 100 / math.sqrt(x[0].numel()))
            gradient = _ascent(lambda v: classify(pixelwise_blur(x, v)), s, fake) / len(x)
            s = (s + 10 * gradient).clamp_min(0)
            norm = s.flatten(1).norm(dim=1).clamp_min(1e-12)
            return pixelwise_blur(x, 100 * s / norm[:, None, None, None])
        u = math.sqrt(START) * rng.uniform(1, *x.shape[2:], low=0.5, high=1.5)
        for _ in range(self.gradients):
            slope = _ascent(lambda v: classify(self._blurred(x, v)), u, fake)
            u = u + self.LENGTH * slope.sign()
        return self._blurred(x, u)

    def _blurred(self, x: Tensor, u: Tensor) -> Tensor:
        return pixelwise_blur(x, self.s_min + u.square())


class BlurGame:
    """Two networks, one for real pictures and one for fakes, that learn where to blur: `[B,3,H,W]` -> same.

    Args:
        s_min: the least precision, the strongest blur.
        lr: of the two networks.
        steps: updates of theirs for each of the classifier's.
        published: `s = max(s_min, g^2)` with an ordinary start: most pixels start without a gradient.
        autocast: the precision that the two networks compute in.
    """

    def __init__(
        self,
        s_min: float,
        lr: float,
        steps: int,
        *,
        device: torch.device,
        published: bool = False,
        autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.s_min, self.published, self.gradients, self._autocast = s_min, published, steps, autocast
        start = 0.0 if published else math.sqrt(START)
        self.modules: dict[str, nn.Module] = {
            name: BlurGenerator(start=start).to(device).to(memory_format=torch.channels_last)
            for name in ("blur-real", "blur-fake")
        }
        self._learners = {name: NetOptimiser(net, lr, muon_lr=None) for name, net in self.modules.items()}
        self.optimisers = as_named(list(self._learners.items()))

    def precision(self, x: Tensor, fake: Tensor) -> Tensor:
        """What the two networks ask for, `[B,3,H,W]` with labels `[B]` -> `[B,1,H,W]`."""
        raw = x.new_zeros(len(x), 1, *x.shape[2:])
        for name, rows in (("blur-real", fake < 0.5), ("blur-fake", fake > 0.5)):
            if rows.any():
                with self._autocast():
                    asked = self.modules[name](x[rows].contiguous(memory_format=torch.channels_last))
                raw = raw.index_put((rows.nonzero()[:, 0],), asked.float())
        square = raw.square()
        return square.clamp_min(self.s_min) if self.published else self.s_min + square

    @torch.no_grad()
    def __call__(self, classify: Classify, x: Tensor, fake: Tensor, rng: SampleRng) -> Tensor:
        return pixelwise_blur(x, self.precision(x, fake))

    def learn(self, classify: Classify, x: Tensor, fake: Tensor) -> None:
        """Both networks step up the classifier's cross entropy on `[B,3,H,W]`, labels `[B]`."""
        for _ in range(self.gradients):
            for name, learner in self._learners.items():
                rows = fake < 0.5 if name == "blur-real" else fake > 0.5
                if rows.any():
                    blurred = pixelwise_blur(x[rows], self.precision(x[rows], fake[rows]))
                    learner.step(-cross_entropy(classify(blurred), fake[rows]).mean())


def _ascent(classify: Classify, x: Tensor, fake: Tensor) -> Tensor:
    """The gradient of the summed cross entropy with respect to `x` alone, of its shape, `[B, ...]`."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(cross_entropy(classify(x), fake).sum(), x)
    return gradient
