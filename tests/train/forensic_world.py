"""What the tests of forensic training share: a context on a few small faces, and families that count."""

from __future__ import annotations

import torch
from magdr_plugins.forgeries._local import Inpainted, Warped
from magdr_plugins.forgeries._self_blend import SelfBlended
from magdr_plugins.forgeries._swap import Splice, Swap

from magdr_core.components.recipe import Recipe
from magdr_core.components.specs import ForgerySpec
from magdr_core.forensics.guards import GuardedForgery
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit
from magdr_core.train.context import TrainContext

FACES = """
[dataset.faces]
use = "procedural-faces"
params = { size = 32 }
[dataset.test]
use = "procedural-faces"
params = { size = 32 }
"""

MADE_BY = {
    "swap": Swap,
    "self-blended": SelfBlended,
    "splice": Splice,
    "inpainted": Inpainted,
    "warped": Warped,
}
FAMILIES = {
    name: GuardedForgery(build(), name, spec=ForgerySpec(name=name, build=build))
    for name, build in MADE_BY.items()
}


class Counting:
    """A family that remembers the pictures that it was shown."""

    has_innocent = False

    def __init__(self, family):
        self.family, self.shown, self.ids = family, [], []

    def __call__(self, batch, donors, rng):
        self.shown.append(batch.images)
        self.ids += batch.ids
        return self.family(batch, donors, rng)


def context(tmp_path, net, settings, **changes):
    """A training context around a network, with 32 faces of 32 pixels."""
    kit = Toolkit(parse_registry(FACES, tmp_path / "train.toml"), device="cpu")
    dataset = kit.build("dataset", "faces")
    recipe = Recipe(
        **{
            "name": "tiny", "kind": "forensic", "use": "net", "trainer": "none", "steps": 100, "pool": 32,
            "batch": 16, "tested": 16, "lr": 2e-3, "settings": settings, **changes,
        }
    )  # fmt: skip
    return TrainContext(
        recipe, kit, net, dataset, dataset.split("train"), tmp_path / "images.pt", lambda line: None
    )


def seeded(make):
    torch.manual_seed(0)
    return make().train()
