"""SimSwap: the face of one picture with the identity of another (Chen et al., ACM MM 2020, arXiv 2106.06340).

The layout and the state-dict keys are those of github.com/neuralchen/SimSwap, so that its `latest_net_G.pth`
and `550000_net_G.pth` load. Batch norms use their running statistics always. Whose identity is put in, is the
condition's code: what an identity encoder says of a source face.

Who protects a picture of himself with a cloak is on the other side: his picture is the source, and the face
goes into somebody else's picture. With `protects = "source"` the generator's images are source faces, through
the encoder, and the condition's code is the picture that they are put into.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import (
    Batch,
    CodedCondition,
    Condition,
    DataError,
    Dataset,
    Field,
    GeneratorSpec,
    IdentityEncoder,
    Need,
    SampleRng,
    Split,
    Weights,
    code_of,
    hookimpl,
    load_state,
)
from magdr_core.functional import by_row, clamp_inclusive, constant, resize

from ._donors import others
from ._layers import RunningNorm2d
from ._regions import Unconditional

MAGDR_API = 1

TARGET = ("skin", "brows", "eyes", "glasses", "nose", "mouth")
"""The target region M_c: the face, without ears, hair, neck, cloth, background and hat."""

EPS = 1e-8
"""Added to the variance of a block's instance norm."""

# ImageNet's channel statistics: of the inputs and outputs of networks trained since 2022.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

Form = Literal["224", "512", "deep"]
Convention = Literal["old", "fix"]
Protects = Literal["target", "source"]


class Styled(nn.Module):
    """What an identity makes of a normalised map: a scale and a shift of each channel."""

    def __init__(self, dimension: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dimension, 2 * width)

    def forward(self, y: Tensor, identity: Tensor) -> Tensor:
        scale, shift = by_row(self.linear, identity)[:, :, None, None].chunk(2, 1)
        centred = y - y.mean((2, 3), keepdim=True)
        normalised = centred * torch.rsqrt(centred.square().mean((2, 3), keepdim=True) + EPS)
        return normalised * (1 + scale) + shift


class Block(nn.Module):
    """Two 3x3 convolutions with reflected borders, each styled; and the identity (of the map)."""

    def __init__(self, width: int, dimension: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3))
        self.style1 = Styled(dimension, width)
        self.conv2 = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3))
        self.style2 = Styled(dimension, width)

    def forward(self, x: Tensor, identity: Tensor) -> Tensor:
        y = F.relu(self.style1(self.conv1(x), identity))
        return x + self.style2(self.conv2(y), identity)


def _layer(conv: nn.Module, width: int, before: nn.Module | None = None) -> nn.Sequential:
    """A convolution, a norm and a ReLU, after something else or not."""
    layers = [conv, RunningNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*(layers if before is None else [before, *layers]))


def _up(before: int, after: int) -> nn.Sequential:
    twice = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return _layer(nn.Conv2d(before, after, 3, padding=1), after, twice)


