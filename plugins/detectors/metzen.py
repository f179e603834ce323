"""A detector network on the generator's own activations (Metzen et al., ICLR 2017, arXiv 1702.04267).

Published, for a frozen 32-layer CIFAR ResNet: conv3x3(96), conv3x3(192) and conv3x3(192), each with batch
norm and ReLU, a 2x2 max pool after the first and the second (the second left out on smaller maps), then
conv1x1 to the two classes and the average over the map; the best place was behind the first residual stage.

Here the frozen network is the generator. Its candidates for the place are `layers` of its features, and the
one that does best on calibration faces is taken. One logit instead of two, which is the same model. A pool is
made where the map keeps at least 8 pixels a side. Adam's rate is ten times the published one, since a few
hundred faces make a hundred times fewer steps than CIFAR's 50,000 images do. The published training against
a detector-aware adversary is not part of it: all supervised baselines learn from the same attacked faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import (
    AnyCondition,
    ComponentError,
    DetectorSpec,
    FeatureSource,
    Field,
    FitData,
    hookimpl,
    pack_tensors,
    unpack_tensors,
)

from ._faces import choosing_faces, learning_faces
from ._networks import Schedule, compact, frozen, run, seeded, train_detector

MAGDR_API = 1

SMALLEST = 8
"""Side of a feature map below which nothing is pooled away."""


class DetectorNet(nn.Module):
    """Feature maps `[B,C,h,w]` -> log odds `[B]`.

    Args:
        channels: C.
        width: channels of the first convolution, twice as many in the next two (96 published).
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
            for i, o in ((channels, width), (width, 2 * width), (2 * width, 2 * width))
        )
        self.head = nn.Conv2d(2 * width, 1, 1)

    def forward(self, y: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            y = layer(y)
            if i < 2 and min(y.shape[2:]) >= 2 * SMALLEST:
                y = F.max_pool2d(y, 2)
        return self.head(y).mean((1, 2, 3))


class ActivationDetector:
    """A small network on the generator's activations; `noise`, `edits`: such faces count as clean.

    Log odds of an attack by the generator's features, `[B]`; one generator pass.

    Args:
        layers: indices of the generator's feature maps that the fit may choose from; negative ones
            count from the deepest.
        width: channels of the first convolution, twice as many in the next two (96 published).
        lr: learning rate of Adam.
        steps: training steps at most, of 32 faces each.
        check_every: training steps between two looks at the calibration faces; training stops after
            four looks without gain.
        leave_out: labels of calibration attacks that the fit must not see; they are held-out ones
            then.
        noise: whether random sign noise, as strong as each attack, is taught as harmless.
        edits: whether the calibration's `benign` edits are taught as harmless.

    Attributes:
        device: where the network lives.
    """

    def __init__(
        self,
        *,
        layers: Annotated[tuple[int, ...], Field(min_length=1)] = (1, -1),
        width: Annotated[int, Field(ge=4, le=512)] = 96,
        lr: Annotated[float, Field(gt=0, le=1)] = 1e-3,
        steps: Annotated[int, Field(ge=1, le=1_000_000)] = 300,
        check_every: Annotated[int, Field(ge=1, le=10_000)] = 30,
        leave_out: tuple[str, ...] = (),
        noise: bool = False,
        edits: bool = False,
    ) -> None:
        self.layers, self.width = layers, width
        self.schedule = Schedule(lr, steps, check_every, betas=(0.99, 0.999))
        self.leave_out, self.noise, self.edits = leave_out, noise, edits
        self.device = torch.device("cpu")
        self.layer = 0
        self.net: DetectorNet | None = None

    def __call__(self, x: Tensor, c: AnyCondition, G: FeatureSource) -> Tensor:
        """Raises ComponentError before `load`."""
        if self.net is None:
            raise ComponentError("metzen is not fitted yet: run `magdr calibrate`")
        return run(self.net, G.features(x, c, self.layer))

    def fit(self, data: FitData, G: FeatureSource) -> Mapping[str, Any]:
        """Learn from the features of the train split's faces, at each of the layers.

        Raises:
            ValueError: nothing is left to learn from.
        """
        faces = learning_faces(data, self.leave_out, noise=self.noise, edits=self.edits)
        held = choosing_faces(data, self.leave_out, noise=self.noise, edits=self.edits)
        found = []
        for layer in self.layers:
            # Half precision: the maps of all faces are kept, and at 256 px they would fill the memory.
            look = partial(_features, G, layer)
            maps, held_maps = faces.measure(look, data), held.measure(look, data)
            channels = maps.shape[1]
            net = seeded(partial(DetectorNet, channels, self.width), maps.device)
            best, quality = train_detector(net, faces, maps, held, held_maps, self.schedule, data)
            found.append((quality, layer, channels, best))
        quality, layer, channels, best = max(found, key=lambda f: f[0])
        return {
            "net": pack_tensors(compact(best)),
            "layer": layer,
            "channels": channels,
            "calibration_auroc": quality[0],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        net = seeded(partial(DetectorNet, state["channels"], self.width), self.device)
        self.net = frozen(net, unpack_tensors(state["net"]))
        self.layer = state["layer"]


def _features(G: FeatureSource, layer: int, x: Tensor, c: AnyCondition) -> Tensor:
    return G.features(x, c, layer).half()


@hookimpl
def magdr_detectors() -> list[DetectorSpec]:
    return [
        DetectorSpec(
            name="metzen",
            build=ActivationDetector,
            cite="Metzen et al., On Detecting Adversarial Perturbations, ICLR 2017 (arXiv 1702.04267)",
            supervised=True,
            gradient="exact",
        )
    ]
