"""Classifiers of forged faces: a plain network and one on frequency bands."""

from __future__ import annotations

from typing import Annotated

from magdr_core.api import Field, ForensicSpec, Weights, hookimpl, load_state

from ._networks import FrequencyNet, Norm, PlainNet
from ._trained import trained_on

MAGDR_API = 1

Width = Annotated[int, Field(ge=4, le=256, multiple_of=4)]


def plain(*, weights: Weights = "random", width: Width = 16, norm: Norm = "group") -> PlainNet:
    """A plain convolutional classifier on the picture and its high-pass.

    Args:
        weights: weight file; `random` is an untrained network, which core teaches.
        width: channels of the first convolution, as in the weight file.
        norm: group norms, or instance norms (a group per channel).
    """
    net = PlainNet(width=width, norm=norm)
    load_state(net, weights)
    net.trained_on = trained_on(weights)
    return net.eval()


def frequency(
    *,
    weights: Weights = "random",
    width: Width = 16,
    size: Annotated[int, Field(ge=16, le=512)] = 64,
    norm: Norm = "group",
) -> FrequencyNet:
    """A classifier on four learned bands of the picture's cosine transform.

    Args:
        weights: weight file; `random` is an untrained network, which core teaches.
        width: channels of the first convolution, as in the weight file.
        size: side of the learned frequency masks, in pixels; pictures of another side are weighted by
            interpolated ones.
        norm: group norms, or instance norms (a group per channel).
    """
    net = FrequencyNet(width=width, size=size, norm=norm)
    load_state(net, weights)
    net.trained_on = trained_on(weights)
    return net.eval()


@hookimpl
def magdr_forensics() -> list[ForensicSpec]:
    return [
        ForensicSpec(name="plain", build=plain, gradient="exact"),
        ForensicSpec(
            name="frequency",
            build=frequency,
            gradient="exact",
            cite="Qian et al., Thinking in Frequency, ECCV 2020",
        ),
    ]