class SimSwap(Unconditional):
    """The generator.

    Args:
        encoder: tells who is shown on a source face.
        donors: of the source faces that a benchmark draws; None if it draws none.
        form: `224`; `512`, which halves once more, beginning with half the channels; `deep`, which halves
            once more at the end.
        convention: `old`, of the released models: inputs as they are and a tanh at the end; `fix`, of those
            trained since 2022: inputs and outputs normalised by ImageNet's statistics.
        width: channels of the middle (512 in the published models), 8 times those at the beginning.
        blocks: in the middle (9 in the published models).
        protects: what the images are, pictures that a face is put into or the faces that are put in.
        size: native side.

    Attributes:
        objective: what disrupting it means: that no swap happens, or, where the image is the source, that
            another face is put in.
    """

    needs_source = True

    def __init__(
        self,
        encoder: IdentityEncoder,
        donors: Split | None,
        *,
        form: Form,
        convention: Convention,
        width: int,
        blocks: int,
        size: int,
        protects: Protects = "target",
    ) -> None:
        super().__init__(TARGET)
        self.size, self.convention, self.protects = size, convention, protects
        self.objective = "towards-input" if protects == "target" else "untargeted"
        self.encoder, self.donors = encoder, donors
        numbers = {"224": (1, 2, 3), "512": (0, 1, 2, 3), "deep": (1, 2, 3, 4)}[form]
        widths = [width // 2 ** (3 - n) for n in (1, 2, 3)]
        self.widths = {1: (width // 8, widths[0]), 2: (widths[0], widths[1]), 3: (widths[1], width)}
        self.widths |= {0: (width // 16, width // 8), 4: (width, width)}
        first = self.widths[numbers[0]][0]
        self.multiple = 2 ** len(numbers)
        self.numbers = numbers
        self.first_layer = _layer(nn.Conv2d(3, first, 7), first, nn.ReflectionPad2d(3))
        for n in numbers:
            before, after = self.widths[n]
            self.add_module(f"down{n}", _layer(nn.Conv2d(before, after, 3, 2, 1), after))
            self.add_module(f"up{n}", _up(after, before))
        self.BottleNeck = nn.ModuleList(Block(width, encoder.dimension) for _ in range(blocks))
        self.last_layer = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(first, 3, 7))

    def _encoded(self, x: Tensor) -> list[Tensor]:
        if any(side % self.multiple or side < 2 * self.multiple for side in x.shape[2:]):
            raise DataError(
                f"SimSwap takes sides that are multiples of {self.multiple} from {2 * self.multiple} on, got "
                f"{tuple(x.shape[2:])}"
            )
        if self.convention == "fix":
            mean, std = (constant(list(v), x.device).to(x)[:, None, None] for v in (MEAN, STD))
            x = (x - mean) / std
        kept = [self.first_layer(x)]
        for n in self.numbers:
            kept.append(self.get_submodule(f"down{n}")(kept[-1]))
        return kept

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        code = code_of(c)
        if self.protects == "source":
            target, identity = self._shown(x, code), self.encoder(x)
        elif code is None:
            raise DataError("SimSwap is not told whose face to put in: give a source picture (--source FILE)")
        else:
            target, identity = x, code
        y = self._encoded(target)[-1]
        for block in self.BottleNeck:
            y = block(y, identity.to(x))
        for n in reversed(self.numbers):
            y = self.get_submodule(f"up{n}")(y)
        y = self.last_layer(y)
        if self.convention == "old":
            return (torch.tanh(y) + 1) / 2
        mean, std = (constant(list(v), x.device).to(x)[:, None, None] for v in (MEAN, STD))
        return clamp_inclusive(y * std + mean)

    def _shown(self, x: Tensor, code: Tensor | None) -> Tensor:
        """The pictures that faces `[B,3,H,W]` are put into, of their size."""
        if code is None:
            raise DataError(
                "SimSwap is not told what to put the face into: give the other picture (--source FILE)"
            )
        if code.ndim != 4:
            raise DataError('SimSwap with protects = "source" is told pictures, not identities')
        shown = code.to(x)
        return shown if shown.shape[2:] == x.shape[2:] else resize(shown, (x.shape[2], x.shape[3]))

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Activations of the encoder: sides H, H/2, H/4, ...; of source faces their identity, `[B,D,1,1]`."""
        if self.protects == "source":
            identity: Tensor = self.encoder(x)
            return [identity[:, :, None, None]]
        return self._encoded(x)

    def with_source(self, c: Condition, source: Tensor) -> Condition:
        """The identities of source faces `[B,3,h,w]` in [0,1], to be put in; where the images are themselves
        source faces, the pictures that these are to be put into, at the native side."""
        if self.protects == "source":
            own = torch.cat([resize(one[None], (self.size, self.size)) for one in source])
            return CodedCondition(c.values, c.changed, c.oracle_masks, own)
        return CodedCondition(c.values, c.changed, c.oracle_masks, self.encoder(source))

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        """The identity of another person of the donors for each picture, or a picture of such a person."""
        donors, found = others(self.donors, batch, rng, network="SimSwap", use="faces to put in")
        nothing = batch.images.new_zeros(len(batch), 0)
        faces = donors.pictures(found, batch.images.device)
        return self.with_source(Condition(nothing, nothing.bool()), faces)


_BLOCK = re.compile(r"BottleNeck\.\d+\.conv1\.1\.weight")


def made_with(state: Mapping[str, Tensor], *, form: Form, width: int, blocks: int) -> str:
    """What a state dict that does not fit was made with, for the message: the parameters to write."""
    if "down3.0.weight" not in state or not any(map(_BLOCK.fullmatch, state)):
        return "It is of another network: is it the discriminator's file?"
    numbers = {key.split(".")[0] for key in state}
    found = {
        "form": '"512"' if "down0" in numbers else '"deep"' if "down4" in numbers else '"224"',
        "width": str(state["down3.0.weight"].shape[0]),
        "blocks": str(sum(_BLOCK.fullmatch(key) is not None for key in state)),
    }
    given = {"form": f'"{form}"', "width": str(width), "blocks": str(blocks)}
    wanted = [f"{name} = {value}" for name, value in found.items() if value != given[name]]
    return f"The file was made with {', '.join(wanted)}" if wanted else ""


def simswap(
    encoder: IdentityEncoder,
    donor: Dataset | None = None,
    *,
    weights: Weights = "random",
    form: Form = "224",
    convention: Convention = "old",
    donor_split: str = "train",
    width: Annotated[int, Field(ge=16, le=1024, multiple_of=16)] = 512,
    blocks: Annotated[int, Field(ge=1, le=16)] = 9,
    size: Annotated[int, Field(ge=32, le=1024, multiple_of=16)] = 224,
    protects: Protects = "target",
) -> SimSwap:
    """The identity of a source face in the pictures' faces; the published layouts.

    Args:
        encoder: identity encoder that tells who is shown on the source.
        donor: dataset that a benchmark takes source faces from, or what these are put into.
        weights: weight file, in the keys of the public implementation.
        form: layout of the weight file: of 224 pixels, of 512, or one stage deeper.
        convention: `old` as the released models: pictures as they are, a tanh at the end; `fix` as the code
            since 2022 trains: ImageNet's statistics before and after. Nothing in a file tells which.
        donor_split: split of the donor that source faces are taken from.
        width: channels in the middle, as in the weight file (512 in the published models).
        blocks: blocks in the middle, as in the weight file (9 in the published models).
        size: native side of the pictures, in pixels.
        protects: what the pictures are: the `target` that a face is put into, as in its authors' work, or
            the `source` whose face it is, which a cloak protects.
    """
    donors = None if donor is None else donor.split(donor_split)
    net = SimSwap(
        encoder,
        donors,
        form=form,
        convention=convention,
        width=width,
        blocks=blocks,
        size=size,
        protects=protects,
    )
    made = {"form": form, "width": width, "blocks": blocks}
    load_state(net, weights, remedy=lambda state: made_with(state, **made))  # type: ignore[arg-type]
    return net.eval()


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="simswap",
            build=simswap,
            cite="Chen et al., SimSwap, ACM MM 2020 (arXiv 2106.06340)",
            tags=("replacement",),
            objective="towards-input",  # the swap does not happen
            needs={
                "encoder": Need("identity_encoder"),
                "donor": Need("dataset", optional=True),
            },
        )
    ]
