"""How images compare with clean ones: the per-image measures of the paper's Table 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from magdr_core.functional import batch_size, in_pieces, masked_mean, mse, psnr, ssim
from magdr_core.functional.fsim import EdgeMaps, edge_maps, forget_filters, fsim_of_maps

MOST_PSNR = 100.0
"""Equal images have no finite PSNR; 100 dB is far above anything that 8-bit images can show."""


class Yardstick:
    """Clean images (or outputs) that others are compared with; what of them is needed is computed once.

    Args:
        images: `[n,3,H,W]` in [0,1].
        encoder: a face parser with `features(x) -> [[B,C,h,w], ...]`, or None: then there is no `featsim`.
        region: `[n,1,H,W]`, a soft mask of a region that is looked at by itself, or None.
    """

    def __init__(self, images: Tensor, encoder: Any | None, region: Tensor | None = None) -> None:
        self.images = images
        self.encoder = encoder
        self.region = region
        self._maps: EdgeMaps | None = None
        self._directions: Tensor | None = None

    @torch.no_grad()
    def compare(self, other: Tensor, suffix: str) -> Mapping[str, list[float]]:
        """Per image, with names that end in `_suffix`: `mse` (0 to 255 squared), `ssim`, `psnr` (dB), `fsim`
        and `featsim` (cosine of pooled deep features, from -1 to 1); and, in the region alone,
        `mse_SUFFIX_target`.

        Args:
            other: `[n,3,H,W]` in [0,1], to be compared with the images.
        """
        clean = self.images
        values = {
            "mse": mse(clean, other) * 255**2,
            "ssim": ssim(clean, other),
            "psnr": psnr(clean, other).clamp_max(MOST_PSNR),
            "fsim": torch.ones(len(clean), device=clean.device),
        }
        if self.encoder is not None:
            values["featsim"] = torch.ones(len(clean), device=clean.device)
        # Many defenses leave many images as they are, and those need no second look.
        differ = torch.nonzero((clean != other).flatten(1).any(1)).flatten()
        for rows in differ.split(self._together) if len(differ) else ():
            maps = EdgeMaps(self.maps.phase[rows], self.maps.gradient[rows])
            values["fsim"][rows] = fsim_of_maps(maps, edge_maps(other[rows]))
            if self.encoder is not None:
                # For unit vectors 1 - u v = |u - v|^2 / 2, which is exact near 0 where 1 - u v is rounding.
                apart = self.directions[rows] - self._direction(other[rows])
                values["featsim"][rows] = 1 - apart.square().sum(1) / 2
        named = {f"{name}_{suffix}": v for name, v in values.items()}
        if self.region is not None:
            inside = masked_mean((clean - other).square(), self.region)[:, 0]
            named[f"mse_{suffix}_target"] = inside * 255**2
        return {name: v.tolist() for name, v in named.items()}

    def forget(self) -> None:
        """Have everything computed again, after a component was at fault."""
        self._maps = self._directions = None
        forget_filters()

    def tensors(self) -> Iterator[Tensor]:
        """What is kept of the images as far as it was needed yet: maps `[n,...]`, directions `[n,D]`, and the
        region."""
        if self._maps is not None:
            yield from (self._maps.phase, self._maps.gradient)
        if self._directions is not None:
            yield self._directions
        if self.region is not None:
            yield self.region

    @property
    def _together(self) -> int:
        return batch_size(self.images.shape, "compare", self.images.device)

    @property
    def maps(self) -> EdgeMaps:
        if self._maps is None:
            parts = [edge_maps(x) for x in self.images.split(self._together)]
            self._maps = EdgeMaps(torch.cat([p.phase for p in parts]), torch.cat([p.gradient for p in parts]))
        return self._maps

    @property
    def directions(self) -> Tensor:
        """`[n,D]`, unit vectors of the images' pooled deep features; computed once."""
        if self._directions is None:
            self._directions = torch.cat([self._direction(x) for x in self.images.split(self._together)])
        return self._directions

    def _direction(self, x: Tensor) -> Tensor:
        """Direction of the mean of the deepest features, `[B,C]`."""
        encoder = self.encoder
        assert encoder is not None
        deepest = in_pieces(lambda i: encoder.features(x[i])[-1], x)
        mean = deepest.mean(-1).mean(-1)
        return mean / (mean.square().sum(1, keepdim=True) + 1e-12).sqrt()
