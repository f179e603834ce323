"""Training of a twin: a second network for a generator's task, whose output stands still under attack.

A twin G' is held to what G itself makes of the clean face, also where it is shown the face attacked, noisy
or smoothly perturbed. So G(x) and G'(x) differ little on clean and on noisy images, and much where G was
disrupted. How small a disruption that tells is set by the faces on which the two agree worst, clean or
attacked, and those are drawn more often.

What a network with an attention mask copies from its input is not its doing: a twin is to copy as much of
the perturbation as G does on the clean face. It would call all noise an attack otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from magdr_core.components.batch import Batch, VectorCondition
from magdr_core.components.objective import build_objective
from magdr_core.components.rng import SampleRng
from magdr_core.functional import gaussian_blur
from magdr_core.guards import GuardedGenerator
from magdr_core.runtime.samples import draw_samples
from magdr_core.train.context import TrainContext
from magdr_core.train.editing import image_gradients
from magdr_core.train.optimiser import NetOptimiser, as_named

CLEAN = 3
"""Images of a batch that are shown as they are; the rest is perturbed."""

SMOOTH, NOISY = 0.25, 0.15
"""Shares of the perturbed images: attacked along blurred gradients, and with random signs."""

SIGMAS = (1.0, 4.0)
"""Standard deviations of the blurs, in pixels."""

LATELY = 0.02
"""Weight of the newest batch in what error is usual."""

STEP = 0.75
"""Length of an attack's step, in strengths."""

DISRUPTED = 64
"""Test faces that the card's figures under attack are measured on."""


class Difficulty(nn.Module):
    """How often each training face is drawn: half of the draws are even, half in proportion to the squared
    error that the face was last seen with. A module, so that checkpoints have it."""

    error: Tensor
    usual: Tensor

    def __init__(self, faces: int) -> None:
        super().__init__()
        self.register_buffer("error", torch.ones(faces))
        self.register_buffer("usual", torch.zeros(2))

    def draw(self, u: Tensor) -> Tensor:
        """Indices for numbers `u` `[B]` in [0,1)."""
        ends = (0.5 + 0.5 * self.error / self.error.mean().clamp_min(1e-12)).double().cumsum(0)
        return torch.searchsorted(ends, u.double() * ends[-1]).clamp_max(len(ends) - 1)

    def note(self, pick: Tensor, errors: Tensor, attacked: Tensor) -> None:
        """Take the squared errors `[B]` of drawn faces, in units of what is usual lately for clean faces and
        for attacked ones (bool `[B]`)."""
        for kind in (0, 1):
            rows = attacked == bool(kind)
            if not rows.any():
                continue
            mean = errors[rows].mean().clamp_min(1e-12)
            self.usual[kind] = mean if self.usual[kind] == 0 else self.usual[kind].lerp(mean, LATELY)
            # A face that was drawn twice counts with the larger error, on every device.
            in_units = errors[rows] / self.usual[kind]
            self.error.scatter_reduce_(0, pick[rows], in_units, "amax", include_self=False)


