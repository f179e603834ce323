"""HiSD: editing by tags, whose styles are drawn or taken from another picture (Li et al., CVPR 2021, arXiv
2103.01456).

The layout and the state-dict keys are those of github.com/imlixinyang/HiSD, so that its
`checkpoint_256_celeba-hq.pt` and `gen_ITERATION.pt` load; of the two networks in them the moving average
(`gen_test`) is used, as its authors do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import AfterValidator
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import (
    Batch,
    CodedCondition,
    Condition,
    DataError,
    Field,
    GeneratorSpec,
    SampleRng,
    WeightsFile,
    code_of,
    hookimpl,
    load_state,
)
from magdr_core.functional import PARTS, clamp_inclusive

from ._backbone import Size
from ._hisd import Down, Extractors, Mapper, Translator, Up
from ._regions import EditsByCondition

MAGDR_API = 1

WITHIN = ("gen_test", "gen")

TARGETS: dict[str, tuple[str, ...]] = {
    "Bangs": ("hair", "skin"),
    "Eyeglasses": ("eyes", "brows", "glasses"),
    "HairColor": ("hair",),
    "Smiling": ("mouth",),
}
"""By tag the parts that it may change; all parts where a tag is not listed."""

SHOWN: dict[str, tuple[str, float]] = {
    "Bangs_with": ("Bangs", 1.0),
    "Bangs_without": ("Bangs", 0.0),
    "Eyeglasses_with": ("Eyeglasses", 1.0),
    "Eyeglasses_without": ("Eyeglasses", 0.0),
    **{f"HairColor_{c.lower()}": (f"{c}_Hair", 1.0) for c in ("Black", "Blond", "Brown")},
}
"""By condition the attribute of CelebA, and its value, that make it no edit."""


def tag_of(name: str) -> str:
    """The tag of a condition's name: `HairColor` of `HairColor_black`."""
    return name.rpartition("_")[0]


