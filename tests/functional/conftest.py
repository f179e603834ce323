"""Test images: crops of scikit-image's astronaut, which ships inside its wheel (no network)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut
from torch import Tensor

Photos = Callable[..., Tensor]


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors on a busy machine: a second thread makes these tests several times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photos() -> Photos:
    """`photos(batch, height, width)`: different 8-bit crops `[B,3,H,W]` in [0,1]."""
    whole = Image.fromarray(astronaut())

    def make(batch: int, height: int, width: int) -> Tensor:
        crops = []
        for i in range(batch):
            side = 256 - 24 * i
            box = (100 + 17 * i, 5 * i, 100 + 17 * i + side, 5 * i + side)
            crop = whole.crop(box).resize((width, height), Image.Resampling.LANCZOS)
            crops.append(np.asarray(crop))
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255

    return make


@pytest.fixture
def noisy(photos: Photos) -> Callable[..., tuple[Tensor, Tensor]]:
    """`noisy(batch, height, width)`: photos and the same with Gaussian noise of 0.1, in [0,1]."""

    def make(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        clean = photos(batch, height, width)
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
        return clean, (clean + 0.1 * noise).clamp(0, 1)

    return make
