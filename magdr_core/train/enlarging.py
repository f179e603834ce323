"""Training of a super-resolution network on drawn faces: shrink to half the side, learn the way back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from magdr_core.components.rng import SampleRng
from magdr_core.functional import psnr, resize, to_8bit
from magdr_core.train.context import TESTED_FROM, TrainContext
from magdr_core.train.optimiser import NetOptimiser, as_named


class EnlargingTrainer:
    """L1 on random crops, mirrored half of the time, as EDSR was trained.

    The recipe's dataset draws the large pictures; `settings["crop"]` is the side of the small ones' crops.
    """

    def __init__(self, context: TrainContext) -> None:
        self.context = context
        self.net = context.net
        self.crop = int(context.recipe.settings["crop"])
        self.modules: dict[str, nn.Module] = {"net": self.net}
        self.net.to(memory_format=torch.channels_last)
        self._net = NetOptimiser(self.net, context.recipe.lr)
        self.optimisers = as_named([("net", self._net)])
        self.large = context.drawn_once(self._pictures)["large"]

    def _pictures(self) -> dict[str, Tensor]:
        batches = self.context.chunks(self.context.recipe.pool, 64)
        return {"large": torch.cat([(self.context.split[i].images * 255).round().byte() for i in batches])}

    def step(self, i: int) -> dict[str, float]:
        recipe = self.context.recipe
        rng = SampleRng(recipe.seed, "enlarging-step", [str(i)], device=self.context.device)
        large = self.large[rng.integers(recipe.batch, high=len(self.large))[0]].float() / 255
        mirror = (rng.uniform(recipe.batch)[0] < 0.5)[:, None, None, None]
        large = torch.where(mirror, large.flip(3), large)
        small = halved(large)
        # One place for the whole batch: cheap, and the pictures differ anyway.
        top, left = (rng.integers(1, high=side - self.crop + 1).item() for side in small.shape[2:])
        small = small[..., top : top + self.crop, left : left + self.crop]
        target = large[..., 2 * top : 2 * (top + self.crop), 2 * left : 2 * (left + self.crop)]
        with self.context.autocast():
            y = self.net.enlarge(small).float()
        loss = (y - target).abs().mean()
        self._net.step(loss)
        return {"l1": float(loss.detach())}

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """PSNR of enlarged test faces, of bicubic enlargement, and of an enlarged and shrunk face, in dB."""
        test = self.context.for_testing()
        sums = {"psnr": 0.0, "psnr_bicubic": 0.0, "psnr_round_trip": 0.0}
        for indices in test.chunks(self.context.recipe.tested, 50, TESTED_FROM):
            large = test.split[indices].images
            small = halved(large)
            y = self.net.enlarge(small).clamp(0, 1)
            size = (large.shape[2], large.shape[3])
            sums["psnr"] += float(psnr(to_8bit(y), large).sum())
            sums["psnr_bicubic"] += float(psnr(to_8bit(resize(small, size)), large).sum())
            sums["psnr_round_trip"] += float(psnr(to_8bit(halved(y)), small).sum())
        return {name: value / self.context.recipe.tested for name, value in sums.items()}


def halved(x: Tensor) -> Tensor:
    """`[B,3,2H,2W]` -> `[B,3,H,W]`, bicubic and antialiased, 8-bit levels."""
    return to_8bit(resize(x, (x.shape[2] // 2, x.shape[3] // 2)))
