"""best-of: the lowest error of the outputs wins, judged on calibration faces alone."""

from __future__ import annotations

import json

import pytest
import torch

from magdr_core.api import Condition, FitData, Samples
from magdr_core.components.rng import SampleRng
from magdr_core.errors import RegistryError
from magdr_core.guards import GuardedDefense
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit

from magdr_plugins.defenses.best_of import BestOf  # isort: skip


class Mix:
    """A share of the way back from the attacked image to mid-grey, where the clean ones are."""

    def __init__(self, share):
        self.share = share

    def __call__(self, x, c, G):
        return x + self.share * (0.5 - x)


class Learned(Mix):
    """Learns its share."""

    def __init__(self):
        super().__init__(0.0)

    def fit(self, data, G):
        return {"share": 1.0}

    def load(self, state):
        self.share = state["share"]


class OnOutput:
    """Bad inputs, perfect outputs."""

    def __call__(self, x, c, G):
        return torch.zeros_like(x)

    def output(self, x, c, G):
        return torch.full_like(x, 0.5)


class Random:
    """Noise of its own."""

    def __call__(self, x, c, G, *, rng):
        return rng.uniform(*x.shape[1:])


def guarded(component, stochastic=False):
    found = GuardedDefense(component, "a test", stochastic=stochastic)
    found.label = type(component).__name__
    return found


def samples(n, offset):
    images = (torch.full((n, 3, 8, 8), 0.5) + offset).clamp(0, 1)
    c = Condition(torch.zeros(n, 1), torch.zeros(n, 1, dtype=torch.bool))
    return Samples(images, c, tuple(f"face{i}" for i in range(n)))


def data(n=20):
    """More faces than go through at once."""
    return FitData(clean=samples(n, 0.0), attacked={"pgd": (samples(n, 0.3), samples(n, 0.0))})


def G(x, c):
    return x


def rng(n):
    return SampleRng(0, "test", [f"face{i}" for i in range(n)])


def fitted(*candidates):
    defense = BestOf(defenses=candidates)
    state = json.loads(json.dumps(defense.fit(data(), G)))
    defense.load(state)
    return defense, state


def test_the_lowest_error_wins():
    defense, state = fitted(*(guarded(Mix(share)) for share in (0.0, 0.9, 0.5)))
    assert state["chosen"] == 1
    x = samples(3, 0.3)
    torch.testing.assert_close(defense(x.images, x.conditions, G, rng=rng(3)), torch.full((3, 3, 8, 8), 0.53))


def test_errors_are_mean_logs_of_the_outputs_error():
    """By hand: what is left of 0.3 after rounding to 8 bits, squared, plus the floor."""
    _, state = fitted(guarded(Mix(0.0)), guarded(Mix(1.0)))
    level = round(0.8 * 255) / 255
    left = torch.tensor([(level - 0.5) ** 2, (round(0.5 * 255) / 255 - 0.5) ** 2], dtype=torch.float64)
    torch.testing.assert_close(
        torch.tensor(state["mean_log_error"], dtype=torch.float64), (left + 1e-5).log(), rtol=1e-4, atol=1e-4
    )


def test_a_defense_of_outputs_is_judged_by_its_outputs():
    defense, state = fitted(guarded(Mix(0.9)), guarded(OnOutput()))
    assert state["chosen"] == 1
    x = samples(2, 0.3)
    assert (defense.output(x.images, x.conditions, G, rng=rng(2)) == 0.5).all()


def test_a_fitted_candidate_is_fitted_and_its_state_kept():
    _, state = fitted(guarded(Mix(0.5)), guarded(Learned()))
    assert state["chosen"] == 1
    assert state["state"] == {"share": 1.0}
    again = BestOf(defenses=[guarded(Mix(0.5)), guarded(Learned())])
    again.load(state)
    x = samples(2, 0.3)
    assert (again(x.images, x.conditions, G, rng=rng(2)) == 0.5).all()


def test_output_is_made_from_the_same_draws_as_the_restored_image():
    defense, _ = fitted(guarded(Random(), stochastic=True))
    x = samples(4, 0.3)
    restored = defense(x.images, x.conditions, G, rng=rng(4))
    y = defense.output(x.images, x.conditions, G, rng=rng(4))
    assert (restored - y).abs().max() <= 0.5 / 255 + 1e-6, "but for the rounding to 8 bits"


def test_an_empty_list_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        BestOf(defenses=[])


def test_a_registry_lists_candidates_and_a_defense_behind_a_detector_is_refused(tmp_path):
    text = """
[registry]
name = "t"
[dataset.faces]
use = "procedural-faces"
params = { size = 32 }
[generator.editing]
use = "stargan"
params = { weights = "random", size = 32, width = 8, blocks = 1 }
[magdr]
parser = "whole"
criteria = ["l1"]
augmentations = ["flip"]
candidate_augmentations = ["flip"]
layers = [["gaussian"]]
[detector.magdr]
[defense.light]
use = "pixel-deflection"
[defense.strong]
use = "pixel-deflection"
params = { deflections = 400 }
[defense.good]
use = "best-of"
params = { defenses = ["light", "strong"] }
[defense.bad]
use = "best-of"
params = { defenses = ["light", "magdr"] }
"""
    toolkit = Toolkit(parse_registry(text, tmp_path / "t.toml"))
    assert [c.label for c in toolkit.build("defense", "good").component.candidates] == ["light", "strong"]
    with pytest.raises(RegistryError, match=r"defense.bad.*'magdr' needs a calibrated detector"):
        toolkit.resolve("defense", "bad")
