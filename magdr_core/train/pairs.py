"""What the trainers of exact pairs share: a network, a small critic against it, an optimiser for each."""

from __future__ import annotations

import torch
from torch import nn

from magdr_core.train.context import TrainContext
from magdr_core.train.optimiser import NetOptimiser, as_named


class PairsTrainer:
    """The network of the recipe and a critic, ready for training.

    Args:
        critic: tells real pictures from the network's.
    """

    def __init__(self, context: TrainContext, critic: nn.Module) -> None:
        self.context = context
        self.net = context.net
        self.critic = critic.to(context.device)
        self.net.to(memory_format=torch.channels_last)  # faster on a CPU in bfloat16
        self.modules: dict[str, nn.Module] = {"net": self.net, "critic": self.critic}
        recipe = context.recipe
        self._net = NetOptimiser(self.net, recipe.lr)
        self._critic = NetOptimiser(self.critic, recipe.lr / 3, betas=(0.5, 0.99), muon_lr=None)
        self.optimisers = as_named([("net", self._net), ("critic", self._critic)])
        self.loss = recipe.settings
