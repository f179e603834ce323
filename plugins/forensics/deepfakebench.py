"""Classifiers with weights as DeepfakeBench publishes them, on 256-pixel crops normalised by 0.5 and 0.5."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from torch import Tensor, nn

from magdr_core.api import Field, ForensicSpec, Weights, WeightsError, hookimpl, load_state

from ._judge import Judge
from ._published import Meso4, MesoInception4, Xception
from ._trained import trained_on

MAGDR_API = 1

OWNER = "backbone."
"""How all published keys begin."""

SIDE = 256

HALF = (0.5, 0.5, 0.5)

UNUSED = "adjust_channel."
"""Layers that DeepfakeBench saves with every Xception and that this one does not go through."""

DROPPED_OUT, HEAD = "last_linear.1.", "last_linear."
"""The last layer where a dropout stands before it, and where none does."""


def xception(*, weights: Weights = "random", size: Annotated[int, Field(ge=32, le=1024)] = SIDE) -> Judge:
    """Xception, with weights of DeepfakeBench or of the same layout.

    Args:
        weights: weight file as DeepfakeBench publishes it; `random` is an untrained network.
        size: side that pictures are resized to, in pixels.
    """
    return _judge(Xception(), "Xception", weights, ("conv1.weight", "block12.rep.4.conv1.weight"), size)


def meso4(*, weights: Weights = "random") -> Judge:
    """Meso-4, with weights of DeepfakeBench or of the same layout.

    Args:
        weights: weight file as DeepfakeBench publishes it; `random` is an untrained network.
    """
    return _judge(Meso4(), "Meso-4", weights, ("conv4.weight", "fc1.weight", "fc2.weight"))


def meso_inception4(*, weights: Weights = "random") -> Judge:
    """MesoInception-4, with weights of DeepfakeBench or of the same layout.

    Args:
        weights: weight file as DeepfakeBench publishes it; `random` is an untrained network.
    """
    return _judge(MesoInception4(), "MesoInception-4", weights, ("Incption1_conv1.weight", "fc2.weight"))


def _judge(net: nn.Module, name: str, weights: Weights, marks: tuple[str, ...], size: int = SIDE) -> Judge:
    """Args:
    marks: keys without which a checkpoint is of another layout altogether.
    """
    load_state(net, weights, adapt=_published(name, marks))
    judge = Judge(net, name=name, size=size, mean=HALF, std=HALF, output="two-logits")
    judge.trained_on = trained_on(weights)
    return judge.eval()


def _published(name: str, marks: tuple[str, ...]) -> Callable[[dict[str, Tensor]], Mapping[str, Tensor]]:
    """What maps a published state dict to the network's own names.

    Raises:
        WeightsError: (when it is called) the state is of another layout.
    """

    def adapt(state: dict[str, Tensor]) -> Mapping[str, Tensor]:
        found: dict[str, Tensor] = {}
        for key, value in state.items():
            own = key.removeprefix(OWNER)
            if own.startswith(UNUSED):
                continue
            found[own.replace(DROPPED_OUT, HEAD, 1) if own.startswith(DROPPED_OUT) else own] = value
        missing = [mark for mark in marks if mark not in found]
        if missing:
            wanted = ", ".join(OWNER + mark for mark in marks)
            raise WeightsError(
                f"is no {name} as DeepfakeBench publishes it: expected keys such as {wanted}; "
                f"there is no {OWNER}{missing[0]}"
            )
        return found

    return adapt


@hookimpl
def magdr_forensics() -> list[ForensicSpec]:
    meso = "Afchar et al., MesoNet, WIFS 2018 (arXiv 1809.00888); keys as in SCLBD/DeepfakeBench"
    return [
        ForensicSpec(
            name="xception",
            build=xception,
            gradient="exact",
            cite="Chollet, Xception, CVPR 2017 (arXiv 1610.02357); keys as in SCLBD/DeepfakeBench",
        ),
        ForensicSpec(name="meso4", build=meso4, gradient="exact", cite=meso),
        ForensicSpec(name="meso-inception4", build=meso_inception4, gradient="exact", cite=meso),
    ]
