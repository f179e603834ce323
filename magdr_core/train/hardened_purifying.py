"""Training of a purifier on attacks that know it, which is adversarial training of the pipeline G(P(x)).

Madry et al., ICLR 2018 (arXiv 1706.06083), on Eq. 8's criterion: what the generator makes of the purified
image is held to what it makes of the clean one, where the image is clean and where it was attacked, by PGD
through purifier and generator as they are at that moment. The generator's weights stand still.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from magdr_core.train.patching import PatchingTrainer


class Purified(nn.Module):
    """G(P(x), c): `[B,3,H,W]` in [0,1] -> same.

    Args:
        purifier: a network with `residual`, its output before clamping.
        generator: without the guard, which would not let bfloat16 out.
    """

    def __init__(self, purifier: Any, generator: Any) -> None:
        super().__init__()
        self.purifier, self.generator = purifier, generator
        self.size, self.condition_names = generator.size, generator.condition_names

    def forward(self, x: Tensor, c: Any) -> Tensor:
        y: Tensor = self.generator(self.purifier.residual(x).float().clamp(0, 1), c)
        return y


class HardenedPurifyingTrainer(PatchingTrainer):
    """`settings` and figures of the card as :class:`PatchingTrainer`; what is trained is the purifier."""

    def _defended(self) -> nn.Module:
        return Purified(self.net, self.generator.component)
