"""Training of low-rank patches that make a generator stand still under attack.

LoRA Patching (Qu et al., arXiv 2510.03747; github.com/ZOMIN28/LoRA-Patching): the patched generator's output
is held to the first one's on the clean face, where it is shown that and where it is shown it attacked, by PGD
on the patched generator as it is at that moment. Squared errors, Adam with betas .5 and .999.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from magdr_core.components.batch import Batch, VectorCondition
from magdr_core.components.objective import build_objective
from magdr_core.components.rng import SampleRng
from magdr_core.guards import GuardedGenerator
from magdr_core.runtime.samples import draw_samples
from magdr_core.train.context import TrainContext
from magdr_core.train.optimiser import NetOptimiser

DISRUPTED = 8
"""Test faces that the card's figures under attack are measured on."""


class PatchingTrainer:
    """`settings` hold `eps_from` and `eps_to`, between which strengths are drawn, `attack_steps`, and
    `attack_step`, the length of a step in strengths."""

    def __init__(self, context: TrainContext) -> None:
        self.context = context
        self.net = context.net
        self.generator: GuardedGenerator = context.toolkit.generator("victim")
        self.defended = self._defended()
        self._net = NetOptimiser(self.net, context.recipe.lr, betas=(0.5, 0.999), muon_lr=None)
        self.modules: dict[str, nn.Module] = {"net": self.net}
        self.optimisers = self._net.parts
        kept = context.drawn_once(self._examples)
        self.images, self.outputs = kept["images"], kept["outputs"]
        self.conditions = VectorCondition(kept["values"], kept["changed"])

    def _defended(self) -> nn.Module:
        """What is to stand still: of `[B,3,H,W]` and conditions, whose output is the generator's."""
        return self.net

    @torch.no_grad()
    def _examples(self) -> dict[str, Tensor]:
        """Faces with one edit each, and what the first generator makes of them."""
        parts: dict[str, list[Tensor]] = {k: [] for k in ("images", "outputs", "values", "changed")}
        for indices in self.context.chunks(self.context.recipe.pool, 32):
            batch = self.context.split[indices]
            c = self._drawn(batch)
            parts["images"].append((batch.images * 255).round().byte())
            parts["outputs"].append(self.generator(batch.images, c).half())
            parts["values"].append(c.values)
            parts["changed"].append(c.changed)
        return {name: torch.cat(tensors) for name, tensors in parts.items()}

    def _drawn(self, batch: Batch) -> VectorCondition:
        rng = SampleRng(self.context.recipe.seed, "patch-condition", batch.ids, device=self.context.device)
        c = self.generator.draw(batch, rng)
        assert isinstance(c, VectorCondition), "the shipped generators take vectors"
        return c

    def step(self, i: int) -> dict[str, float]:
        recipe, device = self.context.recipe, self.context.device
        rng = SampleRng(recipe.seed, "patch-step", [str(i)], device=device)
        pick = rng.integers(recipe.batch, high=len(self.images))[0]
        clean, c, target = self.images[pick].float() / 255, self.conditions[pick], self.outputs[pick].float()
        ids = [f"{i}.{j}" for j in range(recipe.batch)]
        attacked = self.attacked(clean, c, target, SampleRng(recipe.seed, "patch-attack", ids, device=device))
        with self.context.autocast():
            y = self.defended(torch.cat([clean, attacked]), c.repeat(2)).float()
        errors = (y - target.repeat(2, 1, 1, 1)).square().flatten(1).mean(1)
        still, moved = errors.chunk(2)
        self._net.step(still.mean() + moved.mean())
        return {"clean": float(still.detach().mean().sqrt()), "attacked": float(moved.detach().mean().sqrt())}

    def attacked(self, clean: Tensor, c: VectorCondition, target: Tensor, rng: SampleRng) -> Tensor:
        """PGD on what is defended as it is now, away from the target; `[B,3,H,W]` in [0,1] -> same."""
        settings = self.context.recipe.settings
        eps = rng.uniform(1, 1, 1, low=settings["eps_from"], high=settings["eps_to"])
        x = (clean + eps * rng.uniform(*clean.shape[1:], low=-1.0, high=1.0)).clamp(0, 1)
        for _ in range(int(settings["attack_steps"])):
            with torch.enable_grad():
                x = x.detach().requires_grad_(True)
                with self.context.autocast():
                    y = self.defended(x, c).float()
                # With respect to the image alone: the gradients of what is trained are not touched.
                (gradient,) = torch.autograd.grad((y - target).square().sum(), x)
            x = x.detach() + settings["attack_step"] * eps * gradient.sign()
            x = torch.minimum(torch.maximum(x, clean - eps), clean + eps).clamp(0, 1)
        return x.detach()

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """Output MSE (0 to 255 squared) on test faces, against the first generator's outputs on clean faces.

        `mse_o_clean`: of the defended generator on clean faces. `pgd` is PGD (6/255, 30 steps) on the first
        generator, whose own error is `undefended`; `own_pgd` is the same attack on the defended one.
        """
        return self.context.on_test_faces(self._measured)

    def _measured(self, test: TrainContext) -> dict[str, float]:
        G, defended = self.generator, GuardedGenerator(self.defended, "the defended generator in training")
        pgd = test.toolkit.sibling("attack", "pgd", eps=6 / 255, steps=30)
        found: dict[str, list[Tensor]] = {}

        def note(name: str, a: Tensor, b: Tensor) -> None:
            found.setdefault(name, []).append(255**2 * (a - b).square().flatten(1).mean(1))

        for indices in test.tested(8):
            clean = draw_samples(test.split, G, first=indices[0], count=len(indices), seed=0)[0]
            x, c = clean.images, clean.conditions
            y = G(x, c)
            note("mse_o_clean", defended(x, c), y)
            if indices[0] >= (test.first or 0) + DISRUPTED:
                continue
            for name, victim in (("pgd", G), ("own_pgd", defended)):
                rng = SampleRng(0, "attack/pgd", clean.ids, device=x.device)
                with torch.enable_grad():
                    attacked = pgd(x, build_objective("untargeted", victim, x, c), rng=rng)
                note(f"mse_o_{name}", defended(attacked, c), y)
                if victim is G:
                    note("mse_o_pgd_undefended", G(attacked, c), y)
        values = {name: torch.cat(parts) for name, parts in found.items()}
        return {
            "disrupted_faces": float(len(values["mse_o_pgd"])),
            **{name: float(v.mean()) for name, v in values.items()},
        }
