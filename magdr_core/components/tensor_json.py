"""Tensors inside JSON: what a component with a network keeps as the state of its fit."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from magdr_core.errors import CalibrationError


def pack_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Tensors of any shape by name (a state dict, say) as text; `unpack_tensors` gives the same bits back."""
    return base64.b85encode(save({k: v.detach().cpu().contiguous() for k, v in tensors.items()})).decode()


def unpack_tensors(text: str) -> dict[str, Tensor]:
    """The tensors of a text, of the shapes that were packed, on the CPU.

    Raises:
        CalibrationError: the text is none that `pack_tensors` made: it holds no tensors of any shape.
    """
    try:
        return load(base64.b85decode(text))
    except (ValueError, binascii.Error, SafetensorError) as e:
        raise CalibrationError(f"a fitted state holds damaged tensors: {e}") from None
