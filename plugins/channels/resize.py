"""A channel that stores a picture smaller, and shows it as large as it was."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from torch import Tensor

from magdr_core import functional
from magdr_core.api import ChannelSpec, Field, hookimpl, stateless

from ._files import Levels, each, resized

MAGDR_API = 1

Filter = Literal["box", "bilinear", "bicubic", "lanczos"]


def resize(
    x: Tensor,
    *,
    scale: Annotated[float, Field(gt=0, le=1)] = 0.5,
    longest: Annotated[int, Field(ge=0)] = 0,
    filter: Filter = "bicubic",
) -> Tensor:
    """Smaller by Pillow, in 8 bits, and back to its size. `[B,3,H,W]` -> same.

    Args:
        scale: share of the height and width that is stored.
        longest: pixels that the longer side may then have, as platforms limit it; 0: any number.
        filter: what both ways interpolate with; when a picture is made smaller it is widened against
            aliasing.
    """
    height, width = x.shape[2:]
    small = _stored(x, scale, longest)
    if small == [height, width]:
        return x.clone()

    def there_and_back(picture: Levels, _: int) -> Levels:
        return resized(resized(picture, small, filter), (height, width), filter)

    return each(x, there_and_back)


def soft_resize(x: Tensor, *, scale: float, longest: int, filter: Filter) -> Tensor:
    """The same without the rounding in between, differentiable; Lanczos as cubics. `[B,3,H,W]` -> same."""
    small = _stored(x, scale, longest)
    height, width = x.shape[2:]
    if small == [height, width]:
        return x
    mode: Any = {"box": "area", "lanczos": "bicubic"}.get(filter, filter)
    stored = functional.resize(x, (small[0], small[1]), mode=mode)
    return functional.resize(stored, (height, width), mode=mode)


def _stored(x: Tensor, scale: float, longest: int) -> list[int]:
    """The height and width that are stored."""
    height, width = x.shape[2:]
    scale = min(scale, longest / max(height, width)) if longest else scale
    return [max(1, round(scale * side)) for side in (height, width)]


@hookimpl
def magdr_channels() -> list[ChannelSpec]:
    return [
        ChannelSpec(
            name="resize", build=stateless(resize, soft=soft_resize), tags=("geometry",), device="cpu"
        )
    ]
