"""A third party's defense behind a gate is attacked as hard as MagDR is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from magdr_core.adaptive import AdaptiveAttack, Target
from magdr_core.components.objective import DisruptionObjective
from magdr_core.components.rng import SampleRng
from magdr_core.guards import GuardedDefense
from magdr_core.registry.read import parse_registry
from magdr_core.results.store import Store
from magdr_core.runtime.samples import draw_samples
from magdr_core.toolkit import Toolkit

EPS = 6 / 255
FACES = 4

REGISTRY = """
[plugins]
local = { toys = "magdr_core.testing.toys", third = "./gated_toy.py" }

[generator.toy]
use = "third/sharpener"

[parser.toy]
use = "toys/toy"

[metric.toy]
use = "toys/toy"

[augmentation.gaussian]

[attack.toy]
use = "toys/toy"

[attack.pgd]
params = { eps = "6/255", steps = 10 }

[dataset.toy]
use = "toys/toy"

[restoration.soft]
use = "toys/toy"
params = { sigma = 0.5 }

[restoration.strong]
use = "toys/toy"
params = { sigma = 0.7 }

[magdr]
criteria = ["toy"]
augmentations = ["gaussian"]
candidate_augmentations = ["gaussian"]
layers = [["soft", "strong"]]

[detector.magdr]
params = { form = "standardised", evidence = "consistency" }

[defense.magdr]
params = { rounds = 1 }

[defense.third]
use = "third/gated"
params = { restorations = ["soft", "strong"], costs = [2.0, 0.0, -0.1885], moved = 0.3 }

[calibration]
fit = 24
clean = 40
attacked = 6
attacks = ["toy"]
"""

RANKING = {
    "chains": [[], [["soft", {}]], [["strong", {}]]],
    "prior": [2.0, 0.0, -0.1885],
    "ranker": {"form": "linear", "weights": [0.0, 0.0, 0.3, 1.0]},
}
"""The third party's ranking as MagDR's calibration has it: of its features only how far a candidate moves the
image and its prior count."""


class Hidden:
    """The same defense, which tells nothing of its gate and its choice."""

    def __init__(self, component):
        self.component = component

    def __call__(self, x, c, G):
        return self.component(x, c, G)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Faces with their oblivious attack, and the two defenses with one gate: between clean and attacked."""
    toolkit = Toolkit(parse_registry(REGISTRY, Path(__file__).parent / "third.toml"), device="cpu")
    calibrator = toolkit.calibrator("toy", "toy", Store(tmp_path_factory.mktemp("cache")))
    detector = calibrator.detector("magdr")
    magdr = toolkit.build("defense", "magdr", detector=detector)
    magdr.load({**RANKING, "standard": detector.detector.component.standard.state})
    third = toolkit.build("defense", "third", detector=detector)
    G = calibrator.generator
    clean, _ = draw_samples(calibrator.data.split("test"), G, first=0, count=2 * FACES, seed=0)
    aim = DisruptionObjective(G, clean.images, clean.conditions)
    oblivious = toolkit.build("attack", "pgd")(clean.images, aim, rng=SampleRng(0, "pgd", clean.ids))
    low, high = (detector.detector(x, clean.conditions, G).mean() for x in (clean.images, oblivious))
    magdr.component.gate = third.component.gate = float(low + 0.8 * (high - low))
    return G, clean, oblivious, {"magdr": magdr, "third": third}


def attacked(world, defense):
    """What the adaptive attack finds against a defense: the first faces are attacked, the others probed."""
    G, clean, oblivious, _ = world

    def target(rows):
        part = clean[rows]
        aim = DisruptionObjective(G, part.images, part.conditions)
        rng = SampleRng(0, "attacker", part.ids)
        return Target(G, part, aim, oblivious[rows], EPS, defense=defense, rng=rng)

    attack = AdaptiveAttack(target(slice(FACES, 2 * FACES)), steps=10, penalties=(), queries=0)
    return attack(target(slice(0, FACES)))


@pytest.fixture(scope="module")
def found(world):
    defenses = world[-1]
    hidden = GuardedDefense(Hidden(defenses["third"].component), "defense hidden")
    return {name: attacked(world, defense) for name, defense in {**defenses, "hidden": hidden}.items()}


def test_it_restores_what_magdr_restores(world):
    G, clean, oblivious, defenses = world
    restored = [defense(oblivious, clean.conditions, G) for defense in defenses.values()]
    assert torch.equal(*restored)
    changed = (restored[0] != oblivious).flatten(1).any(1)
    plans = defenses["third"].choosing.run(oblivious, clean.conditions, G).plans
    assert changed.any()
    assert len({plan for plan, on in zip(plans, changed.tolist(), strict=True) if on}) == 2  # both are picked


def test_the_same_modes_are_tried_on_it(found):
    assert list(found["third"].modes) == list(found["magdr"].modes)
    assert {"frozen", "softmin", "bpda"} <= set(found["third"].modes)
    assert any(name.startswith("evade") for name in found["third"].modes)


def test_every_mode_finds_the_same_against_it(found):
    for name, expected in found["magdr"].modes.items():
        got = found["third"].modes[name].verdict
        assert torch.allclose(got.gain, expected.verdict.gain, atol=1e-6), name
        assert torch.allclose(got.disruption, expected.verdict.disruption, atol=1e-6), name
    assert torch.allclose(found["third"].pooled.verdict.gain, found["magdr"].pooled.verdict.gain, atol=1e-6)


def test_who_tells_nothing_is_attacked_less_hard(found):
    told, hidden = (found[name].pooled.verdict.gain for name in ("third", "hidden"))
    assert not any(name.startswith(("evade", "softmin")) for name in found["hidden"].modes)
    assert hidden.mean() < 0.7 * told.mean()
