"""Models that say where a face is forged: U-Nets, what they are told of the face, and recovery alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from magdr_core.api import ForensicSpec, Need, Weights, hookimpl, load_state

from ._face_mask import FaceMask
from ._recovery import Parser, Recovery, RecoveryNet
from ._recovery_transformer import RecoveryTransformer
from ._segmenter import FaceBox, MappingSegmenter, Recovered, Segmenter
from ._trained import trained_on
from .classifiers import Width

MAGDR_API = 1

Form = Literal["convolutional", "transformer"]
"""Of the network that recovers: a U-Net, or a masked auto-encoder of patches."""

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


def recovery(
    *, parser: Any, weights: Weights = "random", width: Width = 16, form: Form = "convolutional"
) -> Recovery:
    """How badly masked parts of the face are recovered, in units of what was expected; saw no forgery.

    Args:
        parser: face parser that tells which parts to mask.
        weights: weight file; `random` is an untrained network.
        width: channels of the first level, or numbers in a transformer's token, as in the weight file.
        form: layout of the network: a U-Net, or a masked auto-encoder of patches.

    Raises:
        ValueError: a transformer whose width is no multiple of 16.
    """
    net = _recovering(form, width, parser)
    load_state(net, weights)
    net.trained_on = trained_on(weights)
    return net.eval()


def delocate(
    *,
    parser: Any,
    weights: Weights = "random",
    recovery: Weights = "random",
    width: Width = 16,
    form: Form = "convolutional",
    recovery_width: Width = 16,
    mapping: bool = False,
) -> Segmenter:
    """After Delocate: a U-Net on the picture, the face as it was recovered, and the difference.

    With `mapping` it also looks at how the picture differs from what it maps to the recovered face.

    Args:
        parser: face parser that tells which parts to mask.
        weights: weight file of the U-Net; `random` is an untrained network, which core teaches.
        recovery: weight file of the recovery network; `random` is an untrained one.
        width: channels of the U-Net's first level, as in the weight file.
        form: layout of the network that recovers: a U-Net, or a masked auto-encoder of patches.
        recovery_width: channels of its first level, or numbers in a transformer's token.
        mapping: also map the picture to its recovered face, and look at where the two differ.

    Raises:
        ValueError: a transformer that recovers, whose width is no multiple of 16.
    """
    net = _recovering(form, recovery_width, None)
    load_state(net, recovery)
    guide = Recovered(parser, net.eval().requires_grad_(False))
    return _loaded((MappingSegmenter if mapping else Segmenter)(width=width, guide=guide), weights)


def _recovering(form: Form, width: int, parser: Parser | None) -> Recovery:
    if form == "convolutional":
        return RecoveryNet(width=width, parser=parser)
    if width % 16:
        raise ValueError(f"a transformer's width is a multiple of 16, got {width}")
    return RecoveryTransformer(width=width, parser=parser)


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
