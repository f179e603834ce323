"""Channels that store a picture as a lossy file: JPEG and WebP, by the codecs of Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from PIL import features
from torch import Tensor

from magdr_core.api import ChannelSpec, DataError, Field, SampleRng, hookimpl, stateless

from ._files import coded, each, jpeg_gradient

MAGDR_API = 1

Quality = Annotated[int, Field(ge=1, le=100)]
Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]

DF_RAP = {
    **{71: 0.0132, 72: 0.0268, 75: 0.0127, 78: 0.0573, 79: 0.0156, 80: 0.2213, 84: 0.0107, 85: 0.2193},
    **{86: 0.0110, 88: 0.0107, 89: 0.0120, 90: 0.0120, 91: 0.0171, 92: 0.2272, 100: 0.1331},
}
"""The JPEG qualities, with their shares, by which DF-RAP (Qu et al., TIFS 2024; ZOMIN28/DF_RAP, qf.txt) makes
its attack robust: what was found on pictures that social networks had transmitted in about 2023."""


def jpeg(
    x: Tensor,
    *,
    quality: Quality = 75,
    subsampling: Subsampling = "4:2:0",
    offset: Annotated[int, Field(ge=0, le=7)] = 0,
) -> Tensor:
    """A JPEG file of libjpeg, and read again. `[B,3,H,W]` -> same.

    Args:
        quality: as libjpeg counts it, 1 to 100.
        subsampling: how much of chroma is kept: at 4:2:0 it has half the resolution, at 4:4:4 all of it.
        offset: rows and columns by which the picture lies off the grid of 8x8 blocks, as after a crop: a
            second JPEG on the grid of the first one takes little more away.
    """
    return each(x, lambda p, _: coded(p, "JPEG", offset, quality=quality, subsampling=subsampling))


def soft_jpeg(x: Tensor, *, quality: int, subsampling: Subsampling, offset: int) -> Tensor:
    """The same by core's JPEG, whose roundings let gradients pass. `[B,3,H,W]` -> same."""
    return jpeg_gradient(x, quality, subsampling, offset)


def jpeg_mix(
    x: Tensor,
    *,
    rng: SampleRng,
    qualities: Annotated[Sequence[Quality], Field(min_length=1)] = tuple(DF_RAP),
    shares: Sequence[Annotated[float, Field(gt=0)]] = tuple(DF_RAP.values()),
    subsampling: Subsampling = "4:2:0",
) -> Tensor:
    """A JPEG file whose quality is drawn for each picture. `[B,3,H,W]` -> same.

    Args:
        qualities: those that are drawn from, as libjpeg counts them.
        shares: how often each is drawn, in any unit; all alike where the list is empty.
        subsampling: how much of chroma is kept: at 4:2:0 it has half the resolution, at 4:4:4 all of it.

    Raises:
        DataError: there are more or fewer shares than qualities.
    """
    chosen = _drawn(qualities, shares, rng)
    return each(x, lambda p, i: coded(p, "JPEG", quality=chosen[i], subsampling=subsampling))


def soft_jpeg_mix(
    x: Tensor, *, rng: SampleRng, qualities: Sequence[int], shares: Sequence[float], subsampling: Subsampling
) -> Tensor:
    """The same by core's JPEG, whose roundings let gradients pass. `[B,3,H,W]` -> same."""
    chosen = _drawn(qualities, shares, rng)
    parts = [jpeg_gradient(x[i : i + 1], quality, subsampling) for i, quality in enumerate(chosen)]
    return torch.cat(parts) if parts else x


def _drawn(qualities: Sequence[int], shares: Sequence[float], rng: SampleRng) -> list[int]:
    """Each picture's quality. Raises DataError if there are more or fewer shares than qualities."""
    weights = list(shares) or [1.0] * len(qualities)
    if len(weights) != len(qualities):
        raise DataError(
            f"shares has {len(weights)} entries, qualities {len(qualities)}; one for each, or none"
        )
    edges = torch.tensor(weights, dtype=torch.float64).cumsum(0)
    drawn = rng.uniform(1)[:, 0].double().cpu() * edges[-1]
    places = torch.searchsorted(edges, drawn, right=True).clamp_max(len(weights) - 1).tolist()
    return [qualities[place] for place in places]


def webp(x: Tensor, *, quality: Quality = 80) -> Tensor:
    """A lossy WebP file of libwebp (4:2:0, method 4), and read again. `[B,3,H,W]` -> same.

    Args:
        quality: as libwebp counts it, up to 100.

    Raises:
        DataError: this Pillow was built without WebP.
    """
    if not features.check("webp"):
        raise DataError("this installation of Pillow cannot write WebP: pip install --force-reinstall pillow")
    return each(x, lambda p, _: coded(p, "WEBP", quality=quality, method=4))


@hookimpl
def magdr_channels() -> list[ChannelSpec]:
    tags = ("codec",)
    return [
        ChannelSpec(name="jpeg", build=stateless(jpeg, soft=soft_jpeg), tags=tags, device="cpu"),
        ChannelSpec(
            name="jpeg-mix",
            build=stateless(jpeg_mix, soft=soft_jpeg_mix),
            cite="Qu et al., IEEE TIFS 2024 (DF-RAP), for the default qualities",
            tags=tags,
            device="cpu",
            stochastic=True,
        ),
        ChannelSpec(name="webp", build=stateless(webp), tags=tags, device="cpu"),
    ]
