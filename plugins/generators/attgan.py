"""AttGAN: face editing by attribute labels (He et al., TIP 2019, arXiv 1711.10678).

The layout and the state-dict keys are those of github.com/elvisyjlin/AttGAN-PyTorch, so that its
`weights.EPOCH.pth` load, with the `D` and the optimisers that may be beside `G` in them. Norms are batch
norms and use their running statistics always.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import (
    Batch,
    Condition,
    DataError,
    Field,
    GeneratorSpec,
    SampleRng,
    WeightsFile,
    hookimpl,
    load_state,
)
from magdr_core.functional import PARTS

from ._layers import RunningNorm2d
from ._regions import EditsByCondition
from .stargan import HAIR_COLOURS, Attributes
from .stargan import TARGETS as STARGAN_TARGETS

MAGDR_API = 1

TARGETS = {**STARGAN_TARGETS, "Bushy_Eyebrows": ("brows",)}

EXCLUSIVE: tuple[frozenset[str], ...] = (
    frozenset(HAIR_COLOURS),
    frozenset(("Straight_Hair", "Wavy_Hair")),
    frozenset(("Mustache", "No_Beard")),
    frozenset(("Bald", "Bangs")),
    frozenset(("Receding_Hairline", "Bangs")),
)
"""Attributes of which one that is switched on switches the others off."""

LAYERS = 5
"""Convolutions, each of which halves the side."""

OTHERS, EDITED = 0.5, 1.0
"""The network's number for an attribute that shall stay as it is, and for the one that is edited; negative
for absent ones."""

WITHIN = ("G",)


class Stage(nn.Module):
    """A (transposed) 4x4 convolution that halves (doubles) the side, a norm and an activation."""

    def __init__(self, conv: nn.Module, *more: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv, *more)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class AttGAN(EditsByCondition):
    """The generator: an encoder, and a decoder that is told the attributes.

    Args:
        attributes: one condition entry each, in the order that the network was trained with.
        width: channels after the first convolution (64 in the published models).
        shortcut: decoder stages that also see the encoder's (1 in the published models).
        inject: decoder stages, besides the first, that also see the attributes (0 or 1).
        size: native side; any multiple of 32 works.
    """

    whole_target = True

    def __init__(
        self, attributes: tuple[str, ...], *, width: int, shortcut: int, inject: int, size: int
    ) -> None:
        super().__init__([TARGETS.get(name, PARTS) for name in attributes])
        self.condition_names = attributes
        self.size, self.shortcut, self.inject = size, shortcut, inject
        widths = [3, *(width * 2**i for i in range(LAYERS))]
        self.enc_layers = nn.ModuleList(
            Stage(
                nn.Conv2d(before, after, 4, 2, 1, bias=False),
                RunningNorm2d(after),
                nn.LeakyReLU(),  # of slope .01, as published; the TensorFlow original has .2
            )
            for before, after in pairwise(widths)
        )
        stages, channels = [], widths[-1] + len(attributes)
        for i in range(LAYERS - 1):
            after = width * 2 ** (LAYERS - 1 - i)
            up = nn.ConvTranspose2d(channels, after, 4, 2, 1, bias=False)
            stages.append(Stage(up, RunningNorm2d(after), nn.ReLU()))
            channels = after + (after // 2) * (i < shortcut) + len(attributes) * (i < inject)
        stages.append(Stage(nn.ConvTranspose2d(channels, 3, 4, 2, 1), nn.Tanh()))
        self.dec_layers = nn.ModuleList(stages)
        exclusive = torch.zeros(len(attributes), len(attributes), dtype=torch.bool)
        for i, one in enumerate(attributes):
            for j, other in enumerate(attributes):
                exclusive[i, j] = one != other and any({one, other} <= group for group in EXCLUSIVE)
        self.register_buffer("exclusive", exclusive, persistent=False)

    def told(self, c: Condition) -> Tensor:
        """The vector that enters the network, `[B,C]`: 1 or -1 for what is edited, else .5 or -.5.

        An attribute that another one excludes which is switched on counts as absent, and as not edited.
        """
        switched_on = c.changed & (c.values > 0.5)
        out = (switched_on[:, :, None] & self._exclusive()).any(1) & ~switched_on
        sign = 2 * torch.where(out, 0.0, c.values) - 1
        return sign * torch.where(c.changed & ~out, EDITED, OTHERS)

    def _exclusive(self) -> Tensor:
        exclusive = self.exclusive
        assert isinstance(exclusive, Tensor)
        return exclusive

    def encode(self, x: Tensor) -> list[Tensor]:
        """Activations of all stages, of sides H/2 to H/32, of images `[B,3,H,W]` in [0,1]."""
        if x.shape[2] % 2**LAYERS or x.shape[3] % 2**LAYERS:
            raise DataError(f"AttGAN takes sides that are multiples of 32, got {tuple(x.shape[2:])}")
        kept, y = [], 2 * x - 1
        for stage in self.enc_layers:
            y = stage(y)
            kept.append(y)
        return kept

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        kept = self.encode(x)
        a = self.told(c)[:, :, None, None]

        def with_attributes(y: Tensor) -> Tensor:
            return torch.cat([y, a.expand(-1, -1, *y.shape[2:])], 1)

        y = with_attributes(kept[-1])
        for i, stage in enumerate(self.dec_layers):
            y = stage(y)
            if i < self.shortcut:
                y = torch.cat([y, kept[LAYERS - 2 - i]], 1)
            if i < self.inject:
                y = with_attributes(y)
        return (y + 1) / 2

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Activations of the encoder's stages: sides H/2 to H/32."""
        return self.encode(x)

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        """One attribute flipped per image, each equally likely; one that is switched on switches off those
        that exclude it."""
        missing = [name for name in self.condition_names if name not in batch.attributes]
        if missing:
            raise DataError(f"AttGAN needs the attributes {', '.join(missing)}, the dataset lacks them")
        source = torch.stack([batch.attributes[name] for name in self.condition_names], 1)
        entry = rng.uniform(source.shape[1]).argmax(1)
        return self._flipped(source, F.one_hot(entry, source.shape[1]).bool())

    def classes(self, c: Condition) -> list[Condition]:
        """The public code's test targets of the same faces: each attribute flipped."""
        source = torch.where(c.changed, 1 - c.values, c.values)
        every = torch.eye(source.shape[1], dtype=torch.bool, device=source.device)
        return [self._flipped(source, entry.expand_as(c.changed)) for entry in every]

    def _flipped(self, source: Tensor, entry: Tensor) -> Condition:
        values = torch.where(entry, 1 - source, source)
        out = ((entry & (values > 0.5))[:, :, None] & self._exclusive()).any(1)
        values = torch.where(out, 0.0, values)
        return Condition(values, values != source)


