"""A photograph with a face, which comes with scikit-image."""

import pytest
import skimage.data
import torch


@pytest.fixture(scope="session")
def astronaut():
    """`[3,512,512]` in [0,1]."""
    return torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float() / 255
