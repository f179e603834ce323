"""Adversarial training of an editor, so that it is harder to disrupt.

Ruiz et al., Disrupting Deepfakes, ECCV workshops 2020 (arXiv 2003.01279; github.com/natanielruiz/
disrupting-deepfakes): every image that a network is trained on is attacked first, by sign steps that drive
the editor's output away from mid-grey. Their `G` attacks the editor's inputs; their `G+D`, the default, also
attacks the real and the edited pictures that the critic is shown.
"""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.components.batch import VectorCondition
from magdr_core.components.rng import SampleRng
from magdr_core.train.editing import EditingTrainer, Shown

GREY = 0.5


class AdversarialEditingTrainer(EditingTrainer):
    """The editor's training on attacked images.

    `settings` also holds, in [0,1] units: `attack_eps`, the ball; `attack_step`, the length of a step; and
    `attack_steps`. `attack_critic` is 1 for G+D, 0 for G. `attack_from_result` is 0 for attacks away from
    mid-grey, as published, and 1 for attacks away from the exact result of the edit, which are the strongest
    by the loss that the editor is trained on.
    """

    def shown(self, images: Tensor, c: VectorCondition, i: int, what: Shown, target: Tensor) -> Tensor:
        """Attacked images in place of these, `[B,3,H,W]` in [0,1] -> same; what the critic is shown only with
        `attack_critic`."""
        if what != "input" and not self.loss["attack_critic"]:
            return images
        ids = [f"{i}.{j}" for j in range(len(images))]
        seed, device = self.context.recipe.seed, self.context.device
        away_from = target if self.loss["attack_from_result"] else torch.full_like(target, GREY)
        rng = SampleRng(seed, f"adversarial-{what}", ids, device=device)
        return self.attacked(images, c, rng, away_from)

    def attacked(self, images: Tensor, c: VectorCondition, rng: SampleRng, away_from: Tensor) -> Tensor:
        """PGD on the editor as it is now, away from these outputs; `[B,3,H,W]` in [0,1] -> same."""
        eps, step = self.loss["attack_eps"], self.loss["attack_step"]
        start = rng.uniform(*images.shape[1:], low=-eps, high=eps)
        x = (images + start).clamp(0, 1)
        for _ in range(int(self.loss["attack_steps"])):
            with torch.enable_grad():
                x = x.detach().requires_grad_(True)
                with self.context.autocast():
                    y = self.net(x, c).float()
                # With respect to the image alone: the editor's own gradients are not touched.
                error = y - self.wanted(images, away_from, x.detach())
                (gradient,) = torch.autograd.grad(error.square().sum(), x)
            x = x.detach() + step * gradient.sign()
            x = torch.minimum(torch.maximum(x, images - eps), images + eps).clamp(0, 1)
        return x.detach()
