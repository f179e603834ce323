"""Training of a network that recovers masked parts of real faces; it never sees a fake.

After the first stage of Delocate (Hu et al., IJCAI 2024, arXiv 2401.13516): in each picture three quarters of
the patches of one band of the face are masked, and the squared error there is the loss. The network also
learns which error is to be expected, which takes no part in what it recovers.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from magdr_core.components.rng import SampleRng
from magdr_core.functional import merge_classes
from magdr_core.train.context import TESTED_FROM, TrainContext
from magdr_core.train.optimiser import NetOptimiser


class RecoveringTrainer:
    """The network has `draw_mask(parts, rng)` and gives `(recovered, log_variance)` for a picture and a mask.

    `settings` hold `spread`, the weight of how well the error is foretold.
    """

    def __init__(self, context: TrainContext) -> None:
        self.context = context
        self.net = context.net
        self._net = NetOptimiser(self.net, context.recipe.lr)
        self.modules: dict[str, nn.Module] = {"net": self.net}
        self.optimisers = self._net.parts
        kept = context.drawn_once(self._reals)
        self.images, self.parts = kept["images"], kept["parts"]

    def _reals(self) -> dict[str, Tensor]:
        found: dict[str, list[Tensor]] = {"images": [], "parts": []}
        for indices in self.context.chunks(self.context.recipe.pool, 64):
            batch = self.context.split[indices]
            assert batch.masks is not None
            found["images"].append((batch.images * 255).round().byte())
            found["parts"].append((merge_classes(batch.masks) * 255).round().byte())
        return {name: torch.cat(tensors) for name, tensors in found.items()}

    def step(self, i: int) -> dict[str, float]:
        recipe, device = self.context.recipe, self.context.device
        drawn = SampleRng(recipe.seed, "recovering-step", [str(i)], device=device)
        pick = drawn.integers(recipe.batch, high=len(self.images))[0]
        mirror = (drawn.uniform(recipe.batch)[0] < 0.5)[:, None, None, None]
        x, parts = self.images[pick].float() / 255, self.parts[pick].float() / 255
        x, parts = (torch.where(mirror, y.flip(3), y) for y in (x, parts))
        names = [f"{i}.{j}" for j in range(recipe.batch)]
        mask = self.net.draw_mask(parts, SampleRng(recipe.seed, "recovering", names, device=device))
        with self.context.autocast():
            made, log_variance = self.net(x, mask)
        error = (made.float() - x).square().mean(1, keepdim=True)
        squared = _masked_mean(error, mask)
        # How far off the error was foretold: the likelihood of a normal one of that variance.
        log_variance = log_variance.float()
        surprise = _masked_mean(error.detach() * (-log_variance).exp() + log_variance, mask)
        self._net.step(squared + recipe.settings["spread"] * surprise)
        return {"rms": float(squared.detach().sqrt()), "surprise": float(surprise.detach())}

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """On test faces: the rms error of masked pixels, that of the mean of what is not masked, and how much
        of the differences between the errors of faces was foretold (their correlation)."""
        test = self.context.for_testing()
        sums: dict[str, list[Tensor]] = {"rms": [], "mean": [], "expected": []}
        for indices in test.chunks(self.context.recipe.tested, 32, TESTED_FROM):
            batch = test.split[indices]
            assert batch.masks is not None
            x, seed = batch.images, self.context.recipe.seed
            rng = SampleRng(seed, "recovering-test", batch.ids, device=self.context.device)
            mask = self.net.draw_mask(merge_classes(batch.masks), rng)
            made, log_variance = self.net(x, mask)
            seen = (x * (1 - mask)).sum((2, 3), keepdim=True) / (1 - mask).sum((2, 3), keepdim=True)
            for name, y in (("rms", made.clamp(0, 1)), ("mean", seen)):
                sums[name].append(_each_mean((y - x).square().mean(1, keepdim=True), mask))
            sums["expected"].append(_each_mean(log_variance.exp(), mask))
        found = {name: torch.cat(parts).double() for name, parts in sums.items()}
        logs = torch.stack([found["rms"], found["expected"]]).clamp_min(1e-8).log()
        return {
            "rms": float(found["rms"].mean().sqrt()),
            "rms_of_the_mean": float(found["mean"].mean().sqrt()),
            "foretold": float(torch.corrcoef(logs)[0, 1]),
        }


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp_min(1)


def _each_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3)).clamp_min(1)
