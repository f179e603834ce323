"""Recovering masked parts of a face, learned from real faces alone; what is not recovered is suspect.

After Delocate (Hu et al., IJCAI 2024, arXiv 2401.13516), of which no code was published: patches of one of
three bands of the face are masked and recovered from the rest. A convolutional network with the mask as its
fourth channel takes the place of the masked auto-encoder; `_recovery_transformer.py` has one of those.

The error itself says little: it follows local contrast, and smooth forgeries are recovered better. So the
network also says which error is to be expected, and suspicion is measured in units of that.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import ComponentError, SampleRng, TrainedOn
from magdr_core.functional import FACE, in_pieces, join_parts

from ..networks.recovery import RecoveryUNet

PATCH = 8
"""Side of what is masked as a whole, in pixels of a picture of 64."""

SHARE = 0.75
"""Of a band's patches, masked in training."""

LEAST = 0.25
"""Of a patch that a band must cover for the patch to be its."""

Parser = Callable[[Tensor], Tensor]


def bands(parts: Tensor) -> Tensor:
    """Three bands of the face by height: eyes and brows, nose and cheeks, mouth and chin.

    They meet half-way between the middles of eyes and nose, and of nose and mouth; parts that are not seen
    are taken to be where they are on a usual face.

    Args:
        parts: soft masks `[B,12,H,W]`.

    Returns:
        `[B,3,H,W]` of 0/1, disjoint; all 0 where there is no face.
    """
    face = join_parts(parts, FACE) > 0.5
    rows = torch.arange(parts.shape[2], device=parts.device, dtype=parts.dtype)[:, None]
    weight = face.to(parts.dtype).sum((1, 2, 3)).clamp_min(1)
    middle = (face * rows).sum((1, 2, 3)) / weight
    spread = ((face * (rows - middle[:, None, None, None]).square()).sum((1, 2, 3)) / weight).sqrt()

    def height_of(names: tuple[str, ...], usual: float) -> Tensor:
        part = join_parts(parts, names)[:, 0]
        total = part.sum((1, 2))
        return torch.where(total > 1, (part * rows).sum((1, 2)) / total.clamp_min(1), middle + usual * spread)

    eyes, nose, mouth = (
        height_of(names, usual) for names, usual in ((("eyes",), -0.5), (("nose",), 0.2), (("mouth",), 0.9))
    )
    first, second = ((a + b)[:, None, None, None] / 2 for a, b in ((eyes, nose), (nose, mouth)))
    upper, lower = rows < first, rows >= torch.maximum(first, second)
    return (
        torch.cat([upper.expand_as(face), ~(upper | lower).expand_as(face), lower.expand_as(face)], 1) & face
    ).to(parts.dtype)


def patches(parts: Tensor) -> Tensor:
    """Which patches are of which band: `[B,12,H,W]` soft masks -> bool `[B,3,h,w]`; a patch is of one band at
    most."""
    side = patch_side(parts)
    share = F.avg_pool2d(bands(parts), side, ceil_mode=True)
    largest = F.one_hot(share.argmax(1), 3).permute(0, 3, 1, 2).bool()
    return largest & (share >= LEAST)


def patch_side(x: Tensor) -> int:
    return max(1, round(PATCH * x.shape[-1] / 64))


def in_pixels(chosen: Tensor, like: Tensor) -> Tensor:
    """Patches `[B,1,h,w]` as a mask of the pixels of `like`, `[B,1,H,W]` of 0/1."""
    side = patch_side(like)
    full = chosen.repeat_interleave(side, 2).repeat_interleave(side, 3)
    return full[..., : like.shape[2], : like.shape[3]].to(like.dtype)


