"""Purification by masked reconstruction: every pixel is recovered from others, never from itself.

A perturbation of a pixel that is hidden cannot enter what takes its place. Complementary masks hide each part
of the picture once; what a masked auto-encoder (He et al., CVPR 2022, arXiv 2111.06377) makes of the hidden
parts is put together, as ME-Net (Yang et al., ICML 2019) does with matrix estimation and blind-spot denoisers
(Krull et al., Noise2Void, CVPR 2019, arXiv 1811.10980) with single pixels.

The network is the one that recovers masked parts of faces for forensics, and so are the shipped weights: they
learned from one masked band of real faces at a time. `magdr train masked-faces64` teaches them masks over
the whole picture. The masks are fixed, so an attack knows them; its gradient is exact.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from magdr_core.api import Field, RestorationSpec, SampleRng, Weights, hookimpl, load_state
from magdr_core.functional import clamp_inclusive, in_pieces

from ..networks.recovery import RecoveryUNet

MAGDR_API = 1

SIDES = (2, 4, 8)
"""Of the hidden squares in training, in pixels."""

SHARES = (0.25, 0.6)
"""Between which the hidden share of a training picture is drawn."""

Parts = Literal[2, 4]


class MaskedAutoencoder(RecoveryUNet):
    """`[B,3,H,W]` in [0,1] -> same, each square of pixels recovered from its surroundings.

    Args:
        width: channels of the first level.
        block: side of the squares, in pixels.
        parts: masks that cover the picture together: 2 are a checkerboard, each of 4 hides a quarter.
        keep: weight of the received picture in the result.
    """

    def __init__(self, *, width: int, block: int = 4, parts: Parts = 4, keep: float = 0.0) -> None:
        super().__init__(width=width)
        self.block, self.parts, self.keep = block, parts, keep

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Any:
        """The purified picture; with a mask, what :class:`RecoveryUNet` gives."""
        if mask is not None:
            return super().forward(x, mask)
        return in_pieces(lambda i: self._purified(x[i]), x)

    def _purified(self, x: Tensor) -> Tensor:
        result = self.keep * x
        for mask in self.masks(x):
            made, _ = super().forward(x, mask)
            result = result + (1 - self.keep) * mask * clamp_inclusive(made)
        return result

    def masks(self, x: Tensor) -> list[Tensor]:
        """Masks `[B,1,H,W]` of 0/1 that hide every pixel of `x` `[B,3,H,W]` in one of them."""
        rows, columns = (torch.arange(n, device=x.device) // self.block for n in x.shape[2:])
        if self.parts == 2:
            place = (rows[:, None] + columns[None]) % 2
        else:
            place = 2 * (rows[:, None] % 2) + columns[None] % 2
        return [(place == k).to(x.dtype).expand(len(x), 1, -1, -1) for k in range(self.parts)]

    @staticmethod
    def draw_mask(parts: Tensor, rng: SampleRng) -> Tensor:
        """A training mask: squares of one drawn side, anywhere. `[B,12,H,W]` soft parts, of which only the
        shape is looked at -> `[B,1,H,W]` of 0/1."""
        height, width = parts.shape[2:]
        kind = rng.integers(1, high=len(SIDES))
        share = rng.uniform(1, 1, low=SHARES[0], high=SHARES[1])
        chosen = []
        for side in SIDES:
            hidden = (rng.uniform(-(-height // side), -(-width // side)) < share).to(parts.dtype)
            full = hidden.repeat_interleave(side, 1).repeat_interleave(side, 2)
            chosen.append(full[:, None, :height, :width])
        return torch.stack(chosen, 1)[torch.arange(len(parts), device=parts.device), kind[:, 0]]


def masked_autoencoder(
    *,
    weights: Weights = "builtin:recovery64",
    block: Annotated[int, Field(ge=1, le=64)] = 4,
    parts: Parts = 4,
    keep: Annotated[float, Field(ge=0, le=1)] = 0.0,
    width: Annotated[int, Field(ge=8, le=128, multiple_of=8)] = 16,
) -> MaskedAutoencoder:
    """Every pixel recovered from others by a masked auto-encoder, never from itself. `[B,3,H,W]` -> same.

    `parts` masks of squares of `block` pixels cover the picture; `keep` mixes the received picture in.

    Args:
        weights: weight file of the network; `random` is an untrained one.
        block: side of the hidden squares, in pixels.
        parts: masks that cover the picture together: 2 are a checkerboard, each of 4 hides a quarter.
        keep: weight of the received picture in the result, from 0 to 1.
        width: channels of the first level, as in the weight file.
    """
    net = MaskedAutoencoder(width=width, block=block, parts=parts, keep=keep)
    load_state(net, weights)
    return net.eval()


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    return [
        RestorationSpec(
            name="masked-autoencoder",
            build=masked_autoencoder,
            stage="denoise",
            grid={"keep": [0.0, 0.5]},
            gradient="exact",
            cite="after He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022",
        )
    ]
