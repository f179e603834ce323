"""Sharpness as the variance of the Laplacian (Pech-Pacheco et al., ICPR 2000)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from acme_quality.kinds.quality import QualitySpec
from magdr_core.api import hookimpl, stateless
from magdr_core.functional import luma

MAGDR_API = 1


def sharpness(x: Tensor) -> Tensor:
    """Variance of the Laplacian of the brightness, borders left out. [B,3,H,W] in [0,1] -> [B]."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).to(x)
    return F.conv2d(luma(x), kernel[None, None]).flatten(1).var(1)


@hookimpl
def magdr_qualities() -> list[QualitySpec]:
    return [
        QualitySpec(
            name="sharpness",
            build=stateless(sharpness),
            gradient="exact",
            cite="Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000",
        )
    ]
