"""MagNet's detectors: reconstruction error and divergence (Meng and Chen, CCS 2017, arXiv 1705.09064; code
github.com/Trevillie/MagNet).

Published, for colour images: a denoising auto-encoder of three 3x3 convolutions with sigmoids, trained on
clean images with Gaussian noise of 0.025; an image is flagged if the mean |x - AE(x)| is too large, or the
Jensen-Shannon divergence between the classifier's softened probabilities (temperatures 10 and 40) on x and on
AE(x). Each detector has its own threshold, at a fixed share of clean images; any of them flags.

Here: the auto-encoder learns from clean calibration faces only, by L-BFGS on one set of noisy pieces: a few
hundred faces do not give the tens of thousands of small steps that stacked sigmoids need. The number of
filters, 3 as published or more, is the one with the best AUROC on calibration faces; that is all that
attacked faces are used for. The published activity regulariser of 1e-9 is left out.

There is no classifier behind a generator: one is trained on outputs of clean faces to name the condition, and
the divergence is that of its Bernoulli probabilities on G(x, c) and G(AE(x), c), averaged over the labels.
Where the generator takes no condition there are no class probabilities, and the reconstruction error alone
decides. "Any detector flags" is the largest score, each in units of its clean median and 95% quantile.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import (
    AnyCondition,
    ComponentError,
    DetectorSpec,
    Field,
    FitData,
    Generator,
    Samples,
    hookimpl,
    pack_tensors,
    unpack_tensors,
)
from magdr_core.functional import constant

from ._attributes import ClassifierPlan, build, labelled, labelled_outputs, train_classifier
from ._faces import choosing_faces
from ._networks import SEED, compact, frozen, run, seeded
from ._resnet import ResNet

MAGDR_API = 1

Filters = Annotated[tuple[Annotated[int, Field(ge=3, le=256)], ...], Field(min_length=1)]
Temperatures = tuple[Annotated[float, Field(gt=0)], ...]

TINY = 1e-12

CROP = 32
CROPS = 160
"""The random pieces of clean faces that the auto-encoder is fitted to."""


class AutoEncoder(nn.Module):
    """Images `[B,3,H,W]` in [0,1] -> the same.

    It starts near the identity: centre taps pass every colour on through the middle of the sigmoids. Stacked
    sigmoids that start at random need the tens of thousands of steps that the published data gave.

    Args:
        filters: of the hidden convolutions.
        pooled: the published structure I, with 2x2 average pooling and up-sampling in the middle; else II.
    """

    def __init__(self, filters: int, pooled: bool) -> None:
        super().__init__()
        self.pooled = pooled
        widths = [3, *[filters] * (4 if pooled else 2), 3]
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in pairwise(widths))
        gains = [2.0, *[4.0] * (len(widths) - 3), 10.0]  # a sigmoid's slope is 1/4 in the middle
        for layer, gain in zip(self.layers, gains, strict=True):
            assert isinstance(layer, nn.Conv2d)
            _pass_on(layer, gain)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i, layer in enumerate(self.layers):
            y = torch.sigmoid(layer(y))
            if self.pooled and i == 0:
                y = F.avg_pool2d(y, 2)
            elif self.pooled and i == 2:
                y = F.interpolate(y, size=x.shape[2:], mode="nearest")
        return y


@torch.no_grad()
def _pass_on(layer: nn.Conv2d, gain: float) -> None:
    """Each output takes the inputs of its colour (index modulo 3) with `gain` in all, around 0.5."""
    out, inp = layer.weight.shape[:2]
    same = torch.arange(out)[:, None] % 3 == torch.arange(inp) % 3
    layer.weight *= 0.1
    layer.weight[:, :, 1, 1] += gain * same / same.sum(1, keepdim=True)
    assert layer.bias is not None
    layer.bias.copy_(-layer.weight.sum((1, 2, 3)) / 2)


def train_auto_encoder(
    clean: Samples, net: AutoEncoder, sigma: float, iterations: int, data: FitData
) -> None:
    """Mean squared error of the clean face from a noisy one, on random crops; the noise is drawn once."""
    draw = torch.Generator().manual_seed(SEED)
    images = clean.images
    crops = []
    for face in torch.randint(len(images), (CROPS,), generator=draw).tolist():
        top, left = (int(torch.randint(max(n - CROP, 0) + 1, (1,), generator=draw)) for n in images.shape[2:])
        crops.append(images[face, :, top : top + CROP, left : left + CROP])
    x = torch.stack(crops)
    noisy = (x + sigma * torch.randn(x.shape, generator=draw).to(x.device)).clamp(0, 1)
    # Whole-batch L-BFGS: a few hundred to a few thousand weights, and first-order steps hardly move sigmoids.
    optimiser = torch.optim.LBFGS(
        net.parameters(), max_iter=iterations, max_eval=2 * iterations, history_size=30,
        tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe",
    )  # fmt: skip
    seen = 0

    def closure() -> Tensor:
        nonlocal seen
        seen += 1
        optimiser.zero_grad()
        with torch.enable_grad():
            loss = 1e3 * F.mse_loss(net(noisy), x)
            loss.backward()
        data.progress(min(seen, 2 * iterations), 2 * iterations)
        return loss

    optimiser.step(closure)
    net.eval().requires_grad_(False)


def divergence(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Jensen-Shannon divergence of softened Bernoulli probabilities, averaged over labels.

    Args:
        a, b: logits `[B,A]`.

    Returns:
        `[B]` in nats.
    """
    p, q = torch.sigmoid(a.double() / temperature), torch.sigmoid(b.double() / temperature)
    middle = (p + q) / 2

    def entropy(t: Tensor) -> Tensor:
        return -(torch.xlogy(t, t) + torch.xlogy(1 - t, 1 - t))

    return (entropy(middle) - (entropy(p) + entropy(q)) / 2).mean(1)


