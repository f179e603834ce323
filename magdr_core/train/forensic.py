"""Training of forged-face classifiers, with or without an adversary: one trainer, so that the arms differ by
one thing.

Each update sees real pictures and forgeries of the same scenes, half and half, and where there is an
adversary the same pictures once more as it changed them, all with the same weight. Every arm makes the same
number of updates; what an adversary costs beside them is logged.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from magdr_core.components.rng import SampleRng
from magdr_core.measures.statistics import auroc
from magdr_core.train.context import TrainContext
from magdr_core.train.evasions import (
    BlurGame,
    BlurSteps,
    Evasion,
    RandomBlur,
    SignSteps,
    cross_entropy,
    uniform_blur,
)
from magdr_core.train.forged_pairs import Families, families_of, kept_pairs, measured_pairs
from magdr_core.train.optimiser import NetOptimiser
from magdr_core.train.ordinary_augmentation import augmented

REPORT = 50
"""Updates between two reports of what blurs do to the classifier."""


class ForensicTrainer:
    """`settings` hold the share of each forgery, as `forgery:NAME`; `innocent`, the share of reals that went
    through a forgery's pipeline without its forgery; `augment`, 1 for the ordinary augmentation before
    anything else; `s_min`, the least precision of every blur; `eps`, `attack_steps` and `game_lr` of the
    adversaries that have them; and `published`, 1 for the published form of an adversary.

    Args:
        evasion: the adversary; None for none.
        families: the forgeries by name; those that the settings name, built, if None.
    """

    def __init__(
        self, context: TrainContext, evasion: Evasion | None = None, families: Families | None = None
    ) -> None:
        self.context = context
        self.net = context.net
        self.evasion = evasion
        self.families = families_of(context) if families is None else families
        self.pairs = kept_pairs(context, self.families)
        self.s_min = context.recipe.settings.get("s_min", 1.0)
        self._control = RandomBlur(self.s_min)
        self._net = NetOptimiser(self.net, context.recipe.lr, betas=(0.9, 0.999), muon_lr=None)
        self.modules: dict[str, nn.Module] = {"net": self.net}
        self.optimisers = self._net.parts
        if evasion is not None:
            self.modules |= evasion.modules
            self.optimisers = {**self.optimisers, **evasion.optimisers}
        self._report: dict[str, float] = {}

    def classify(self, x: Tensor) -> Tensor:
        """Log odds of a forgery, `[B,3,H,W]` -> `[B]`."""
        with self.context.autocast():
            result: Tensor = self.net(x)
        return result.float()

    def step(self, i: int) -> dict[str, float]:
        x, fake, rng = self.drawn(i)
        shown = [x]
        if self.evasion is not None:
            # The adversary works against the classifier as it is, not as it is being trained.
            self.net.eval()
            self.evasion.learn(self.classify, x, fake)
            shown.append(self.evasion(self.classify, x, fake, rng.fork(2)).detach())
            self.net.train()
        every = cross_entropy(self.classify(torch.cat(shown)), fake.repeat(len(shown)))
        self._net.step(every.mean())
        if (i + 1) % REPORT == 0 or not self._report:
            self._report = self.report(x, fake, rng.fork(3))
        per_part = every.detach().reshape(len(shown), -1).mean(1)
        named = dict(zip(("clean", "adversarial"), per_part.tolist(), strict=False))
        gradients = 0 if self.evasion is None else self.evasion.gradients
        return {**named, **self._report, "gradients": float(gradients)}

    def drawn(self, i: int) -> tuple[Tensor, Tensor, SampleRng]:
        """Step i's pictures `[B,3,H,W]`, the reals and then the fakes of the same scenes; their labels `[B]`;
        and their streams."""
        recipe, device = self.context.recipe, self.context.device
        count = max(1, recipe.batch // 2)
        step = SampleRng(recipe.seed, "forensic-step", [str(i)], device=device)
        pick = step.integers(count, high=len(self.pairs))[0]
        real, forged, _ = self.pairs.pictures(pick, step.uniform(count)[0] < 0.5)
        x = torch.cat([real, forged])
        fake = torch.arange(2 * count, device=device).ge(count).float()
        rng = SampleRng(recipe.seed, "forensic", [f"{i}.{j}" for j in range(2 * count)], device=device)
        return (augmented(x, rng.fork(1)) if recipe.settings.get("augment") else x), fake, rng

    def report(self, x: Tensor, fake: Tensor, rng: SampleRng) -> dict[str, float]:
        """Mean cross entropy on `[B,3,H,W]`, labels `[B]`, as it is, under uniform, random and the
        adversary's blur: an adversary that does nothing looks like one that works otherwise."""
        self.net.eval()
        seen = {
            "ce_clean": x,
            "ce_uniform": uniform_blur(x, self.s_min),
            "ce_random": self._control(self.classify, x, fake, rng),
        }
        if self.evasion is not None:
            seen["ce_adversary"] = self.evasion(self.classify, x, fake, rng.fork(1))
        with torch.no_grad():
            found = {k: float(cross_entropy(self.classify(y), fake).mean()) for k, y in seen.items()}
        self.net.train()
        return found

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """AUC on test faces against the reals of the same scenes: all forgeries, each family, and the
        pipelines without a forgery: what of it all is nothing but resampling and feathers."""
        return self.context.on_test_faces(self._measured)

    def _measured(self, test: TrainContext) -> dict[str, float]:
        pairs = measured_pairs(test, self.families)
        through = measured_pairs(test, self.families, innocent=1.0).real
        real, fake, innocent = (self._scores(x) for x in (pairs.real, pairs.fake, through))
        quality = {"auc": float(auroc(real, fake)), "auc_innocent": float(auroc(real, innocent))}
        for k, name in enumerate(pairs.names):
            rows = (pairs.family == k).cpu().numpy()
            if rows.any():
                quality[f"auc_{name.replace('-', '_')}"] = float(auroc(real[rows], fake[rows]))
        return quality

    def _scores(self, x: Tensor) -> np.ndarray:
        parts = [self.net(some.float() / 255) for some in x.split(64)]
        return torch.cat(parts).double().cpu().numpy()


def plain(context: TrainContext) -> ForensicTrainer:
    """Without an adversary."""
    return ForensicTrainer(context)


def random_blur(context: TrainContext) -> ForensicTrainer:
    """Against random blurs: the control."""
    return ForensicTrainer(context, RandomBlur(context.recipe.settings.get("s_min", 1.0)))


def pgd(context: TrainContext) -> ForensicTrainer:
    """Against projected gradient ascent."""
    settings = context.recipe.settings
    steps = int(settings["attack_steps"])
    return ForensicTrainer(
        context, SignSteps(settings["eps"], steps, published=bool(settings.get("published")))
    )


def blur_gradient(context: TrainContext) -> ForensicTrainer:
    """Against blurs that are searched for picture by picture."""
    settings = context.recipe.settings
    steps, published = int(settings["attack_steps"]), bool(settings.get("published"))
    return ForensicTrainer(context, BlurSteps(settings["s_min"], steps, published=published))


def blur_game(context: TrainContext) -> ForensicTrainer:
    """Against two networks that learn where to blur."""
    settings = context.recipe.settings
    game = BlurGame(
        settings["s_min"],
        settings["game_lr"],
        int(settings["attack_steps"]),
        device=context.device,
        published=bool(settings.get("published")),
        autocast=context.autocast,
    )
    return ForensicTrainer(context, game)
