"""Labelled panels side by side, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from magdr_core.functional import resize
from magdr_core.media.pictures import to_levels

SIDE = 256
GAP = 8
STRIP = 28
INK, PAPER = (32, 32, 32), (255, 255, 255)


def side_by_side(panels: Sequence[tuple[str, Tensor]], caption: str = "") -> Tensor:
    """Square panels in a row, each under its label, with a caption below.

    Args:
        panels: (label, `[3,S,S]` in [0,1]); shown at `SIDE` pixels or their own size if that is larger.
        caption: a line of text; cut off where it is too long.

    Returns:
        `[3,H,W]`, 8-bit levels, even sides.
    """
    side = max(SIDE, *(image.shape[-1] for _, image in panels))
    width = len(panels) * (side + GAP) + GAP
    height = STRIP + side + STRIP
    sheet = Image.new("RGB", (width, height + height % 2), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (label, image) in enumerate(panels):
        left = GAP + i * (side + GAP)
        shown = image if image.shape[-1] == side else resize(image[None], side)[0]
        sheet.paste(Image.fromarray(to_levels(shown)), (left, STRIP))
        draw.text((left + side / 2, STRIP / 2), label, fill=INK, font=_font(15), anchor="mm")
    draw.text((GAP, STRIP + side + STRIP / 2), _fitting(caption, width - 2 * GAP), INK, _font(13), "lm")
    return torch.from_numpy(np.array(sheet)).permute(2, 0, 1).float().div(255).contiguous()


def stacked(sheets: Sequence[Tensor]) -> Tensor:
    """Sheets one below the other, `[3,H,W]` each, white beside those that are narrower: `[3,sum of H,W]`."""
    width = max(sheet.shape[2] for sheet in sheets)
    return torch.cat([F.pad(sheet, (0, width - sheet.shape[2]), value=1.0) for sheet in sheets], 1)


def _fitting(text: str, width: int) -> str:
    font = _font(13)
    if font.getlength(text) <= width:
        return text
    kept = int(len(text) * width / font.getlength(text))
    while kept and font.getlength(f"{text[:kept]} ...") > width:
        kept -= 1
    return f"{text[:kept]} ..."


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