def made_with(state: Mapping[str, Tensor], *, attributes: int, width: int, shortcut: int, inject: int) -> str:
    """What a state dict that does not fit was made with, for the message: the parameters to write.

    Args:
        attributes, width, shortcut, inject: of the network that it does not fit.

    Returns:
        A sentence without its full stop; empty if that cannot be told, or is the same.
    """
    if "enc_layers.0.layers.0.weight" not in state:
        return "It is of another network: is it the discriminator's file?"
    first = state["enc_layers.0.layers.0.weight"].shape[0]
    told = state["dec_layers.0.layers.0.weight"].shape[0] - first * 2 ** (LAYERS - 1)
    shortcuts = injections = 0
    for i in range(LAYERS - 1):
        after = first * 2 ** (LAYERS - 1 - i)
        more = state[f"dec_layers.{i + 1}.layers.0.weight"].shape[0] - after
        shortcuts += more in (after // 2, after // 2 + told)
        injections += more in (told, after // 2 + told)
    found = {"width": first, "shortcut": shortcuts, "inject": injections}
    given = {"width": width, "shortcut": shortcut, "inject": inject}
    wanted = [f"{name} = {value}" for name, value in found.items() if value != given[name]]
    if told != attributes:
        wanted.append(f"{told} attributes in place of {attributes}")
    return f"The file was made with {', '.join(wanted)}" if wanted else ""


def attgan(
    *,
    weights: Annotated[str, WeightsFile(within=WITHIN)] = "random",
    attributes: Attributes = (
        *("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Eyeglasses", "Male"),
        *("Mouth_Slightly_Open", "Mustache", "No_Beard", "Pale_Skin", "Young"),
    ),
    width: Annotated[int, Field(ge=4, le=64)] = 64,
    shortcut: Annotated[int, Field(ge=0, le=4)] = 1,
    inject: Annotated[int, Field(ge=0, le=4)] = 0,
    size: Annotated[int, Field(ge=32, le=1024, multiple_of=32)] = 256,
) -> AttGAN:
    """Face editing by thirteen attribute labels, told of all of them; the published layout.

    Args:
        weights: weight file, in the keys of the public implementation, plain or in an entry `G`.
        attributes: names of the attributes, one condition entry each, in the order of the training.
        width: channels after the first convolution, as in the weight file (64 in the published models).
        shortcut: decoder stages that also see the encoder's, as in the weight file (1 in published ones).
        inject: decoder stages, besides the first, that also see the attributes, as in the weight file.
        size: native side of the pictures, in pixels.
    """
    net = AttGAN(attributes, width=width, shortcut=shortcut, inject=inject, size=size)
    made = {"attributes": len(attributes), "width": width, "shortcut": shortcut, "inject": inject}
    load_state(net, weights, within=WITHIN, remedy=lambda state: made_with(state, **made))
    return net.eval()


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="attgan",
            build=attgan,
            cite="He et al., AttGAN, IEEE TIP 2019 (arXiv 1711.10678)",
            tags=("editing",),
        )
    ]
