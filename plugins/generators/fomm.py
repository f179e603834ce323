"""The First Order Motion Model: a picture moved as another one shows (Siarohin et al., NeurIPS 2019, arXiv
2003.00196).

The layout and the state-dict keys are those of github.com/AliaksandrSiarohin/first-order-model, so that its
`vox-cpk.pth.tar` loads; of the networks in it the generator and the keypoint detector are used. The
generator's images are source pictures, whose face is animated; the condition's code is what the driving
picture says: its keypoints, or how they have moved.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from magdr_core.api import (
    Batch,
    CodedCondition,
    Condition,
    DataError,
    Dataset,
    Field,
    GeneratorSpec,
    Need,
    SampleRng,
    Split,
    WeightsFile,
    code_of,
    hookimpl,
    load_state,
)
from magdr_core.functional import PARTS, resize

from ._donors import Donors, others
from ._fomm import HALVINGS, Jacobians, KeypointDetector, WarpingGenerator
from ._keypoints import moved, movement
from ._regions import Unconditional

MAGDR_API = 1

GENERATOR = ("generator",)
DETECTOR = ("kp_detector",)
"""The entries of the published files."""

Motion = Literal["absolute", "relative"]


class FOMM(Unconditional):
    """The generator; the whole picture may change.

    Args:
        donors: split of driving pictures that a benchmark draws from; None if it draws none.
        motion: `absolute`, the picture's keypoints go where the driving picture's are; `relative`, they move
            as the driver has moved since the driver's first picture.
        width: channels after the first convolution (64 in the published models); the detector has half.
        blocks: residual blocks (6 in the published models).
        depth: halvings of both hourglasses (5 in the published models).
        keypoints: their number K (10 in the published models).
        reduced: factor by which pictures are made smaller for both hourglasses (4 at 256 px).
        jacobians: of the keypoints: for `each` one, a `single` map of them, or `none`.
        occlusion: whether features are weighed by what is to be seen of them.
        align_corners: whether -1 and 1 are the centres of the outermost pixels where pictures are sampled.
        size: native side.
    """

    needs_source = True

    def __init__(
        self,
        donors: Split | None,
        *,
        motion: Motion,
        width: int,
        blocks: int,
        depth: int,
        keypoints: int,
        reduced: int,
        jacobians: Jacobians,
        occlusion: bool,
        align_corners: bool,
        size: int,
    ) -> None:
        super().__init__(PARTS)
        self.size, self.motion, self.donors = size, motion, donors
        self.shape = (keypoints, 2 if jacobians == "none" else 6)
        self.multiple = multiple_of(depth, reduced)
        self.kp_detector = KeypointDetector(
            keypoints, width=width // 2, depth=depth, reduced=reduced, jacobians=jacobians
        )
        self.generator = WarpingGenerator(
            keypoints,
            width=width,
            blocks=blocks,
            depth=depth,
            reduced=reduced,
            occlusion=occlusion,
            align_corners=align_corners,
        )

    def keypoints(self, x: Tensor) -> Tensor:
        """Of pictures `[B,3,H,W]` in [0,1]: `[B,K,6]`, or `[B,K,2]` without Jacobians.

        Raises:
            DataError: sides that the hourglasses cannot halve.
        """
        if any(side % self.multiple for side in x.shape[2:]):
            raise DataError(
                f"FOMM takes sides that are multiples of {self.multiple}, got {tuple(x.shape[2:])}"
            )
        found: Tensor = self.kp_detector(x)
        return found

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        told = code_of(c)
        if told is None:
            raise DataError("FOMM is not told how to move: give a driving picture (--source FILE)")
        if told.shape[1:] != self.shape:
            raise DataError(f"FOMM is told {self.shape} numbers of keypoints, got {tuple(told.shape[1:])}")
        own, told = self.keypoints(x), told.to(x)
        animated: Tensor = self.generator(x, moved(own, told) if self.motion == "relative" else told, own)
        return animated

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Activations before the warp: sides H, H/2 and H/4."""
        return self.generator.encoded(x)

    def with_source(self, c: Condition, source: Tensor) -> Condition:
        """The keypoints of driving pictures `[B,3,h,w]` in [0,1]; where motion is relative, how they have
        moved since the first picture of the donors."""
        told = self._shown(source)
        if self.motion == "relative":
            assert self.donors is not None
            told = movement(self._shown(Donors(self.donors).pictures([0], source.device)), told)
        return CodedCondition(c.values, c.changed, c.oracle_masks, told)

    @torch.no_grad()
    def _shown(self, driving: Tensor) -> Tensor:
        """Keypoints of driving pictures at the native side, each by itself: the same in any batch."""
        side = (self.size, self.size)
        alone = [one[None] if one.shape[1:] == side else resize(one[None], side) for one in driving]
        return torch.cat([self.keypoints(one) for one in alone])

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        """The keypoints of another person of the donors for each picture, or how these have moved since that
        person's first picture."""
        donors, found = others(self.donors, batch, rng, network="FOMM", use="pictures to follow")
        device = batch.images.device
        if self.motion == "absolute":
            told = self._shown(donors.pictures(found, device))
        else:
            pairs = [donors.first_and_later(i) for i in found]
            if None in pairs:
                raise DataError('FOMM with motion = "relative" needs several pictures of each donor')
            firsts, laters = ([pair[k] for pair in pairs if pair is not None] for k in (0, 1))
            told = movement(
                self._shown(donors.pictures(firsts, device)), self._shown(donors.pictures(laters, device))
            )
        nothing = batch.images.new_zeros(len(batch), 0)
        return CodedCondition(nothing, nothing.bool(), None, told)


