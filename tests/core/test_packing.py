"""Tensors inside JSON."""

import json

import pytest
import torch

from magdr_core.components.tensor_json import pack_tensors, unpack_tensors
from magdr_core.errors import CalibrationError


def test_packed_tensors_come_back_bit_for_bit_through_json():
    tensors = {
        "weight": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).t(),
        "count": torch.tensor(7),
        "half": torch.tensor([1.5, float("inf")], dtype=torch.float16),
    }
    back = unpack_tensors(json.loads(json.dumps(pack_tensors(tensors))))
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)


@pytest.mark.parametrize("text", ["", "not base 85 \x00", "abcdefgh"])
def test_damaged_text_is_one_clear_line(text):
    with pytest.raises(CalibrationError, match="damaged tensors"):
        unpack_tensors(text)
