"""GANimation: facial reenactment by action units (Pumarola et al., ECCV 2018, IJCV 2019; arXiv 1807.09251).

The layout and the state-dict keys are those of the authors' implementation
(github.com/albertpumarola/GANimation). Checkpoints of the copy by vipermu, which the public disruption code
attacks, load too: it names the heads otherwise and stores parts of the backbone several times. Norms use
instance statistics always.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from magdr_core.api import (
    Batch,
    Condition,
    DataError,
    GeneratorSpec,
    SampleRng,
    Weights,
    WeightsError,
    hookimpl,
    load_state,
)
from magdr_core.functional import clamp_inclusive

from ._backbone import STALE_KEYS, Blocks, Size, Width, backbone, head, made_with, stages, with_condition
from ._expressions import ACTION_UNITS, draw_expression
from ._regions import EditsByCondition

MAGDR_API = 1

# Which parts an action unit may change: the target region M_c.
TARGETS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("AU01", "AU02", "AU04"), ("brows", "skin")),
    **dict.fromkeys(("AU05", "AU06", "AU07", "AU45"), ("eyes", "skin")),
    "AU09": ("nose", "skin"),
    **dict.fromkeys(
        ("AU10", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26"), ("mouth", "skin")
    ),
}

CHANGED = 0.05
"""An action unit that is set this far from what the picture shows is changed (5 is OpenFace's full scale,
1 is ours)."""

_RENAMED = {"im_reg.": "img_reg.", "im_att.": "attetion_reg."}


class GANimation(EditsByCondition):
    """The generator: the backbone of StarGAN with a colour head and an attention head.

    Args:
        width: channels after the first convolution (64 in the published models).
        blocks: residual blocks (6 in the published models).
        size: native side; any multiple of 4 works.
        saturate: steepen the attention mask as the authors' test code can.
    """

    condition_names = ACTION_UNITS

    def __init__(self, *, width: int, blocks: int, size: int, saturate: bool) -> None:
        super().__init__([TARGETS[name] for name in ACTION_UNITS])
        self.size = size
        self.saturate = saturate
        self.main = nn.Sequential(*backbone(len(ACTION_UNITS), width=width, blocks=blocks))
        self.img_reg = nn.Sequential(head(width, 3), nn.Tanh())
        self.attetion_reg = nn.Sequential(head(width, 1), nn.Sigmoid())  # as its authors spell it

    def _heads(self, y: Tensor) -> tuple[Tensor, Tensor]:
        attention = self.attetion_reg(y)
        if self.saturate:
            attention = clamp_inclusive(0.55 * torch.tanh(3 * (attention - 0.5)) + 0.5)
        return (self.img_reg(y) + 1) / 2, attention

    def heads(self, x: Tensor, c: Condition) -> tuple[Tensor, Tensor]:
        """(colour image `[B,3,H,W]` in [0,1], attention mask `[B,1,H,W]` in [0,1]).

        Where the attention is 1, the output is the input's pixel; where it is 0, the colour image's.
        """
        return self._heads(self.main(with_condition(x, c, "GANimation")))

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        colour, attention = self.heads(x, c)
        return attention * x + (1 - attention) * colour

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Activations of the first two stages and of the last residual block (sides H, H/2 and H/4), then
        what the heads say: the colour image `[B,3,H,W]` and the attention mask `[B,1,H,W]`, both in [0,1]."""
        kept, y = stages(self.main, with_condition(x, c, "GANimation"))
        return [*kept, *self._heads(y)]

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        """Another expression per image: the mouth always moves, brows and eyes often.

        Where the dataset does not know the action units of its pictures, they count as neutral faces.
        """
        source = batch.action_units
        if source is None:
            source = torch.zeros(len(batch), len(ACTION_UNITS), device=batch.images.device)
        if source.shape[1] != len(ACTION_UNITS):
            raise DataError(f"GANimation takes 17 action units, the dataset has {source.shape[1]}")
        values = draw_expression(source, rng)
        return Condition(values, (values - source).abs() > CHANGED)


def published(state: dict[str, Tensor]) -> Mapping[str, Tensor]:
    """The state dict of the vipermu copy, in the authors' names.

    Its `debug1` to `debug4` hold the first layers of `main` once more (the modules were shared, so the
    tensors are the same) and are dropped. Whatever is unknown is kept, for the loader to complain about.

    Raises:
        WeightsError: a `debug` tensor is not the one of `main`: nobody can tell which was meant.
    """
    result = {}
    for key, value in state.items():
        copied = re.sub(r"^debug[1-4]\.", "main.", key)
        if copied != key and copied in state:
            if not torch.equal(value, state[copied]):
                raise WeightsError(f"{key} differs from {copied}, of which it should be a copy")
            continue
        for theirs, ours in _RENAMED.items():
            if key.startswith(theirs) and key.replace(theirs, ours) not in state:
                key = key.replace(theirs, ours)
        result[key] = value
    return result


def ganimation(
    *,
    weights: Weights = "builtin:ganimation-faces64",
    width: Width = 32,
    blocks: Blocks = 4,
    size: Size = 64,
    saturate: bool = False,
) -> GANimation:
    """Facial reenactment by 17 action units; the default weights animate procedural faces at 64 px.

    Args:
        weights: weight file, in the keys of the authors' implementation or of vipermu's copy.
        width: channels after the first convolution, as in the weight file (64 in the published
            models).
        blocks: residual blocks, as in the weight file (6 in the published models).
        size: native side of the pictures, in pixels.
        saturate: whether the attention mask is made steeper, as the authors' test code can.
    """
    net = GANimation(width=width, blocks=blocks, size=size, saturate=saturate)
    count = len(ACTION_UNITS)
    load_state(
        net,
        weights,
        stale=STALE_KEYS,
        adapt=published,
        remedy=lambda state: made_with(state, "main.", count, width=width, blocks=blocks),
    )
    return net.eval()


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="ganimation",
            build=ganimation,
            cite="Pumarola et al., GANimation, ECCV 2018 (arXiv 1807.09251)",
            tags=("reenactment",),
        )
    ]