def multiple_of(depth: int, reduced: int) -> int:
    """What sides are multiples of: all halvings come out even, and a heat map has two places a side, of which
    7x7 convolutions without a border take six."""
    multiple = math.lcm(reduced * 2**depth, 2**HALVINGS)
    return multiple * math.ceil(8 * reduced / multiple)


_DOWN = re.compile(r"(?:dense_motion_network\.hourglass|predictor)\.encoder\.down_blocks\.\d+\.conv\.weight")
_BLOCK = re.compile(r"bottleneck\.r\d+\.conv1\.weight")


def made_with(state: Mapping[str, Tensor], part: str, **given: object) -> str:
    """What a state dict that does not fit was made with, for the message: the parameters to write.

    Args:
        part: the entry that it should be.
    """
    holds = "generator" if "first.conv.weight" in state else "kp_detector" if "kp.weight" in state else None
    if holds is None:
        return "It is of another network: is it the discriminator's?"
    if holds != part:
        return f"It is the {holds} alone: name the checkpoint that holds {part} as well"
    found: dict[str, object] = {"depth": sum(_DOWN.fullmatch(key) is not None for key in state)}
    if holds == "generator":
        down = state.get("dense_motion_network.down.weight")
        found |= {
            "width": state["first.conv.weight"].shape[0],
            "blocks": sum(_BLOCK.fullmatch(key) is not None for key in state),
            "keypoints": state["dense_motion_network.mask.weight"].shape[0] - 1,
            "occlusion": "dense_motion_network.occlusion.weight" in state,
        }
    else:
        down = state.get("down.weight")
        maps = state["jacobian.weight"].shape[0] // 4 if "jacobian.weight" in state else 0
        found |= {
            "width": state["predictor.encoder.down_blocks.0.conv.weight"].shape[0],
            "keypoints": state["kp.weight"].shape[0],
            "jacobians": "none" if not maps else "single" if maps == 1 else "each",
        }
    # A Gaussian of 4 (factor - 1) + 1 pixels.
    found["reduced"] = 1 if down is None else (down.shape[-1] + 3) // 4
    wanted = [f"{k} = {_toml(v)}" for k, v in found.items() if v != given[k]]
    return f"The file was made with {', '.join(wanted)}" if wanted else ""


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def fomm(
    donor: Dataset | None = None,
    *,
    weights: Annotated[str, WeightsFile(within=GENERATOR)] = "random",
    motion: Motion = "absolute",
    donor_split: str = "train",
    width: Annotated[int, Field(ge=4, le=256, multiple_of=2)] = 64,
    blocks: Annotated[int, Field(ge=1, le=16)] = 6,
    depth: Annotated[int, Field(ge=1, le=8)] = 5,
    keypoints: Annotated[int, Field(ge=1, le=68)] = 10,
    reduced: Annotated[int, Field(ge=1, le=16)] = 4,
    jacobians: Jacobians = "each",
    occlusion: bool = True,
    align_corners: bool = True,
    size: Annotated[int, Field(ge=16, le=1024, multiple_of=4)] = 256,
) -> FOMM:
    """The face of a picture moved as a driving picture shows; the published layout at 256 px.

    Args:
        donor: dataset that a benchmark takes driving pictures from.
        weights: weight file, in the entries `generator` and `kp_detector` of the public implementation.
        motion: `absolute` moves keypoints to where the driving picture's are; `relative` as they have moved
            there since the driver's first picture in the donor (with `--source`: the donor's first one).
        donor_split: split of the donor that driving pictures are taken from.
        width: channels after the first convolution, as in the weight file (64 in the published models);
            the keypoint detector has half of them.
        blocks: residual blocks, as in the weight file (6 in the published models).
        depth: halvings in each hourglass, as in the weight file (5 in the published models).
        keypoints: number of keypoints, as in the weight file (10 in the published models).
        reduced: factor by which pictures are made smaller before keypoints and motion are estimated, as
            in the weight file (4 in the published models at 256 px).
        jacobians: `each` keypoint has a map of Jacobians of its own, all have a `single` one (mgif), or
            `none` is learned; as in the weight file.
        occlusion: whether the weight file has a map of what is hidden (the published models have).
        align_corners: how pictures are sampled: true as torch 1.0 did, with which the published models were
            trained; false as their code does with torch since 1.3. Nothing in a file tells which.
        size: native side of the pictures, in pixels.
    """
    if motion == "relative" and donor is None:
        raise ValueError('motion = "relative" needs a donor, with whose first picture it begins')
    multiple = multiple_of(depth, reduced)
    if size % multiple:
        raise ValueError(
            f"size = {size} is no multiple of {multiple}, which depth = {depth} and reduced = {reduced} need"
        )
    made: dict[str, Any] = {"width": width, "blocks": blocks, "depth": depth, "keypoints": keypoints}
    made |= {"reduced": reduced, "jacobians": jacobians, "occlusion": occlusion}
    donors = None if donor is None else donor.split(donor_split)
    net = FOMM(donors, motion=motion, align_corners=align_corners, size=size, **made)
    for part, within in ((net.generator, GENERATOR), (net.kp_detector, DETECTOR)):
        hint = partial(made_with, part=within[0], **made)
        load_state(part, weights, within=within, remedy=hint)
    return net.eval()


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="fomm",
            build=fomm,
            cite="Siarohin et al., First Order Motion Model, NeurIPS 2019 (arXiv 2003.00196)",
            tags=("reenactment",),
            needs={"donor": Need("dataset", optional=True)},
        )
    ]