class HiSD(EditsByCondition):
    """The generator. An entry of the condition counts where it is changed and not 0; a tag without any is
    left as it is. Its styles `[B,T,S]` are the condition's code; without a code they are mapped from one
    fixed draw of noise, the same for every picture.

    Args:
        attributes: one condition entry each, `TAG_ATTRIBUTE`; those of a tag follow each other, in the order
            of the configuration that the network was trained with.
        width: channels after the first convolution (64 in the published models).
        layers: blocks of a translator (7 in the published models).
        extractor: channels of the extractor.
        style: length of a style.
        noise: numbers that a style is mapped from.
        size: native side; any multiple of 4 works.
    """

    additive = True

    def __init__(
        self,
        attributes: tuple[str, ...],
        *,
        width: int,
        layers: int,
        extractor: tuple[int, ...],
        style: int,
        noise: int,
        size: int,
    ) -> None:
        super().__init__([TARGETS.get(tag_of(name), PARTS) for name in attributes])
        self.condition_names = attributes
        self.size, self.noise = size, noise
        tags = list(dict.fromkeys(tag_of(name) for name in attributes))
        self.groups = [[i for i, name in enumerate(attributes) if tag_of(name) == tag] for tag in tags]
        widths = [width, 2 * width, 4 * width]
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 1), *(Down(before, after, norms=True) for before, after in pairwise(widths))
        )
        self.decoder = nn.Sequential(
            *(Up(before, after) for before, after in pairwise(widths[::-1])), nn.Conv2d(width, 3, 1)
        )
        self.extractors = Extractors(extractor, len(tags), style)
        self.translators = nn.ModuleList(Translator(4 * width, width, layers, style) for _ in tags)
        self.mappers = nn.ModuleList(Mapper(noise, style, style, len(group)) for group in self.groups)
        fixed = SampleRng(0, "style", ("hisd",)).normal(noise)
        self.register_buffer("fixed", fixed, persistent=False)

    def _check(self, x: Tensor) -> None:
        if x.shape[2] % 4 or x.shape[3] % 4:
            raise DataError(f"HiSD takes sides that are multiples of 4, got {tuple(x.shape[2:])}")

    def mapped(self, z: Tensor, asked: Tensor) -> Tensor:
        """The styles of what is asked for, from noise.

        Args:
            z: `[B,Z]`.
            asked: bool `[B,C]`, the entries that are to be made; the first of each tag counts.

        Returns:
            `[B,T,S]`, one for each tag.
        """
        styles = []
        for group, mapper in zip(self.groups, self.mappers, strict=True):
            first = asked[:, group].int().argmax(1)
            styles.append(mapper(z)[torch.arange(len(z), device=z.device), first])
        return torch.stack(styles, 1)

    def extracted(self, pictures: Tensor) -> Tensor:
        """The styles that pictures `[B,3,H,W]` in [0,1] show, `[B,T,S]`."""
        found: Tensor = self.extractors(2 * pictures - 1)
        return found

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        self._check(x)
        e = self.encoder(2 * x - 1)
        asked = c.changed & (c.values > 0.5)
        styles = code_of(c)
        if styles is None:
            fixed = self.fixed
            assert isinstance(fixed, Tensor)
            styles = self.mapped(fixed.to(x).expand(len(x), -1), asked)
        for t, (group, translator) in enumerate(zip(self.groups, self.translators, strict=True)):
            wanted = asked[:, group].any(1)
            if bool(wanted.any()):
                e = torch.where(wanted[:, None, None, None], translator(e, styles[:, t]), e)
        return clamp_inclusive((self.decoder(e) + 1) / 2)

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Activations of the encoder: sides H, H/2 and H/4."""
        self._check(x)
        kept, y = [], 2 * x - 1
        for layer in self.encoder:
            y = layer(y)
            kept.append(y)
        return kept

    def asked(self, c: Condition) -> Tensor:
        """Bool `[B,C]`: what is to be there that was not."""
        return c.changed & (c.values > 0.5)

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        """One attribute per image that it does not show already, each equally likely, in a style of its own.

        What is not known of a picture counts as not shown.
        """
        wish = rng.uniform(len(self.condition_names))
        for i, name in enumerate(self.condition_names):
            attribute, value = SHOWN.get(name, ("", 0.0))
            if attribute in batch.attributes:
                wish[:, i] -= (batch.attributes[attribute] == value).float()
        asked = F.one_hot(wish.argmax(1), wish.shape[1]).bool()
        styles = self.mapped(rng.normal(self.noise), asked)
        return CodedCondition(asked.float(), asked, code=styles)

    def with_source(self, c: Condition, source: Tensor) -> Condition:
        """The same edits in the styles that pictures `[B,3,H,W]` in [0,1] show."""
        return CodedCondition(c.values, c.changed, c.oracle_masks, self.extracted(source))

    def classes(self, c: Condition) -> list[Condition]:
        """Each attribute alone, in the fixed style, for the same faces."""
        found = []
        for i in range(len(self.condition_names)):
            asked = torch.zeros_like(c.changed)
            asked[:, i] = True
            found.append(type(c)(asked.float(), asked))
        return found


def _tagged(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or not all(tag_of(name) and name[-1] != "_" for name in names):
        raise ValueError("names are TAG_ATTRIBUTE, such as HairColor_black")
    if len(set(names)) < len(names):
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is listed twice")
    tags = [tag for i, name in enumerate(names) if (tag := tag_of(name)) != (i and tag_of(names[i - 1]))]
    if len(set(tags)) < len(tags):
        raise ValueError("attributes of one tag must follow each other")
    return names


_POST = re.compile(r"mappers\.(\d+)\.post_models\.(\d+)\.2\.weight")
_EXTRACTOR = re.compile(r"extractors\.model\.(\d+)\.conv2\.weight")
_LAYER = re.compile(r"translators\.0\.model\.\d+\.conv1\.weight")


def made_with(state: Mapping[str, Tensor], net: HiSD, **given: object) -> str:
    """What a state dict that does not fit was made with, for the message: the parameters to write."""
    if "encoder.0.weight" not in state:
        return "It is of another network: is it the discriminator's?"
    found: dict[str, object] = {
        "width": state["encoder.0.weight"].shape[0],
        "layers": sum(_LAYER.fullmatch(key) is not None for key in state),
        "style": state["mappers.0.post_models.0.2.weight"].shape[0],
        "noise": state["mappers.0.pre_model.0.weight"].shape[1],
        "extractor": (
            state["extractors.model.0.weight"].shape[0],
            *(state[key].shape[0] for key in sorted(filter(_EXTRACTOR.fullmatch, state), key=_place)),
        ),
    }
    wanted = [f"{k} = {list(v) if isinstance(v, tuple) else v}" for k, v in found.items() if v != given[k]]
    tags: dict[str, int] = {}
    for key in state:
        if match := _POST.fullmatch(key):
            tags[match[1]] = tags.get(match[1], 0) + 1
    counts = [tags[tag] for tag in sorted(tags, key=int)]
    if counts != [len(group) for group in net.groups]:
        wanted.append(f"tags of {', '.join(map(str, counts))} attributes")
    return f"The file was made with {'; '.join(wanted)}" if wanted else ""


def _place(key: str) -> int:
    return int(key.split(".")[2])


def hisd(
    *,
    weights: Annotated[str, WeightsFile(within=WITHIN)] = "random",
    attributes: Annotated[tuple[str, ...], AfterValidator(_tagged)] = (
        *("Bangs_with", "Bangs_without", "Eyeglasses_with", "Eyeglasses_without"),
        *("HairColor_black", "HairColor_blond", "HairColor_brown"),
    ),
    width: Annotated[int, Field(ge=4, le=256)] = 64,
    layers: Annotated[int, Field(ge=1, le=16)] = 7,
    extractor: Annotated[tuple[int, ...], Field(min_length=2, max_length=9)] = (
        *(32, 64, 128, 256),
        *(512, 512, 512),
    ),
    style: Annotated[int, Field(ge=4, le=1024)] = 256,
    noise: Annotated[int, Field(ge=1, le=1024)] = 32,
    size: Size = 256,
) -> HiSD:
    """Face editing by tags, in a drawn style or in another picture's; the published layout at 256 px.

    Args:
        weights: weight file, in the keys of the public implementation, plain or in an entry `gen_test`.
        attributes: names of the conditions, `TAG_ATTRIBUTE`; those of one tag follow each other, in the order
            of the configuration of the training.
        width: channels after the first convolution, as in the weight file (64 in the published models).
        layers: blocks of a translator, as in the weight file (7 in the published models).
        extractor: channels of the network that takes styles from pictures, as in the weight file.
        style: numbers of a style, as in the weight file (256 in the published models).
        noise: numbers that a style is made of where none is taken from a picture, as in the weight file.
        size: native side of the pictures, in pixels.
    """
    made = {"width": width, "layers": layers, "extractor": extractor, "style": style, "noise": noise}
    net = HiSD(
        attributes, width=width, layers=layers, extractor=extractor, style=style, noise=noise, size=size
    )
    load_state(net, weights, within=WITHIN, remedy=lambda state: made_with(state, net, **made))
    return net.eval()


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="hisd",
            build=hisd,
            cite="Li et al., HiSD, CVPR 2021 (arXiv 2103.01456)",
            tags=("editing",),
        )
    ]