class TwinTrainer:
    """`settings` hold `eps_from` and `eps_to`, between which strengths are drawn, and `attack_steps`."""

    def __init__(self, context: TrainContext) -> None:
        self.context = context
        self.net = context.net
        self.net.to(memory_format=torch.channels_last)
        toolkit, recipe = context.toolkit, context.recipe
        self.generator: GuardedGenerator = (
            toolkit.generator("victim") if recipe.victim else toolkit.sibling("generator", recipe.use)
        )
        self._G: Any = self.generator.component  # without the guard, which would not let bfloat16 out
        self._net = NetOptimiser(self.net, context.recipe.lr, muon_lr=None)
        self.optimisers = as_named([("net", self._net)])
        kept = context.drawn_once(self._examples)
        self.images, self.made, self.copied = kept["images"], kept["made"], kept["copied"]
        self.conditions = VectorCondition(kept["values"], kept["changed"])
        self.difficulty = Difficulty(len(self.images)).to(context.device)
        self.modules: dict[str, nn.Module] = {"net": self.net, "difficulty": self.difficulty}

    @torch.no_grad()
    def _examples(self) -> dict[str, Tensor]:
        """Faces with one edit each; what G makes of them, and which share of the input that copies."""
        parts: dict[str, list[Tensor]] = {k: [] for k in ("images", "made", "copied", "values", "changed")}
        for indices in self.context.chunks(self.context.recipe.pool, 32):
            batch = self.context.split[indices]
            c = self._drawn(batch)
            made, copied = self._parts(batch.images, c)
            parts["images"].append((batch.images * 255).round().byte())
            parts["made"].append(made.half())
            parts["copied"].append(copied.half())
            parts["values"].append(c.values)
            parts["changed"].append(c.changed)
        return {name: torch.cat(tensors) for name, tensors in parts.items()}

    def _drawn(self, batch: Batch) -> VectorCondition:
        rng = SampleRng(self.context.recipe.seed, "twin-condition", batch.ids, device=self.context.device)
        c = self.generator.draw(batch, rng)
        assert isinstance(c, VectorCondition), "the shipped generators take vectors"
        return c

    def _parts(self, x: Tensor, c: VectorCondition) -> tuple[Tensor, Tensor]:
        """G's output as what it makes, `[B,3,H,W]`, and which share of its input it adds, `[B,1,...]`."""
        y: Tensor = self._G(x, c)
        if (found := blended_from(self._G, x, c, y)) is None:
            return y, x.new_zeros(len(x), 1, 1, 1)
        colour, attention = found
        return (1 - attention) * colour, attention

    def step(self, i: int) -> dict[str, float]:
        recipe, device = self.context.recipe, self.context.device
        rng = SampleRng(recipe.seed, "twin-step", [str(i)], device=device)
        pick = self.difficulty.draw(rng.uniform(recipe.batch)[0])
        clean, c = self.images[pick].float() / 255, self.conditions[pick]
        made, copied = self.made[pick].float(), self.copied[pick].float()
        ids = [f"{i}.{j}" for j in range(recipe.batch)]
        n = min(CLEAN, recipe.batch - 1)
        each = SampleRng(recipe.seed, "twin-attack", ids, device=device).select(slice(n, None))
        attacked = self.attacked(clean[n:], c[n:], made[n:], copied[n:], each)
        seen = torch.cat([clean[:n], attacked])
        target = made + copied * seen
        with self.context.autocast():
            y = self.net(seen, c).float()
        error = y - target
        gradient = sum(
            (a - b).abs().mean() for a, b in zip(image_gradients(y), image_gradients(target), strict=True)
        )
        self._net.step(error.abs().mean() + 10 * error.square().mean() + gradient)
        squared = error.detach().square().flatten(1).mean(1)
        self.difficulty.note(pick, squared, torch.arange(len(pick), device=device) >= n)
        rms = squared.sqrt()
        return {"clean": float(rms[:n].mean()), "attacked": float(rms[n:].mean())}

    def attacked(
        self, clean: Tensor, c: VectorCondition, made: Tensor, copied: Tensor, rng: SampleRng
    ) -> Tensor:
        """Perturbed faces, `[B,3,H,W]` in [0,1] -> same: away from the target on the twin as it is now.

        From a random start; most along the signs of the gradient, some along a blurred gradient, and some
        are noise alone.

        Args:
            made, copied: the target is `made + copied * x`.
        """
        settings = self.context.recipe.settings
        eps = rng.uniform(1, 1, 1, low=settings["eps_from"], high=settings["eps_to"])
        kind = rng.uniform(1, 1, 1)
        smooth, noisy = kind < SMOOTH, kind > 1 - NOISY
        low, high = (math.log(sigma) for sigma in SIGMAS)
        sigma = math.exp(float(rng.uniform(1, low=low, high=high)[0]))
        noise = rng.uniform(*clean.shape[1:], low=-1.0, high=1.0)
        x = (clean + eps * torch.where(smooth, blurred(noise, sigma), noise)).clamp(0, 1)
        for _ in range(int(settings["attack_steps"])):
            with torch.enable_grad():
                x = x.detach().requires_grad_(True)
                with self.context.autocast():
                    y = self.net(x, c).float()
                # With respect to the image alone: the twin's own gradients are not touched.
                (gradient,) = torch.autograd.grad((y - made - copied * x).square().sum(), x)
            direction = torch.where(smooth, blurred(gradient, sigma), gradient.sign())
            x = x.detach() + STEP * eps * direction
            x = torch.minimum(torch.maximum(x, clean - eps), clean + eps).clamp(0, 1)
        return torch.where(noisy, (clean + eps * noise.sign()).clamp(0, 1), x)

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """How far G and its twin are apart, and how far each is moved: RMS in levels of 255, test faces.

        `gap_*`: between the two outputs on the same image, on average and beyond the worst or best percent;
        `pgd` is PGD (6/255, 30 steps) on G, `noise` random signs of that strength. `moved_*`: outputs
        against those on clean images, under PGD on the network itself, for the twin also under PGD on G.
        """
        return self.context.on_test_faces(self._measured)

    def _measured(self, test: TrainContext) -> dict[str, float]:
        G, twin = self.generator, GuardedGenerator(self.net, "the twin in training")
        pgd = test.toolkit.sibling("attack", "pgd", eps=6 / 255, steps=30)
        noise = test.toolkit.sibling("attack", "noise", eps=6 / 255)
        found: dict[str, list[Tensor]] = {}

        def note(name: str, a: Tensor, b: Tensor) -> None:
            found.setdefault(name, []).append(255 * (a - b).square().flatten(1).mean(1).sqrt())

        for indices in test.tested(32):
            clean = draw_samples(test.split, G, first=indices[0], count=len(indices), seed=0)[0]
            x, c = clean.images, clean.conditions
            y, own = G(x, c), twin(x, c)
            note("gap_clean", y, own)
            if indices[0] >= (test.first or 0) + DISRUPTED:
                continue
            for name, attack, victim in (("pgd", pgd, G), ("noise", noise, G), ("own_pgd", pgd, twin)):
                rng = SampleRng(0, f"attack/{name}", clean.ids, device=x.device)
                with torch.enable_grad():
                    attacked = attack(x, build_objective("untargeted", victim, x, c), rng=rng)
                seen = twin(attacked, c)
                if victim is twin:
                    note("moved_twin_own_pgd", seen, own)
                    continue
                note(f"gap_{name}", G(attacked, c), seen)
                note(f"moved_generator_{name}", G(attacked, c), y)
                note(f"moved_twin_{name}", seen, own)
        values = {name: torch.cat(parts) for name, parts in found.items()}
        tails = {"gap_clean": 0.99, "gap_noise": 0.99, "gap_pgd": 0.01}
        return {
            "disrupted_faces": float(len(values["gap_pgd"])),
            **{name: float(v.mean()) for name, v in values.items()},
            **{f"{name}_{100 * q:.0f}": float(values[name].quantile(q)) for name, q in tails.items()},
        }


def blended_from(G: Any, x: Tensor, c: VectorCondition, y: Tensor) -> tuple[Tensor, Tensor] | None:
    """The colour image `[B,3,H,W]` and the attention mask `[B,1,H,W]` that an output `y = G(x,c)` is made
    of, `attention * x + (1 - attention) * colour`; None where the network has no such `heads`."""
    if not callable(heads := getattr(G, "heads", None)):
        return None
    try:
        colour, attention = heads(x, c)
        same = torch.allclose(attention * x + (1 - attention) * colour, y, atol=1e-3)
    except Exception:  # a network of somebody else's, to which the name means something else
        return None
    return (colour, attention) if same else None


def blurred(x: Tensor, sigma: float) -> Tensor:
    """A blurred direction, `[B,3,H,W]` -> same in [-1,1], 1 at and above its mean size."""
    size = x.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-30)
    y = gaussian_blur(0.5 + 0.5 * x / size, sigma) - 0.5
    return (y / y.abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-30)).clamp(-1, 1)
