"""Blocks and blur of JPEG, without a reference (Wang, Sheikh and Bovik, ICIP 2002)."""

from __future__ import annotations

from torch import Tensor

from acme_quality.kinds.quality import QualitySpec
from magdr_core.api import DataError, hookimpl, stateless
from magdr_core.functional import luma

MAGDR_API = 1

BLOCK = 8
LEAST = 1e-3
"""Of each feature: a flat picture has none of them, and the powers below would be infinite."""

ALPHA, BETA = -245.8909, 261.9373
GAMMAS = (-0.02398886, 0.01601664, 0.00642859)
"""As published: of blockiness, activity and zero crossings."""


def jpeg_quality(x: Tensor) -> Tensor:
    """About 1 (blocks everywhere) to 10. [B,3,H,W] in [0,1], at least 16 pixels a side -> [B].

    Raises:
        DataError: a smaller picture, which has no boundary between blocks that are whole.
    """
    if min(x.shape[2:]) < 2 * BLOCK:
        raise DataError(f"pictures of {x.shape[3]}x{x.shape[2]} pixels have no blocks; 16 a side are needed")
    y = 255 * luma(x)[:, 0].double()
    across, down = features(y), features(y.mT)
    blocks, activity, crossings = (((a + b) / 2).clamp_min(LEAST) for a, b in zip(across, down, strict=True))
    b, a, z = GAMMAS
    return (ALPHA + BETA * blocks**b * activity**a * crossings**z).to(x.dtype)


def features(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Steps at the boundaries of blocks, steps elsewhere, rate of zero crossings. [B,H,W] -> [B] each."""
    d = y.diff(dim=2)
    last = BLOCK * (y.shape[2] // BLOCK - 1)
    blocks = d[:, :, BLOCK - 1 : last : BLOCK].abs().mean((1, 2))
    activity = (BLOCK * d.abs().mean((1, 2)) - blocks) / (BLOCK - 1)
    signs = d.sign()
    crossings = (signs[:, :, :-1] * signs[:, :, 1:] < 0).to(y.dtype).mean((1, 2))
    return blocks, activity, crossings


@hookimpl
def magdr_qualities() -> list[QualitySpec]:
    return [
        QualitySpec(
            name="jpeg-quality",
            build=stateless(jpeg_quality),
            cite="Wang, Sheikh, Bovik, No-reference perceptual quality assessment of JPEG, ICIP 2002",
        )
    ]
