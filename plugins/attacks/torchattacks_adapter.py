"""Attacks of the torchattacks package (Kim, arXiv 2010.01950) on a generator.

torchattacks attacks classifiers. Here the generator and the objective are shown to it as one: an image has
the logits `[goal, L(x)]`, L being the objective's loss and the goal an output MSE of tau, and label 0. So it
is "misclassified" when it disrupts, cross-entropy grows with L, and PGD takes the steps of a direct PGD on L.
What torchattacks 3.5 does that results must not depend on is kept out:

- The gradient at the clean image is exactly zero, so an attack that starts there would never move. The
  classifier looks at a jittered copy whenever it is shown the clean image itself.
- Random numbers come from the caller's streams, one per image; the global generators are left as they were.
- A batch's mean loss gives each image a gradient that depends on the batch's size. Attacks that use only the
  gradient's direction are given that of L itself. All others, and those that call the classifier on a part of
  the batch, stop early on a batch's sum or share a draw within a batch, get one image at a time.
- `eval()` and `train()` do not reach the generator, and no gradient is left in its parameters.
- Attacks that look for the smallest perturbation see every image as it will be delivered: clipped to the eps
  ball and rounded to 8 bits. Whatever comes back is clipped, too.

An attack of that kind, and those that only return "adversarial" images (APGD, Square, FAB), return an image
that never passed tau unchanged. `keep_best = true` returns the image of highest loss that they looked at.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import AfterValidator
from torch import Tensor

from magdr_core.api import AttackSpec, Eps, Field, Objective, SampleRng, hookimpl
from magdr_core.functional import project_linf

from ._classifier import Classifier, own_randomness
from ._torchattacks_list import ATTACKS, UNSUPPORTED, checked, class_of, counted, known, parameters_of

MAGDR_API = 1

__all__ = ["ATTACKS", "UNSUPPORTED", "TorchAttack"]


class TorchAttack:
    """An attack of the torchattacks package, by its class's name; steps = 0 takes the class's default.

    The module's docstring says how a generator looks to it.

    Args:
        attack: name of the torchattacks class, such as `PGD` or `DIFGSM`.
        eps: L-infinity bound in [0,1] units.
        steps: number of steps, under whatever name the class has for it.
        tau: mean squared error of the output, in [-1,1] units, that counts as success.
        keep_best: whether the image of highest loss in the ball is returned, of all that the attack
            looked at.
        options: further arguments of the class, by name.
    """

    def __init__(
        self,
        *,
        attack: Annotated[str, AfterValidator(known)] = "PGD",
        eps: Eps = 6 / 255,
        steps: Annotated[int, Field(ge=0, le=100_000), AfterValidator(counted)] = 0,
        tau: Annotated[float, Field(gt=0, le=4)] = 0.05,
        keep_best: bool = False,
        options: Annotated[dict[str, Any], AfterValidator(checked)] = {},  # noqa: B006 (a schema's default)
    ) -> None:
        self.attack, self.trait = attack, ATTACKS[attack]
        self.eps, self.tau, self.keep_best = eps, tau, keep_best
        own, self.arguments = parameters_of(attack), dict(self.trait.options)
        if self.trait.bound:
            self.arguments[self.trait.bound] = eps
            if "alpha" in own:  # the step size keeps its ratio to the bound
                self.arguments["alpha"] = eps * own["alpha"] / own[self.trait.bound]
        if self.trait.steps:
            self.arguments[self.trait.steps] = steps or own[self.trait.steps]
        self.arguments |= options

    def __call__(self, x: Tensor, objective: Objective, *, rng: SampleRng) -> Tensor:
        """`[B,3,H,W]` clean 8-bit images -> `[B,3,H,W]` attacked ones, within eps and [0,1].

        Raises:
            ComponentError: an option made the attack change the size of the images.
        """
        if self.eps == 0 or not len(x):
            return x.clone()
        if self.trait.batched:
            return self._run(x, objective, rng)
        alone = torch.arange(len(x), device=x.device).split(1)
        return torch.cat([self._run(x[i], objective.select(i), rng.select(i)) for i in alone])

    def _run(self, x: Tensor, objective: Objective, rng: SampleRng) -> Tensor:
        with own_randomness(rng, x.device) as draws, torch.enable_grad():
            classifier = Classifier(
                x,
                objective,
                objective.goal(self.tau),
                self.eps,
                draws,
                delivered=self.trait.delivered,
                unit=self.trait.batched,
            )
            attack = class_of(self.attack)(classifier, **self.arguments)
            returned = attack(x.clone(), torch.zeros(len(x), dtype=torch.long, device=x.device))
        x_hat = project_linf(returned.detach(), x, self.eps)
        if not self.keep_best:
            return x_hat
        loss, _, _ = objective.evaluate(x_hat)
        return torch.where((classifier.best_loss > loss)[:, None, None, None], classifier.best, x_hat)


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [
        AttackSpec(
            name="torchattacks",
            build=TorchAttack,
            stochastic=True,
            requires=("torchattacks",),
            cite="Kim, Torchattacks: A PyTorch Repository for Adversarial Attacks, arXiv 2010.01950",
        )
    ]
