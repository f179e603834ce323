"""Pictures inside the text of a page."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image


def png_url(levels: np.ndarray[Any, np.dtype[np.uint8]]) -> str:
    """A picture, `[H,W,3]` RGB or `[H,W,4]` RGBA in levels, as a data URL of a PNG."""
    out = io.BytesIO()
    Image.fromarray(levels).save(out, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
