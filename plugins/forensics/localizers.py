"""Models that say where a face is forged: U-Nets, what they are told of the face, and recovery alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magdr_core.api import ForensicSpec, Need, Weights, hookimpl, load_state

from ._face_mask import FaceMask
from ._recovery import RecoveryNet
from ._segmenter import FaceBox, Recovered, Segmenter
from ._trained import trained_on
from .classifiers import Width

MAGDR_API = 1

PARSER: Mapping[str, Need] = {"parser": Need("parser")}


def segmenter(*, weights: Weights = "random", width: Width = 16) -> Segmenter:
    """A U-Net on the picture and its high-pass, with a head for the picture's verdict.

    Args:
        weights: weight file; `random` is an untrained network, which core teaches.
        width: channels of the first level, as in the weight file; twice and three times as many
            follow.
    """
    return _loaded(Segmenter(width=width), weights)


def segmenter_box(*, parser: Any, weights: Weights = "random", width: Width = 16) -> Segmenter:
    """The same, told by a parser where the face is: the control of whatever is told so.

    Args:
        parser: face parser that tells where the face is.
        weights: weight file; `random` is an untrained network, which core teaches.
        width: channels of the first level, as in the weight file; twice and three times as many
            follow.
    """
    return _loaded(Segmenter(width=width, guide=FaceBox(parser)), weights)


def recovery(*, parser: Any, weights: Weights = "random", width: Width = 16) -> RecoveryNet:
    """How badly masked parts of the face are recovered, in units of what was expected; saw no forgery.

    Args:
        parser: face parser that tells which parts to mask.
        weights: weight file; `random` is an untrained network.
        width: channels of the first level, as in the weight file.
    """
    net = RecoveryNet(width=width, parser=parser)
    load_state(net, weights)
    net.trained_on = trained_on(weights)
    return net.eval()


def delocate(
    *, parser: Any, weights: Weights = "random", recovery: Weights = "random", width: Width = 16
) -> Segmenter:
    """After Delocate: a U-Net on the picture, the face as it was recovered, and the difference.

    Args:
        parser: face parser that tells which parts to mask.
        weights: weight file of the U-Net; `random` is an untrained network, which core teaches.
        recovery: weight file of the recovery network; `random` is an untrained one.
        width: channels of the first level of both networks, as in the weight files.
    """
    net = RecoveryNet(width=width)
    load_state(net, recovery)
    guide = Recovered(parser, net.eval().requires_grad_(False))
    return _loaded(Segmenter(width=width, guide=guide), weights)


def _loaded(net: Segmenter, weights: Any) -> Segmenter:
    load_state(net, weights)
    net.trained_on = trained_on(weights)
    return net.eval()


@hookimpl
def magdr_forensics() -> list[ForensicSpec]:
    delocated = "Hu et al., Delocate, IJCAI 2024 (no code was published)"
    return [
        ForensicSpec(name="segmenter", build=segmenter, gradient="exact"),
        ForensicSpec(name="segmenter-box", build=segmenter_box, needs=PARSER),
        ForensicSpec(name="recovery", build=recovery, needs=PARSER, cite=delocated),
        ForensicSpec(name="delocate", build=delocate, needs=PARSER, cite=delocated),
        ForensicSpec(name="face-mask", build=FaceMask, needs=PARSER, tags=("control",)),
    ]
