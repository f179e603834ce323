"""The control of localization on whole faces: the face itself, whatever was done to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from magdr_core.functional import FACE, join_parts


class FaceMask:
    """Every face is forged, all of it: where a parser sees skin, brows, eyes, nose or mouth.

    Its verdict is the same of all pictures.

    Args:
        parser: face parser that tells where the face is.
    """

    def __init__(self, *, parser: Any) -> None:
        self.parser = parser

    def score(self, x: Tensor) -> Tensor:
        """0 of every picture `[B,3,H,W]`: `[B]`."""
        return torch.zeros(len(x), dtype=x.dtype, device=x.device)

    def locate(self, x: Tensor) -> Tensor:
        """The parser's face, `[B,3,H,W] -> [B,1,H,W]` in [0,1]."""
        return join_parts(self.parser(x), FACE)
