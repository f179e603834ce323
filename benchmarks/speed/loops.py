"""The attack loop on StarGAN at 128 pixels: the public loop, torchattacks, ours, ours with `[speed]`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from clock import Clock, rows_of
from reference_loop import reference_loop, reference_network
from torch import Tensor, nn

from magdr_core import Toolkit
from magdr_core.components.batch import Condition
from magdr_core.components.objective import DisruptionObjective
from magdr_core.components.rng import SampleRng
from magdr_core.registry.read import packaged_registry, parse_registry

EPS, STEP = 0.025, 0.005
"""In [0,1] units; the public code's .05 and .01 of [-1,1]."""

SAME_LOSS = 0.01
"""Relative difference of losses up to which two loops did the same. Signs of gradients near zero differ with
the last digit, so equal loops drift apart slowly."""

BF16_LOSS = 0.1

REGISTRY = """
[generator.editing]
use = "stargan"
params = {{ weights = "random", width = 64, blocks = 6, size = {size} }}

[attack.pgd]
params = {{ eps = {eps}, step = {step}, steps = {steps} }}
"""

SETTINGS = {
    "ours": "",
    "ours, columns": "columns = true",
    "ours, winograd": "winograd = true",
    "ours, columns + winograd": "columns = true\nwinograd = true",
    "ours, compile": "compile = true",
    "ours, columns + winograd + compile": "columns = true\nwinograd = true\ncompile = true",
    "ours, channels_last": "channels_last = true",
    "ours, bfloat16": 'dtype = "bfloat16"',
    "ours, bfloat16 + columns": 'dtype = "bfloat16"\ncolumns = true',
    "ours, bfloat16 + channels_last": 'dtype = "bfloat16"\nchannels_last = true',
    "ours, bfloat16 + columns + compile": 'dtype = "bfloat16"\ncolumns = true\ncompile = true',
}


class Recorded(DisruptionObjective):
    """Remembers the losses that the attack saw."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.losses: list[Tensor] = []

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        loss, gradient = super().gradient(x)
        self.losses.append(loss.mean())
        return loss, gradient


class Loops:
    """The contestants on one set of images.

    Args:
        size: side of the images.
        batch: images.
        steps: of every attack.
    """

    def __init__(self, device: str, *, size: int = 128, batch: int = 4, steps: int = 10) -> None:
        self.device, self.steps = device, steps
        text = REGISTRY.format(size=size, eps=EPS, step=STEP, steps=steps)
        self.toolkit = Toolkit(parse_registry(text, packaged_registry()), device=device)
        self.ids = [str(i) for i in range(batch)]
        draw = SampleRng(0, "faces", self.ids, device=self.toolkit.device)
        # Away from 0 and 1, where the loops clip their first iterates differently.
        coarse = draw.uniform(3, 8, 8, low=0.2, high=0.8)
        self.x = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")
        values = torch.zeros(batch, 5, device=self.x.device)
        values[torch.arange(batch), torch.arange(batch) % 5] = 1.0
        self.c = Condition(values, values > 0)

    def _rng(self) -> SampleRng:
        return SampleRng(0, "attack/pgd", self.ids, device=self.x.device)

    def reference(self) -> Callable[[], list[Tensor]]:
        net = reference_network(self.toolkit.generator("editing").component.main)
        start = self.x + EPS * self._rng().uniform(*self.x.shape[1:], low=-1.0, high=1.0)

        def run() -> list[Tensor]:
            sym = 2 * self.x - 1
            found = reference_loop(
                net, sym, self.c.values, 2 * start - 1, eps=2 * EPS, step=2 * STEP, steps=self.steps
            )
            return found[1]

        return run

    def ours(self, settings: str) -> Callable[[], list[Tensor]]:
        toolkit = self.toolkit.extended(f"[speed]\n{settings}\n")
        G, attack = toolkit.generator("editing"), toolkit.build("attack", "pgd")

        def run() -> list[Tensor]:
            objective = Recorded(G, self.x, self.c)
            attack.component(self.x, objective, rng=self._rng())
            return objective.losses

        return run

    def torchattacks(self) -> Callable[[], list[Tensor]]:
        """Its PGD as it is, on the classifier `[goal, loss]`, from the same start."""
        import torchattacks

        G = self.toolkit.generator("editing")
        objective = DisruptionObjective(G.component, self.x, self.c)
        start = (self.x + EPS * self._rng().uniform(*self.x.shape[1:], low=-1.0, high=1.0)).clamp(0, 1)
        losses: list[Tensor] = []

        class Logits(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.device_of = nn.Parameter(start.new_empty(0), requires_grad=False)

            def forward(self, z: Tensor) -> Tensor:
                loss = objective(z)
                losses.append(loss.detach().mean())
                return torch.stack([torch.full_like(loss, 0.05), loss], 1)

        attack = torchattacks.PGD(Logits(), eps=EPS, alpha=STEP, steps=self.steps, random_start=False)
        labels = torch.zeros(len(start), dtype=torch.long, device=start.device)

        def run() -> list[Tensor]:
            losses.clear()
            # Its ball is around what it is given, so the start stands for the image.
            attack.forward(start, labels)
            return list(losses)

        return run


def table(device: str, clock: Clock, settings: list[str], **sizes: int) -> list[dict[str, Any]]:
    """Ratios to the public loop; every fp32 loop's losses are the public loop's.

    Raises:
        AssertionError: a loop did something else.
    """
    loops = Loops(device, **sizes)
    contestants: dict[str, Callable[[], list[Tensor]]] = {"public loop": loops.reference()}
    missing = []
    if importlib.util.find_spec("torchattacks"):
        contestants["torchattacks PGD"] = loops.torchattacks()
    else:
        missing.append({"contestant": "torchattacks PGD", "note": "not installed"})
    contestants |= {name: loops.ours(SETTINGS[name]) for name in settings}
    wanted = torch.stack(contestants["public loop"]())
    drift = {}
    for name, run in contestants.items():
        got = torch.stack(run())
        drift[name] = float(((got - wanted).abs() / wanted)[: loops.steps].max())
        if name.startswith("ours"):
            allowed = BF16_LOSS if "bfloat16" in name else SAME_LOSS
            assert drift[name] < allowed, f"{name}: losses {got.tolist()}, public loop {wanted.tolist()}"
    rows = rows_of(clock.in_turn(contestants, warm=True), "public loop")
    return [{**row, "loss_drift": drift[row["contestant"]]} for row in rows] + missing
