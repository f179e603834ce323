"""A U-Net that says which pixels are forged, and a head that says whether any are; and what it may be shown
beside the picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import TrainedOn
from magdr_core.functional import FACE, in_pieces, join_parts

from ..networks.layers import halved, layer
from ._networks import Verdict, with_detail
from ._recovery import Parser, Recovery

Guide = Callable[[Tensor], Tensor]
"""From pictures `[B,3,H,W]` to further channels `[B,G,H,W]`."""


class FaceBox:
    """A box around the face: 1 inside, 0 outside, 0 everywhere if there is no face. One channel.

    The control of every method that is told where the face is.
    """

    channels = 1

    def __init__(self, parser: Parser) -> None:
        self.parser = parser

    def __call__(self, x: Tensor) -> Tensor:
        face = join_parts(self.parser(x), FACE) > 0.5
        rows, columns = (_between(face.any(dim, keepdim=True), other) for dim, other in ((3, 2), (2, 3)))
        return (rows & columns).to(x.dtype)


def _between(any_of: Tensor, dim: int) -> Tensor:
    """What lies from the first to the last true place along a dimension."""
    counted = any_of.long()
    return (counted.cumsum(dim) > 0) & (counted.flip(dim).cumsum(dim).flip(dim) > 0)


class Recovered:
    """The recovered face and its difference from the picture, six channels."""

    channels = 6

    def __init__(self, parser: Parser, recovery: Recovery) -> None:
        self.parser, self.recovery = parser, recovery

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        made, _, _ = self.recovery.to(x.device).recovered(x, self.parser(x))
        return torch.cat([made, (x - made).abs()], 1)


class Segmenter(nn.Module):
    """A three-level U-Net on the picture, its high-pass and what a guide adds.

    Args:
        width: channels of the first level; twice and three times as many follow.
        guide: what gives the further channels; None for the picture alone.
    """

    trained_on = TrainedOn()

    def __init__(self, *, width: int = 16, guide: FaceBox | Recovered | None = None) -> None:
        super().__init__()
        self._outside = (guide,)  # no submodule: its weights are not this network's
        widths = [width, 2 * width, 3 * width]
        channels = 6 + (guide.channels if guide is not None else 0)
        self.down = nn.ModuleList(
            nn.Sequential(layer(i, o), layer(o, o))
            for i, o in zip([channels, *widths[:-1]], widths, strict=True)
        )
        levels = range(len(widths) - 2, -1, -1)
        # Narrowed before it is enlarged: most of the cost is at full size.
        self.narrow = nn.ModuleList(nn.Conv2d(widths[i + 1], widths[i], 1) for i in levels)
        self.up = nn.ModuleList(
            nn.Sequential(layer(2 * widths[i], widths[i]), layer(widths[i], widths[i])) for i in levels
        )
        self.mask = nn.Conv2d(width, 1, 1)
        self.head = Verdict(widths[-1])

    def guide(self, x: Tensor) -> Tensor | None:
        """What is shown beside the picture, `[B,3,H,W]` -> `[B,G,H,W]`; None for nothing."""
        (given,) = self._outside
        return None if given is None else given(x)

    def forward(self, x: Tensor, guide: Tensor | None = None) -> tuple[Tensor, ...]:
        """Log odds of each pixel `[B,1,H,W]` and of the picture `[B]`.

        Args:
            x: `[B,3,H,W]` in [0,1].
            guide: what `guide(x)` gives, `[B,G,H,W]`.
        """
        y, verdict = self.features(x, guide)
        return self.mask(y), verdict

    def features(self, x: Tensor, guide: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of each pixel `[B,width,H,W]`; and the log odds of the picture `[B]`."""
        height, width = x.shape[2:]
        y = with_detail(x)
        if guide is not None:
            y = torch.cat([y, guide], 1)
        y = F.pad(y, (0, -width % 4, 0, -height % 4), mode="replicate")
        kept = []
        for i, block in enumerate(self.down):
            y = block(halved(y) if i else y)
            kept.append(y)
        y = kept.pop()
        verdict = self.head(y)
        for narrow, block in zip(self.narrow, self.up, strict=True):
            skip = kept.pop()
            y = F.interpolate(narrow(y), size=skip.shape[2:], mode="bilinear", align_corners=False)
            y = block(torch.cat([y, skip], 1))
        return y[..., :height, :width], verdict

    def score(self, x: Tensor) -> Tensor:
        """Log odds that anything is forged, `[B,3,H,W]` in [0,1] -> `[B]`; the same bits in any batch."""
        return in_pieces(lambda i: self(x[i], self.guide(x[i]))[1], x)

    def locate(self, x: Tensor) -> Tensor:
        """How likely each pixel is forged, `[B,3,H,W]` in [0,1] -> `[B,1,H,W]` in [0,1]."""
        return in_pieces(lambda i: self(x[i], self.guide(x[i]))[0].sigmoid(), x)


class MappingSegmenter(Segmenter):
    """A segmenter that also maps a picture to its recovered face, and looks at where the two differ.

    After Delocate's mapping module, of which no code was published: training draws the mapped face to the
    recovered one, more so for fakes (`mapping_loss` of :mod:`magdr_core.train.localizing`).
    """

    def __init__(self, *, width: int = 16, guide: FaceBox | Recovered | None = None) -> None:
        super().__init__(width=width, guide=guide)
        self.mapping = nn.Conv2d(width, 3, 3, padding=1)
        self.mask = nn.Conv2d(width + 3, 1, 1)

    def forward(self, x: Tensor, guide: Tensor | None = None) -> tuple[Tensor, ...]:
        """As :meth:`Segmenter.forward`; and the mapped face, `[B,3,H,W]` in [0,1]."""
        y, verdict = self.features(x, guide)
        mapped = self.mapping(y).sigmoid()
        return self.mask(torch.cat([y, (x - mapped).abs()], 1)), verdict, mapped