class Recovery(nn.Module):
    """What every recovering network does with its answer, `forward(x, mask)`: masks, passes, surprise.

    Args:
        parser: `[B,3,H,W]` -> soft parts `[B,12,H,W]`; asked for by `score` and `locate` alone.
    """

    trained_on = TrainedOn()

    def __init__(self, *, parser: Parser | None = None) -> None:
        super().__init__()
        self._outside = (parser,)  # no submodule: its weights are not this network's

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What the masked pixels may have been.

        Args:
            x: `[B,3,H,W]` in [0,1]; its masked pixels are not looked at.
            mask: `[B,1,H,W]` of 0/1.

        Returns:
            the recovered picture `[B,3,H,W]`, not clamped, and the logarithm of the expected squared error,
            `[B,1,H,W]`.
        """
        raise NotImplementedError

    @staticmethod
    def draw_mask(parts: Tensor, rng: SampleRng) -> Tensor:
        """A training mask, `[B,12,H,W]` soft parts -> `[B,1,H,W]` of 0/1: three quarters of the patches of
        one band that the face has."""
        bands_of = patches(parts)
        count = bands_of.flatten(2).sum(2)
        band = torch.where(count > 0, rng.uniform(3), -1.0).argmax(1)
        candidates = bands_of[torch.arange(len(parts), device=parts.device), band].flatten(1)
        order = torch.where(candidates, rng.uniform(candidates.shape[1]), 2.0).argsort(1).argsort(1)
        wanted = (SHARE * candidates.sum(1, keepdim=True)).ceil()
        chosen = (candidates & (order < wanted)).reshape(len(parts), 1, *bands_of.shape[2:])
        return in_pixels(chosen, parts)

    @staticmethod
    def passes(parts: Tensor) -> list[Tensor]:
        """Six masks `[B,1,H,W]` that together mask every patch of the face once: each band by two
        complementary checkerboards, so that most of a patch's neighbours are seen."""
        bands_of = patches(parts)
        rows, columns = (torch.arange(n, device=parts.device) for n in bands_of.shape[2:])
        odd = (rows[:, None] + columns[None]) % 2 == 1
        chosen = [bands_of[:, k : k + 1] & (odd == bool(parity)) for k in range(3) for parity in (0, 1)]
        return [in_pixels(one, parts) for one in chosen]

    def recovered(self, x: Tensor, parts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The face recovered from its surroundings; elsewhere the picture itself.

        Returns:
            the picture `[B,3,H,W]` in [0,1]; the expected squared error `[B,1,H,W]`, 1 where nothing was
            masked; and where something was, `[B,1,H,W]` of 0/1.
        """
        result, expected, where = x, torch.ones_like(x[:, :1]), torch.zeros_like(x[:, :1])
        for mask in self.passes(parts):
            made, log_variance = self(x, mask)
            result = torch.where(mask > 0, made.clamp(0, 1), result)
            expected = torch.where(mask > 0, log_variance.exp(), expected)
            where = where + mask
        return result, expected, where

    def surprise(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Squared errors in units of what was expected, and where they were measured, `[B,1,H,W]` both.

        Raises:
            ComponentError: it was built without a parser.
        """
        (parser,) = self._outside
        if parser is None:
            raise ComponentError("the face is divided by its parts: recovery needs a parser")
        made, expected, where = self.recovered(x, parser(x))
        return where * (x - made).square().mean(1, keepdim=True) / expected, where

    def score(self, x: Tensor) -> Tensor:
        """Mean surprise over the face, `[B,3,H,W]` -> `[B]`; 0 where no face is found."""
        return in_pieces(lambda i: self._score(x[i]), x)

    def _score(self, x: Tensor) -> Tensor:
        surprise, where = self.surprise(x)
        return surprise.sum((1, 2, 3)) / where.sum((1, 2, 3)).clamp_min(1)

    def locate(self, x: Tensor) -> Tensor:
        """`[B,3,H,W]` -> `[B,1,H,W]` in [0,1]: one half where a patch's error is what was expected."""
        return in_pieces(lambda i: self._locate(x[i]), x)

    def _locate(self, x: Tensor) -> Tensor:
        surprise, where = self.surprise(x)
        side = patch_side(x) // 2
        near = F.avg_pool2d(torch.cat([surprise, where], 1), 2 * side + 1, 1, side)
        smooth = near[:, :1] / near[:, 1:].clamp_min(1e-3)
        return where * smooth / (1 + smooth)


class RecoveryNet(RecoveryUNet, Recovery):
    """A U-Net that recovers.

    Args:
        width: channels of the first level.
        parser: `[B,3,H,W]` -> soft parts `[B,12,H,W]`; asked for by `score` and `locate` alone.
    """

    def __init__(self, *, width: int = 16, parser: Parser | None = None) -> None:
        super().__init__(width=width)
        self._outside = (parser,)
