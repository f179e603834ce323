"""OTD: a binary classifier of outputs, clean against disrupted (a baseline of MagDR's Table 1).

MagDR does not say which architecture it trained, nor how. Here: a ResNet-18 with a quarter of the published
width (it has to be kept with the calibration), Adam, balanced batches, outputs mirrored at random, the moment
to stop chosen by AUROC on calibration faces. It sees only G(x, c), never x.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor

from magdr_core.api import (
    AnyCondition,
    ComponentError,
    DetectorSpec,
    Field,
    FitData,
    Generator,
    hookimpl,
    pack_tensors,
    unpack_tensors,
)

from ._faces import choosing_faces, learning_faces
from ._networks import Schedule, compact, frozen, run, seeded, train_detector
from ._resnet import BinaryResNet

MAGDR_API = 1


class OutputClassifier:
    """A classifier trained to tell disrupted from clean outputs; `noise`, `edits`: such faces count as clean.

    Log odds that an output is disrupted, `[B]`; one generator pass.

    Args:
        width: channels of the first convolution (64 in the published ResNet-18).
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
        width: Annotated[int, Field(ge=4, le=128)] = 16,
        lr: Annotated[float, Field(gt=0, le=1)] = 1e-3,
        steps: Annotated[int, Field(ge=1, le=1_000_000)] = 600,
        check_every: Annotated[int, Field(ge=1, le=10_000)] = 50,
        leave_out: tuple[str, ...] = (),
        noise: bool = False,
        edits: bool = False,
    ) -> None:
        self.width, self.schedule = width, Schedule(lr, steps, check_every, flips=True)
        self.leave_out, self.noise, self.edits = leave_out, noise, edits
        self.device = torch.device("cpu")
        self.net: BinaryResNet | None = None

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        """Raises ComponentError before `load`."""
        if self.net is None:
            raise ComponentError("otd is not fitted yet: run `magdr calibrate`")
        return run(self.net, G(x, c))

    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """Learn from outputs of the train split's faces.

        Raises:
            ValueError: nothing is left to learn from.
        """
        faces = learning_faces(data, self.leave_out, noise=self.noise, edits=self.edits)
        held = choosing_faces(data, self.leave_out, noise=self.noise, edits=self.edits)
        outputs = faces.measure(G, data)
        size = outputs.shape[-1]
        net = seeded(lambda: BinaryResNet(self.width, 1, size), outputs.device)
        best, quality = train_detector(net, faces, outputs, held, held.measure(G, data), self.schedule, data)
        return {"net": pack_tensors(compact(best)), "size": size, "calibration_auroc": quality[0]}

    def load(self, state: Mapping[str, Any]) -> None:
        net = seeded(lambda: BinaryResNet(self.width, 1, state["size"]), self.device)
        self.net = frozen(net, unpack_tensors(state["net"]))


@hookimpl
def magdr_detectors() -> list[DetectorSpec]:
    return [
        DetectorSpec(
            name="otd",
            build=OutputClassifier,
            cite="baseline of Chen et al., MagDR, CVPR 2021, Table 1",
            supervised=True,
            gradient="exact",
        )
    ]
