"""StarGAN: face editing by attribute labels (Choi et al., CVPR 2018, arXiv 1711.09020).

The layout and the state-dict keys are those of the public implementation (github.com/yunjey/stargan), so
that its checkpoints load; norms use instance statistics always, as that implementation does in practice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

import torch
from pydantic import AfterValidator
from torch import Tensor, nn

from magdr_core.api import (
    Batch,
    Condition,
    DataError,
    GeneratorSpec,
    SampleRng,
    Weights,
    hookimpl,
    load_state,
)
from magdr_core.functional import PARTS, constant

from ._backbone import STALE_KEYS, Blocks, Size, Width, backbone, head, made_with, stages, with_condition
from ._regions import EditsByCondition

MAGDR_API = 1

HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")

# Which parts an attribute may change: the target region M_c. CelebA's attribute names.
TARGETS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(HAIR_COLOURS, ("hair",)),
    "Bangs": ("hair", "skin"),
    "Bald": ("hair", "skin"),
    "Smiling": ("mouth",),
    "Mouth_Slightly_Open": ("mouth",),
    "Mustache": ("mouth", "skin"),
    "No_Beard": ("mouth", "skin"),
    "Eyeglasses": ("eyes", "brows", "glasses"),
    "Wearing_Hat": ("hat", "hair"),
    "Pale_Skin": ("skin", "nose", "mouth", "eyes", "brows", "ears", "neck"),
    "Young": ("skin", "nose", "mouth", "eyes", "brows", "ears", "neck", "hair"),
    "Male": ("skin", "brows", "eyes", "nose", "mouth", "hair", "neck"),
}


class StarGAN(EditsByCondition):
    """The generator.

    Args:
        attributes: one condition entry each, in the order that the network was trained with.
        width: channels after the first convolution (64 in the published models).
        blocks: residual blocks (6 in the published models).
        size: native side; any multiple of 4 works.
    """

    whole_target = True
    channels = 3
    """Of the last convolution."""

    def __init__(self, attributes: tuple[str, ...], *, width: int, blocks: int, size: int) -> None:
        super().__init__([TARGETS.get(name, PARTS) for name in attributes])
        self.condition_names = attributes
        self.size = size
        layers = backbone(len(attributes), width=width, blocks=blocks)
        self.main = nn.Sequential(*layers, head(width, 3), nn.Tanh())

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        return (self.main(with_condition(x, c, "StarGAN")) + 1) / 2

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Activations of the first two stages and of the last residual block: sides H, H/2 and H/4."""
        return stages(self.main, with_condition(x, c, "StarGAN"))[0]

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        """One edit per image: another hair colour, or one other attribute flipped.

        Each entry that would change something is equally likely; the public code tests one target per entry.
        """
        missing = [name for name in self.condition_names if name not in batch.attributes]
        if missing:
            raise DataError(f"StarGAN needs the attributes {', '.join(missing)}, the dataset lacks them")
        source = torch.stack([batch.attributes[name] for name in self.condition_names], 1)
        hair = constant([name in HAIR_COLOURS for name in self.condition_names], source.device)
        possible = ~(hair & (source > 0.5))
        wish = torch.where(possible, rng.uniform(source.shape[1]), -1.0)
        entry = torch.zeros_like(possible).scatter(1, wish.argmax(1, keepdim=True), True)
        recoloured = (entry & hair).any(1, keepdim=True) & hair  # hair has one colour
        values = torch.where(recoloured, entry.float(), torch.where(entry, 1 - source, source))
        return Condition(values, values != source)

    def classes(self, c: Condition) -> list[Condition]:
        """The public code's test targets of the same faces: each hair colour, each other attribute flipped.

        A face is edited as little as that asks: to its own hair colour, nothing changes.
        """
        source = torch.where(c.changed, 1 - c.values, c.values)
        hair = constant([name in HAIR_COLOURS for name in self.condition_names], source.device)
        found = []
        for i, name in enumerate(self.condition_names):
            entry = torch.arange(source.shape[1], device=source.device) == i
            alone = torch.where(hair, entry.float(), source)  # hair has one colour
            values = alone if name in HAIR_COLOURS else torch.where(entry, 1 - source, source)
            found.append(Condition(values, values != source))
        return found


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is listed twice")
    return names


Attributes = Annotated[tuple[str, ...], AfterValidator(_once)]


_OTHERS = {3: 'It is a StarGAN\'s file: use = "stargan"', 4: 'It is an AGGAN\'s file: use = "aggan"'}
"""By the channels of the last convolution."""

Net = TypeVar("Net", bound=StarGAN)


def loaded(net: Net, weights: str, *, width: int, blocks: int) -> Net:
    """The network with its weights.

    Raises:
        WeightsError: they do not fit; the message says what the file is, or was made with.
    """

    def remedy(state: Mapping[str, Tensor]) -> str:
        told = made_with(state, "main.", len(net.condition_names), width=width, blocks=blocks)
        last = state.get(f"main.{15 + blocks}.weight")
        if told or last is None or len(last) == net.channels:
            return told
        return _OTHERS.get(len(last), "")

    load_state(net, weights, stale=STALE_KEYS, remedy=remedy)
    return net.eval()


def stargan(
    *,
    weights: Weights = "builtin:stargan-faces64",
    attributes: Attributes = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Smiling", "Eyeglasses"),
    width: Width = 32,
    blocks: Blocks = 4,
    size: Size = 64,
) -> StarGAN:
    """Face editing by attribute labels; the default weights edit procedural faces at 64 px.

    Args:
        weights: weight file, in the keys of the public implementation.
        attributes: names of the attributes, one condition entry each, in the order of the training.
        width: channels after the first convolution, as in the weight file (64 in the published
            models).
        blocks: residual blocks, as in the weight file (6 in the published models).
        size: native side of the pictures, in pixels.
    """
    net = StarGAN(attributes, width=width, blocks=blocks, size=size)
    return loaded(net, weights, width=width, blocks=blocks)


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="stargan",
            build=stargan,
            cite="Choi et al., StarGAN, CVPR 2018 (arXiv 1711.09020)",
            tags=("editing",),
        )
    ]
