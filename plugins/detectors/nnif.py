"""NNIF: do an image's most influential training images lie near it? (Cohen, Sapiro, Giryes, CVPR 2020,
arXiv 1909.06872; code github.com/giladcohen/NNIF_adv_defense.)

Published: for a classifier's prediction, the M training images whose presence helps it most and the M that
harm it most, by influence functions; in every layer, their ranks and distances among all training images as
seen from the test image, averaged (four numbers a layer); scaled to [0,1] and weighed by a logistic
regression whose strength is cross-validated. An adversarial image is far from the images that explain its
label.

Here the classifier is a small residual network, trained inside the fit, on what the generator made of clean
faces: it names the condition, or, for generators without one, tells outputs from inputs. These outputs are
also the training images whose influence is measured. Influence is that of the last layer in closed form,
instead of an iterated estimate over all weights: for label a with logit h'w, residual r = p - y and Hessian
H = mean(p (1 - p) h h') + damping, image i changes the loss of t by -r_t r_i h_t' H^-1 h_i when it is given
more weight; labels add up. M is the published sweep's best on calibration faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Annotated, Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegressionCV
from sklearn.preprocessing import MinMaxScaler
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
from magdr_core.functional import batch_size, constant, in_pieces

from ._attributes import ClassifierPlan, build, labelled_outputs, train_classifier
from ._faces import choosing_faces, learning_faces
from ._networks import compact, frozen
from ._resnet import ResNet

MAGDR_API = 1

Sizes = Annotated[tuple[Annotated[int, Field(ge=1, le=5000)], ...], Field(min_length=1)]


class Index:
    """The training images of a classifier, as influence and nearness see them.

    Args:
        net: the classifier.
        layers: per stage of the network, their activations `[N,C]`; the last one feeds the head.
        labels: `[N,A]` in [0,1].
        damping: added to the Hessian's diagonal.
    """

    def __init__(self, net: ResNet, layers: list[Tensor], labels: Tensor, damping: float) -> None:
        self.net, self.layers, self.labels = net, layers, labels
        h = self._with_bias(layers[-1])
        p = self._probabilities(layers[-1])
        eye = damping * torch.eye(h.shape[1], dtype=h.dtype, device=h.device)
        slope = p * (1 - p)
        pulls = []
        for a in range(labels.shape[1]):
            hessian = (h * slope[:, a : a + 1]).T @ h / len(h) + eye
            pulls.append(torch.linalg.solve(hessian, h.T).T * (p - labels)[:, a : a + 1])
        self.pull = torch.cat(pulls, 1)

    @staticmethod
    def _with_bias(h: Tensor) -> Tensor:
        return torch.cat([h, torch.ones_like(h[:, :1])], 1).double()

    def _probabilities(self, h: Tensor) -> Tensor:
        return torch.sigmoid(self.net.logits(h).double())

    def influence(self, h: Tensor) -> Tensor:
        """How much each training image helps the predicted labels of last activations `[B,C]`: `[B,N]`."""
        p = self._probabilities(h)
        residual = p - (p > 0.5).double()
        own = (residual[:, :, None] * self._with_bias(h)[:, None]).flatten(1)
        return own @ self.pull.T

    def characteristics(self, images: Tensor, sizes: tuple[int, ...]) -> Tensor:
        """Images `[B,3,H,W]` -> `[B,len(sizes),4*layers]` float64.

        For each M in `sizes` and each layer: mean rank and mean distance of the M most helpful training
        images, and of the M most harmful.
        """
        return in_pieces(lambda i: self._characteristics(images[i], sizes), images)

    def _characteristics(self, images: Tensor, sizes: tuple[int, ...]) -> Tensor:
        seen = self.net.activations(images)
        order = self.influence(seen[-1]).argsort(dim=1, descending=True, stable=True)
        columns = []
        for own, others in zip(seen, self.layers, strict=True):
            distance = (own[:, None] - others).square().sum(2).sqrt().double()
            rank = distance.argsort(dim=1, stable=True).argsort(dim=1).double()
            for values in (rank, distance):
                sorted_values = values.gather(1, order)
                helpful = torch.stack([sorted_values[:, :m].mean(1) for m in sizes], 1)
                harmful = torch.stack([sorted_values[:, -m:].mean(1) for m in sizes], 1)
                columns += [helpful, harmful]
        return torch.stack(columns, 2)


class NNIF:
    """Nearness of the training images that influence a label most; `noise`, `edits`: such count as clean.

    Log odds of an attack on the generator's output, `[B]`; one generator pass.

    Args:
        width: channels of the classifier's first convolution.
        epochs: epochs of the classifier's training.
        index_size: outputs of the generator that the classifier learns from and neighbours are looked
            for in, about.
        neighbours: numbers of influential training outputs that the fit may choose from.
        damping: what is added to the diagonal of the loss's Hessian, so that it can be inverted.
        leave_out: labels of calibration attacks that the fit must not see; they are held-out ones
            then.
        noise: whether random sign noise, as strong as each attack, is taught as harmless.
        edits: whether the calibration's `benign` edits are taught as harmless.

    Attributes:
        device: where the classifier and its training images live.
    """

    def __init__(
        self,
        *,
        width: Annotated[int, Field(ge=4, le=128)] = 16,
        epochs: Annotated[int, Field(ge=1, le=1000)] = 6,
        index_size: Annotated[int, Field(ge=16, le=50_000)] = 1024,
        neighbours: Sizes = (10, 20, 50, 100, 200),
        damping: Annotated[float, Field(gt=0)] = 1e-3,
        leave_out: tuple[str, ...] = (),
        noise: bool = False,
        edits: bool = False,
    ) -> None:
        self.plan = ClassifierPlan(width, epochs, index_size)
        self.neighbours, self.damping = neighbours, damping
        self.leave_out, self.noise, self.edits = leave_out, noise, edits
        self.device = torch.device("cpu")
        self.index: Index | None = None
        self.regression: Mapping[str, Any] = {}

    def __call__(self, x: Tensor, c: AnyCondition, G: Generator) -> Tensor:
        """Raises ComponentError before `load`."""
        if self.index is None:
            raise ComponentError("nnif is not fitted yet: run `magdr calibrate`")
        features = self.index.characteristics(G(x, c), (self.regression["neighbours"],))[:, 0]
        return log_odds(self.regression, features).to(x.dtype)

    def fit(self, data: FitData, G: Generator) -> Mapping[str, Any]:
        """Train the classifier on clean calibration faces; then learn from the train split's faces.

        Raises:
            ValueError: nothing is left to learn from, or the clean faces are too few.
        """
        faces = learning_faces(data, self.leave_out, noise=self.noise, edits=self.edits)
        held = choosing_faces(data, self.leave_out, noise=self.noise, edits=self.edits)
        images, labels = labelled_outputs(data.clean, G, self.plan.outputs, data)
        sizes = tuple(m for m in self.neighbours if 2 * m <= len(images))
        if not sizes:
            raise ValueError(f"{len(images)} outputs are too few for {min(self.neighbours)} neighbours")
        net = train_classifier(images, labels, self.plan, data)
        together = batch_size(images.shape, "learn", images.device)
        with torch.no_grad():
            seen = [net.activations(part) for part in images.split(together)]
            layers = [torch.cat(parts) for parts in zip(*seen, strict=True)]
            index = Index(net, layers, labels, self.damping)
            own, other = (
                f.measure(lambda x, c: index.characteristics(G(x, c), sizes), data).cpu().numpy()
                for f in (faces, held)
            )
        found = []
        for i, m in enumerate(sizes):
            state = fit_regression(own[:, i], faces.attacked)
            quality = held.quality(log_odds(state, torch.from_numpy(other[:, i])).numpy())
            found.append((quality, {**state, "neighbours": m}))
        quality, regression = max(found, key=lambda f: f[0])
        kept = {f"layer.{i}": layer for i, layer in enumerate(layers)}
        kept |= {"labels": labels, **{f"net.{k}": v for k, v in compact(net.state_dict()).items()}}
        return {
            "tensors": pack_tensors(kept),
            "size": images.shape[-1],
            "regression": regression,
            "calibration_auroc": quality[0],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        tensors = {k: v.to(self.device) for k, v in unpack_tensors(state["tensors"]).items()}
        layers = [v for k, v in sorted(tensors.items()) if k.startswith("layer.")]
        labels = tensors["labels"]
        net = build(self.plan, labels.shape[1], state["size"], self.device)
        frozen(net, {k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")})
        with torch.no_grad():
            self.index = Index(net, layers, labels, self.damping)
        self.regression = state["regression"]


DEFAULTS: dict[str, Any] = (
    {"l1_ratios": (0.0,), "use_legacy_attributes": False}
    if "use_legacy_attributes" in signature(LogisticRegressionCV).parameters
    else {}
)
"""No L1 penalty, and plain attributes: what scikit-learn 1.8 and 1.9 want to be told, since their defaults
are about to become it. Earlier versions have no such setting."""


def fit_regression(features: np.ndarray, attacked: np.ndarray) -> dict[str, Any]:
    """Scale features `[n,F]` to [0,1] and fit a balanced logistic regression with cross-validated strength.

    Returns:
        JSON-able numbers for `log_odds`.
    """
    scaler = MinMaxScaler().fit(features)
    regression = LogisticRegressionCV(
        cv=3, max_iter=20_000, class_weight="balanced", scoring="roc_auc", random_state=0, **DEFAULTS
    )
    regression.fit(scaler.transform(features), attacked)
    return {
        "scale": scaler.scale_.tolist(),
        "shift": scaler.min_.tolist(),
        "weights": regression.coef_[0].tolist(),
        "bias": float(regression.intercept_[0]),
    }


def log_odds(state: Mapping[str, Any], features: Tensor) -> Tensor:
    """The regression's decision function of features `[B,F]` float64, `[B]`."""
    scale, shift, weights = (
        constant(state[k], features.device, features.dtype) for k in ("scale", "shift", "weights")
    )
    return ((features * scale + shift) * weights).sum(1) + state["bias"]


@hookimpl
def magdr_detectors() -> list[DetectorSpec]:
    return [
        DetectorSpec(
            name="nnif",
            build=NNIF,
            cite="Cohen, Sapiro, Giryes, NNIF, CVPR 2020 (arXiv 1909.06872)",
            supervised=True,
        )
    ]
