"""Pure, batched, device-agnostic torch functions on images `[B,3,H,W]`, RGB in [0,1].

No global state, no in-place edits, no loop over images; an image's result is the same alone and in a batch.
"""

from __future__ import annotations

from magdr_core.functional.denoise import bilateral, nlm, tv_denoise
from magdr_core.functional.eightbit import project_linf, round_toward, straight_through, to_8bit
from magdr_core.functional.filters import bit_depth, gaussian_blur, median_blur, unsharp
from magdr_core.functional.jpeg import jpeg, quantisation_tables
from magdr_core.functional.masks import (
    CLASSES,
    PARTS,
    area,
    masked_mean,
    merge_classes,
    part_index,
    resize_masks,
)
from magdr_core.functional.resample import down_up, flip, resize, shift
from magdr_core.functional.similarity import mae, mse, psnr, ssim, ssim_map

__all__ = [
    "CLASSES",
    "PARTS",
    "area",
    "bilateral",
    "bit_depth",
    "down_up",
    "flip",
    "gaussian_blur",
    "jpeg",
    "mae",
    "masked_mean",
    "median_blur",
    "merge_classes",
    "mse",
    "nlm",
    "part_index",
    "project_linf",
    "psnr",
    "quantisation_tables",
    "resize",
    "resize_masks",
    "round_toward",
    "shift",
    "ssim",
    "ssim_map",
    "straight_through",
    "to_8bit",
    "tv_denoise",
    "unsharp",
]
