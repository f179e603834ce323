"""A classifier of the generator's outputs, for detectors that were published for classifiers.

It learns what the generator was told: from an output G(x, c), the condition c. Every clean face is shown with
its own condition and with those of other faces, so that a few faces give many labelled outputs. Where there
is no condition (face replacement) it tells the generator's outputs from its inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.api import AnyCondition, Condition, FitData, Generator, Samples

from ._networks import SEED, compact, frozen, seeded
from ._resnet import ResNet

SMOOTHING = 0.1
DECAY = 4e-4
"""Label smoothing and weight decay of NNIF's classifier."""

LR = 2e-3


@dataclass(frozen=True)
class ClassifierPlan:
    """Width of the residual network, epochs over about `outputs` labelled images."""

    width: int
    epochs: int
    outputs: int


def labelled(c: AnyCondition) -> bool:
    """Whether there is something to name: the entries of a vector."""
    return isinstance(c, Condition) and c.values.shape[1] > 0


@torch.no_grad()
def labelled_outputs(clean: Samples, G: Generator, count: int, data: FitData) -> tuple[Tensor, Tensor]:
    """About `count` images `[n,3,H,W]` with labels `[n,A]` in [0,1]."""
    named = clean.conditions
    if not isinstance(named, Condition) or not labelled(named):
        made = [G(b.images, b.conditions) for b in clean.batches("learn")]
        both = torch.cat([clean.images, *made])
        return both, torch.arange(2, device=both.device).repeat_interleave(len(clean))[:, None].float()
    draw = torch.Generator().manual_seed(SEED)
    images, labels = [], []
    rounds = max(1, round(count / len(clean)))
    for i in range(rounds):
        order = torch.randperm(len(clean), generator=draw) if i else torch.arange(len(clean))
        told = named[order.to(clean.images.device)]
        together = clean.together("learn")
        for start in range(0, len(clean), together):
            part = slice(start, start + together)
            images.append(G(clean.images[part], told[part]))
            labels.append(told[part].values)
        data.progress(i + 1, rounds)
    return torch.cat(images), torch.cat(labels)


def build(plan: ClassifierPlan, labels: int, size: int, device: torch.device) -> ResNet:
    return seeded(partial(ResNet, plan.width, labels, size), device)


def train_classifier(
    images: Tensor, labels: Tensor, plan: ClassifierPlan, data: FitData, batch: int = 32
) -> ResNet:
    """A residual network with one logit per label, trained on the logistic loss; ready for use."""
    draw = torch.Generator().manual_seed(SEED)
    net = build(plan, labels.shape[1], images.shape[-1], images.device)
    per_epoch = -(-len(images) // batch)
    optimiser = torch.optim.AdamW(net.parameters(), LR, weight_decay=DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=plan.epochs * per_epoch)
    soft = labels * (1 - SMOOTHING) + SMOOTHING / 2
    net.train()
    for epoch in range(plan.epochs):
        for index in torch.randperm(len(images), generator=draw).to(images.device).split(batch):
            if len(index) < 2:
                continue  # batch norm has no statistics of one image
            with torch.enable_grad():
                loss = F.binary_cross_entropy_with_logits(net(images[index]), soft[index])
                optimiser.zero_grad()
                loss.backward()
            optimiser.step()
            rate.step()
        data.progress(epoch + 1, plan.epochs)
    return frozen(net, compact(net.state_dict()))  # what will be loaded again, to the last bit
