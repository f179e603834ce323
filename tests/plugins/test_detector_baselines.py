"""What every comparison detector keeps: it finds a planted attack, and its scores are an image's own."""

import json
import random

import numpy as np
import pytest
import torch
from detector_fakes import attacked, faces, fit_data, generator, striped
from scipy.stats import mannwhitneyu

from magdr_core.errors import ComponentError
from magdr_core.guards import GuardedDetector
from magdr_core.hosting.manager import PluginHost

SMALL = {
    "feature-squeezing": {},
    "magnet": {
        "filters": (3,),
        "iterations": 25,
        "classifier_width": 4,
        "classifier_epochs": 3,
        "classifier_outputs": 48,
    },
    "metzen": {"layers": (0, 1), "width": 8, "steps": 40, "check_every": 10},
    "nnif": {"width": 8, "epochs": 8, "index_size": 96, "neighbours": (5, 20)},
    "otd": {"width": 8, "steps": 60, "check_every": 20},
    "safetynet": {"layers": (0, 1), "grids": (1, 2)},
}
PASSES = {"feature-squeezing": 4, "magnet": 2, "metzen": 1, "nnif": 1, "otd": 1, "safetynet": 1}
FITTED = [name for name in SMALL if name != "feature-squeezing"]
SUPERVISED = [name for name in FITTED if name != "magnet"]


@pytest.fixture(scope="module")
def host():
    host = PluginHost()
    host.load("builtin")
    return host


@pytest.fixture(scope="module")
def fitted(host):
    """`fitted(name)`: a guarded detector and the state it was loaded with, fitted once."""
    kept = {}

    def make(name):
        if name not in kept:
            spec = host.find("detector", name).spec
            detector = spec.build(**SMALL[name])
            state = {}
            if name in FITTED:
                data = fit_data(training=spec.supervised)
                state = json.loads(json.dumps(detector.fit(data, generator())))
                detector.load(state)
            kept[name] = GuardedDetector(detector, name), state
        return kept[name]

    return make


def auroc(harmless, suspicious):
    wins = mannwhitneyu(suspicious.numpy(), harmless.numpy()).statistic
    return wins / (len(harmless) * len(suspicious))


def test_all_of_table_1_are_there(host):
    assert set(SMALL) <= {entry.spec.name for entry in host.entries("detector")}


@pytest.mark.parametrize("name", SMALL)
def test_a_planted_attack_is_found_on_fresh_faces(fitted, name):
    detector, _ = fitted(name)
    clean = faces(40, 5000)
    found = attacked(clean)
    with torch.no_grad():
        harmless = detector(clean.images, clean.conditions, generator())
        suspicious = detector(found.images, found.conditions, generator())
    assert auroc(harmless, suspicious) > 0.9


@pytest.mark.parametrize("name", SMALL)
def test_a_score_is_the_images_own(fitted, name):
    detector, _ = fitted(name)
    clean = faces(11, 6000)
    mixed = clean.with_images(torch.cat([attacked(clean).images[:6], clean.images[6:]]))
    with torch.no_grad():
        together = detector(mixed.images, mixed.conditions, generator())
        backwards = detector(mixed.images.flip(0), mixed.conditions[list(range(10, -1, -1))], generator())
        alone = [detector(b.images, b.conditions, generator()) for b in mixed.batches(1)]
    assert together.dtype == torch.float32
    assert torch.equal(together, backwards.flip(0))
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize("name", SMALL)
def test_scoring_costs_the_passes_it_says(fitted, name):
    detector, _ = fitted(name)
    clean, G = faces(3, 6000), generator()
    detector(clean.images, clean.conditions, G)
    assert G.passes == 3 * PASSES[name]


@pytest.mark.parametrize("name", [n for n in SMALL if n not in ("safetynet", "nnif")])
def test_the_gradient_reaches_the_image(fitted, host, name):
    detector, _ = fitted(name)
    assert host.find("detector", name).spec.gradient in ("exact", "straight-through")
    clean = faces(2, 6000)
    x = clean.images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(detector(x, clean.conditions, generator()).sum(), x)
    assert gradient.isfinite().all()
    assert gradient.abs().amax() > 0


@pytest.mark.parametrize("name", FITTED)
def test_fitting_twice_gives_the_same_and_draws_from_no_global_generator(host, fitted, name):
    _, state = fitted(name)
    torch.manual_seed(99)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    again = host.find("detector", name).spec.build(**SMALL[name]).fit(fit_data(), generator())
    assert json.loads(json.dumps(again)) == state
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


@pytest.mark.parametrize("name", FITTED)
def test_scoring_before_fitting_says_what_to_do(host, name):
    clean = faces(1)
    with pytest.raises(ComponentError, match=f"{name} is not fitted yet: run `magdr calibrate`"):
        host.find("detector", name).spec.build()(clean.images, clean.conditions, generator())


@pytest.mark.parametrize("name", SUPERVISED)
def test_what_is_left_out_must_be_there(host, name):
    detector = host.find("detector", name).spec.build(leave_out=("pdg",))
    with pytest.raises(ValueError, match="'pdg'"):
        detector.fit(fit_data(), generator())


@pytest.mark.parametrize("name", SUPERVISED)
def test_a_benign_edit_that_a_detector_is_told_of_is_less_suspicious(host, fitted, name):
    """Stripes are as rough as the attack, and nothing that is learned from unless it is told of them."""
    untold, _ = fitted(name)
    told = host.find("detector", name).spec.build(**SMALL[name], edits=True)
    told.load(json.loads(json.dumps(told.fit(fit_data(), generator()))))
    clean = faces(40, 5000)

    def seen(detector):
        with torch.no_grad():
            return [
                detector(s.images, s.conditions, generator())
                for s in (clean, striped(clean), attacked(clean))
            ]

    before, after = seen(untold), seen(told)
    assert auroc(*after[:2]) < auroc(*before[:2]) - 0.04
    assert auroc(*after[1:]) >= auroc(*before[1:])


@pytest.mark.parametrize("name", ["magnet", "nnif"])
def test_a_generator_without_conditions_is_served(host, name):
    detector = host.find("detector", name).spec.build(**SMALL[name])
    G = generator(attributes=0)
    detector.load(detector.fit(fit_data(attributes=0), G))
    clean = faces(20, 5000, attributes=0)
    found = attacked(clean)
    with torch.no_grad():
        scores = [detector(s.images, s.conditions, G) for s in (clean, found)]
    assert auroc(*scores) > 0.85
