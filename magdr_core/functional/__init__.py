"""Pure, batched, device-agnostic torch functions on images `[B,3,H,W]`, RGB in [0,1].

No global state, no in-place edits, no loop over images; an image's result is the same alone and in a batch.
"""

from __future__ import annotations

from magdr_core.functional._dwt import inverse_wavelet_transform, wavelet_transform
from magdr_core.functional.batching import Work, batch_size, by_row, in_pieces
from magdr_core.functional.cache_blocked import in_cache
from magdr_core.functional.colour import brighten, chroma_blur, chroma_depth, fade, luma, unbrighten, unfade
from magdr_core.functional.columns import column_filters, conv_by_columns
from magdr_core.functional.constants import constant
from magdr_core.functional.dct import dct_threshold
from magdr_core.functional.denoise import bilateral, nlm, tv_denoise
from magdr_core.functional.diffusion import anisotropic_diffusion, richardson_lucy
from magdr_core.functional.eightbit import (
    clamp_inclusive,
    project_linf,
    round_toward,
    straight_through,
    to_8bit,
)
from magdr_core.functional.filters import bit_depth, gaussian_blur, median_blur, unsharp
from magdr_core.functional.fsim import fsim
from magdr_core.functional.jpeg import jpeg, quantisation_tables
from magdr_core.functional.lab import from_lab, to_lab
from magdr_core.functional.local import guided_filter, wiener
from magdr_core.functional.masks import (
    CLASSES,
    FACE,
    PARTS,
    area,
    join_parts,
    masked_mean,
    merge_classes,
    part_index,
    resize_masks,
)
from magdr_core.functional.pixelwise import pixelwise_blur
from magdr_core.functional.resample import down_up, flip, resize, shift
from magdr_core.functional.similarity import least_ssim, mae, mse, psnr, ssim, ssim_map
from magdr_core.functional.warp import rotate, zoom
from magdr_core.functional.wavelet import average_over_shifts, wavelet_denoise, wavelet_threshold
from magdr_core.functional.winograd import winograd_conv3x3, winograd_filters
from magdr_core.functional.ycbcr import from_ycbcr, to_ycbcr, wavelet_denoise_ycbcr

__all__ = [
    "CLASSES",
    "FACE",
    "PARTS",
    "Work",
    "anisotropic_diffusion",
    "area",
    "average_over_shifts",
    "batch_size",
    "bilateral",
    "bit_depth",
    "brighten",
    "by_row",
    "chroma_blur",
    "chroma_depth",
    "clamp_inclusive",
    "column_filters",
    "constant",
    "conv_by_columns",
    "dct_threshold",
    "down_up",
    "fade",
    "flip",
    "from_lab",
    "from_ycbcr",
    "fsim",
    "gaussian_blur",
    "guided_filter",
    "in_cache",
    "in_pieces",
    "inverse_wavelet_transform",
    "join_parts",
    "jpeg",
    "least_ssim",
    "luma",
    "mae",
    "masked_mean",
    "median_blur",
    "merge_classes",
    "mse",
    "nlm",
    "part_index",
    "pixelwise_blur",
    "project_linf",
    "psnr",
    "quantisation_tables",
    "resize",
    "resize_masks",
    "richardson_lucy",
    "rotate",
    "round_toward",
    "shift",
    "ssim",
    "ssim_map",
    "straight_through",
    "to_8bit",
    "to_lab",
    "to_ycbcr",
    "tv_denoise",
    "unbrighten",
    "unfade",
    "unsharp",
    "wavelet_denoise",
    "wavelet_denoise_ycbcr",
    "wavelet_threshold",
    "wavelet_transform",
    "wiener",
    "winograd_conv3x3",
    "winograd_filters",
    "zoom",
]
