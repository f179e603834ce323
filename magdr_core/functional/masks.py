"""Soft face masks: the 19 parser classes, the 12 parts MagDR looks at, and means inside a mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from magdr_core.functional._common import check_images, mean_per_image
from magdr_core.functional.cache_blocked import in_cache

#: The parser's classes in the order of the public BiSeNet (zllrunning/face-parsing.PyTorch). The official
#: CelebAMask-HQ order is another one; do not mix them.
CLASSES = (
    "background",
    "skin",
    "l_brow",
    "r_brow",
    "l_eye",
    "r_eye",
    "eye_g",
    "l_ear",
    "r_ear",
    "ear_r",
    "nose",
    "mouth",
    "u_lip",
    "l_lip",
    "neck",
    "neck_l",
    "cloth",
    "hair",
    "hat",
)

# Part and the number of classes it takes, in the order of CLASSES: every part is a run of neighbours, so the
# parts cover all classes exactly once and merged masks still sum to 1.
_PART_SIZES = {
    "background": 1,
    "skin": 1,
    "brows": 2,
    "eyes": 2,
    "glasses": 1,
    "ears": 3,  # and earrings
    "nose": 1,
    "mouth": 3,  # inner mouth and both lips
    "neck": 2,  # and necklace
    "cloth": 1,
    "hair": 1,
    "hat": 1,
}

#: The parts, left and right joined; the second dimension of :func:`merge_classes`' result.
PARTS = tuple(_PART_SIZES)


FACE = ("skin", "brows", "eyes", "glasses", "nose", "mouth")
"""Parts of the face proper: without ears, hair, neck and what is worn on the head."""


def part_index(name: str) -> int:
    """The position of a part in :data:`PARTS`.

    Raises:
        ValueError: there is no such part.
    """
    if name not in PARTS:
        raise ValueError(f"unknown part {name!r}; parts are {', '.join(PARTS)}")
    return PARTS.index(name)


def join_parts(parts: Tensor, names: Sequence[str]) -> Tensor:
    """Some of the parts as one mask, soft masks `[B,12,H,W] -> [B,1,H,W]` in [0,1].

    Args:
        names: of :data:`PARTS`.

    Raises:
        ValueError: no part is called so.
    """
    # One by one: an index of a list has to be copied to the device, which is waited for.
    return torch.stack([parts[:, part_index(name)] for name in names], 1).sum(1, keepdim=True).clamp(0, 1)


def merge_classes(masks19: Tensor) -> Tensor:
    """Add up the 19 class masks into the 12 parts, `[B,19,H,W] -> [B,12,H,W]`.

    Raises:
        ValueError: not `[B,19,H,W]`.
    """
    check_images(masks19, "masks19", channels=len(CLASSES))
    groups = masks19.split(list(_PART_SIZES.values()), dim=1)
    return torch.stack([group.sum(1) for group in groups], 1)


@in_cache
def masked_mean(values: Tensor, masks: Tensor, eps: float = 1e-6) -> Tensor:
    """Mask-weighted mean over channels and pixels, one number per image and mask.

    Args:
        values: `[B,C,H,W]`.
        masks: `[B,N,H,W]`, non-negative weights.
        eps: the least weight (in pixels) that is divided by. A mask with less gives a value near 0, an
            empty one exactly 0, never NaN.

    Returns:
        `[B,N]`. Differentiable in both arguments.

    Raises:
        ValueError: batch or size of the two differ.
    """
    check_images(values, "values")
    check_images(masks, "masks")
    if values.shape[0] != masks.shape[0] or values.shape[-2:] != masks.shape[-2:]:
        raise ValueError(
            "values and masks must agree in batch and size, "
            f"got {tuple(values.shape)} and {tuple(masks.shape)}"
        )
    # Elementwise and summed in two steps rather than einsum: no TF32 or bf16, and the same bits in any batch.
    total = (values.mean(1, keepdim=True) * masks).sum(-1).sum(-1)
    return total / masks.sum(-1).sum(-1).clamp_min(eps)


def area(masks: Tensor) -> Tensor:
    """The fraction of the image that each mask covers, `[B,N,H,W] -> [B,N]`.

    Raises:
        ValueError: not `[B,N,H,W]`.
    """
    check_images(masks, "masks")
    batch, number = masks.shape[:2]
    return mean_per_image(masks.flatten(0, 1).unsqueeze(1)).reshape(batch, number)


def resize_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize soft masks and renormalise them, so that they sum to 1 at every pixel.

    Area averaging when no side grows (every source pixel counts once), else bilinear.

    Args:
        masks: `[B,N,H,W]` in [0,1].
        size: the new (height, width).

    Returns:
        `[B,N,height,width]`; a pixel that no mask covers stays 0.

    Raises:
        ValueError: not `[B,N,H,W]`, or a side below 1.
    """
    check_images(masks, "masks")
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"size must be at least 1x1, got {height}x{width}")
    if height <= masks.shape[-2] and width <= masks.shape[-1]:
        resized = F.interpolate(masks, (height, width), mode="area")
    else:
        resized = F.interpolate(masks, (height, width), mode="bilinear", align_corners=False)
    return resized / resized.sum(1, keepdim=True).clamp_min(1e-6)