class MagNet:
    """Reconstruction error of an auto-encoder, and divergence of what a classifier says before and after.

    The largest of the detectors' scores, `[B]`: 0 at the clean median, 1 at the clean 95% quantile. Two
    generator passes with divergences, none without.

    Args:
        filters: numbers of filters of the auto-encoder that the fit may choose from (3 published).
        pooled: whether the auto-encoder has the published structure I, with pooling in the middle,
            and squared errors; else II.
        sigma: standard deviation of the training noise, in [0,1] units.
        iterations: L-BFGS iterations of the auto-encoder's training.
        temperatures: temperatures that soften the classifier's probabilities, a divergence each; none
            leaves divergence out.
        classifier_width: channels of the classifier's first convolution.
        classifier_epochs: epochs of the classifier's training.
        classifier_outputs: outputs of the generator that the classifier learns from, about.

    Attributes:
        device: where the networks live.
    """

    def __init__(
        self,
        *,
        filters: Filters = (3, 16),
        pooled: bool = False,
        sigma: Annotated[float, Field(ge=0, le=1)] = 0.025,
        iterations: Annotated[int, Field(ge=2, le=1_000_000)] = 300,
        temperatures: Temperatures = (10.0, 40.0),
        classifier_width: Annotated[int, Field(ge=4, le=128)] = 16,
        classifier_epochs: Annotated[int, Field(ge=1, le=1000)] = 6,
        classifier_outputs: Annotated[int, Field(ge=16, le=50_000)] = 1024,
    ) -> None:
        self.filters, self.pooled, self.sigma, self.iterations = filters, pooled, sigma, iterations
        self.temperatures = temperatures
        self.plan = ClassifierPlan(classifier_width, classifier_epochs, classifier_outputs)
        self.device = torch.device("cpu")
        self.auto_encoder: AutoEncoder | None = None
        self.classifier: ResNet | None = None
        self.scale: Mapping[str, Any] = {}

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        """Raises ComponentError before `load`."""
        if self.auto_encoder is None:
            raise ComponentError("magnet is not fitted yet: run `magdr calibrate`")
        raw = self._raw(self.auto_encoder, self.classifier, x, c, G)
        median, upper = (constant(self.scale[k], raw.device, raw.dtype) for k in ("median", "upper"))
        return ((raw - median) / (upper - median)).amax(1).to(x.dtype)

    def _error(self, net: AutoEncoder, x: Tensor, c: AnyCondition) -> Tensor:
        return self._difference(x, run(net, x))

    def _difference(self, x: Tensor, restored: Tensor) -> Tensor:
        difference = (x - restored).abs()
        return (difference.square() if self.pooled else difference).double().flatten(1).mean(1)

    def _raw(
        self, net: AutoEncoder, classifier: ResNet | None, x: Tensor, c: AnyCondition, G: Generator
    ) -> Tensor:
        """Every detector's own number, `[B,D]` float64."""
        restored = run(net, x)
        columns = [self._difference(x, restored)]
        if classifier is not None:
            a, b = run(classifier, G(x, c)), run(classifier, G(restored, c))
            columns += [divergence(a, b, t) for t in self.temperatures]
        return torch.stack(columns, 1)

    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """Learn clean faces; choose the number of filters on attacked ones.

        Raises:
            ValueError: there are no attacked faces to choose on.
        """
        held = choosing_faces(data)
        device = data.clean.images.device
        found = []
        for filters in self.filters:
            net = seeded(partial(AutoEncoder, filters, self.pooled), device)
            train_auto_encoder(data.clean, net, self.sigma, self.iterations, data)
            errors = held.measure(partial(self._error, net), data)
            found.append((held.quality(errors.cpu().numpy()), filters, net))
        _, filters, net = max(found, key=lambda f: f[0])
        classifier, labels = None, 0
        if self.temperatures and labelled(data.clean.conditions):
            images, told = labelled_outputs(data.clean, G, self.plan.outputs, data)
            classifier, labels = train_classifier(images, told, self.plan, data), told.shape[1]
        raw = held.measure(lambda x, c: self._raw(net, classifier, x, c, G), data).cpu().numpy()
        median, upper = np.quantile(raw[~held.attacked], (0.5, 0.95), axis=0)
        return {
            "auto_encoder": pack_tensors(net.state_dict()),
            "filters": filters,
            "classifier": "" if classifier is None else pack_tensors(compact(classifier.state_dict())),
            "labels": labels,
            "size": data.clean.images.shape[-1],
            "median": median.tolist(),
            "upper": np.maximum(upper, median + TINY).tolist(),
            "calibration_auroc": [held.quality(column)[0] for column in raw.T],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        net = seeded(partial(AutoEncoder, state["filters"], self.pooled), self.device)
        self.auto_encoder = frozen(net, unpack_tensors(state["auto_encoder"]))
        self.classifier = None
        if state["classifier"]:
            classifier = build(self.plan, state["labels"], state["size"], self.device)
            self.classifier = frozen(classifier, unpack_tensors(state["classifier"]))
        self.scale = {k: state[k] for k in ("median", "upper")}


@hookimpl
def magdr_detectors() -> list[DetectorSpec]:
    return [
        DetectorSpec(
            name="magnet",
            build=MagNet,
            cite="Meng and Chen, MagNet, CCS 2017 (arXiv 1705.09064)",
            gradient="exact",
        )
    ]
