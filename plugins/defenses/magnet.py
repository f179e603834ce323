"""MagNet's reformer: a denoising auto-encoder of clean faces, through which every input goes.

Meng and Chen, MagNet, CCS 2017 (arXiv 1705.09064; github.com/Trevillie/MagNet): 3x3 convolutions of 3
filters with sigmoids throughout, one average pooling and its undoing in between (their structure for MNIST,
`pool`) or none (theirs for CIFAR, `flat`), squared error, Adam, inputs with Gaussian noise.

Unlike the authors' code: noise is drawn anew in every step (theirs once for the whole set), the learning
rate decays, training goes by steps on crops, and the activity penalty of 1e-9 is left out. On faces 3 filters
are a severe bottleneck; `filters = 32` or 64 is what the idea gives without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import (
    AnyCondition,
    DefenseSpec,
    Field,
    FitData,
    Generator,
    hookimpl,
    pack_tensors,
    unpack_tensors,
)
from magdr_core.functional import in_pieces

MAGDR_API = 1

SEED = 0
BATCH = 32
CROP = 32
"""Side of the training crops, in pixels; a convolution is the same everywhere."""

Structure = Literal["pool", "flat"]


class AutoEncoder(nn.Module):
    """`[B,3,H,W]` in [0,1] -> same.

    Args:
        structure: `pool` halves the sides in between, `flat` does not.
        filters: of every convolution but the last.
    """

    def __init__(self, structure: Structure, filters: int) -> None:
        super().__init__()
        if structure == "pool":
            inner = [nn.AvgPool2d(2, ceil_mode=True), *_layer(filters, filters)]
            inner += [*_layer(filters, filters), nn.Upsample(scale_factor=2)]
        else:
            inner = []
        self.layers = nn.Sequential(
            *_layer(3, filters), *inner, *_layer(filters, filters), *_layer(filters, 3)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # Sigmoids pass a quarter of a gradient on, and give 0.5 on average: weights four times as
                # large, and biases that bring the sums back to where a sigmoid is steep.
                nn.init.xavier_uniform_(module.weight, gain=4)
                assert module.bias is not None
                with torch.no_grad():
                    module.bias.copy_(-0.5 * module.weight.sum((1, 2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        padded = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
        y: Tensor = self.layers(padded)
        return y[..., :height, :width]


def _layer(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1), nn.Sigmoid()]


class Reformer:
    """A denoising auto-encoder fitted on clean faces, through which every input goes.

    `lr` is cut to 0.1 / filters, above which wide layers saturate.

    Args:
        structure: `pool` halves the sides in between (published for MNIST), `flat` does not (for
            CIFAR).
        filters: filters of every convolution but the last (3 published).
        noise: standard deviation of the training noise, in [0,1] units.
        steps: training steps, of 32 crops each.
        lr: learning rate of Adam, cut to 0.1 / filters.
    """

    def __init__(
        self,
        *,
        structure: Structure = "pool",
        filters: Annotated[int, Field(ge=1, le=128)] = 3,
        noise: Annotated[float, Field(ge=0, le=1)] = 0.025,
        steps: Annotated[int, Field(ge=1, le=100_000)] = 3000,
        lr: Annotated[float, Field(gt=0, le=1)] = 0.01,
    ) -> None:
        self.structure, self.filters = structure, filters
        self.noise, self.steps, self.lr = noise, steps, lr
        self.net = AutoEncoder(structure, filters).eval()
        self.fitted = False

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same."""
        assert self.fitted, "load() first"
        return in_pieces(lambda i: self.net(x[i]), x)

    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """Learns from the clean faces of the calibration and train splits; looks at no attacked one."""
        faces = [data.clean.images]
        faces += [clean.images for _, clean in list(data.training().values())[:1]]
        images = torch.cat(faces)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            net = AutoEncoder(self.structure, self.filters)
        net.to(images.device)
        with torch.enable_grad():
            error = self._train(net, images, data)
        return {"net": pack_tensors(net.state_dict()), "error": error}

    def _train(self, net: AutoEncoder, images: Tensor, data: FitData) -> float:
        """Returns the mean squared error of the last tenth of the steps."""
        random = torch.Generator().manual_seed(SEED)
        # Adam moves every weight by the rate: the sum of a wide layer would jump into saturation.
        rate = min(self.lr, 0.1 / self.filters)
        optimiser = torch.optim.Adam(net.parameters(), rate)
        side = min(CROP, *images.shape[2:])
        errors = []
        for step in range(self.steps):
            for group in optimiser.param_groups:
                group["lr"] = rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / self.steps)))
            x = images[torch.randint(len(images), (BATCH,), generator=random).to(images.device)]
            top, left = (
                int(torch.randint(size - side + 1, (), generator=random)) for size in images.shape[2:]
            )
            x = x[..., top : top + side, left : left + side]
            if torch.rand((), generator=random) < 0.5:
                x = x.flip(3)
            noise = self.noise * torch.randn(x.shape, generator=random).to(x)
            loss = (net((x + noise).clamp(0, 1)) - x).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            errors.append(float(loss.detach()))
            if step % 50 == 49:
                data.progress(step + 1, self.steps)
        last = errors[-max(1, self.steps // 10) :]
        return sum(last) / len(last)

    def load(self, state: Mapping[str, Any]) -> None:
        self.net.load_state_dict(unpack_tensors(state["net"]))
        self.fitted = True


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="magnet-reformer",
            build=Reformer,
            supervised=True,  # for more clean faces; it learns from no attack
            gradient="exact",
            cite="Meng and Chen, MagNet, CCS 2017 (arXiv 1705.09064)",
            tags=("baseline",),
        )
    ]
