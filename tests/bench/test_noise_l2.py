"""Noise of the same energy as an attack's perturbation, and the figure that is taken against it."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from magdr_core.bench.group import GroupRun
from magdr_core.bench.images import Workplace
from magdr_core.bench.scenarios.noise_l2 import equal_norm_noise
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError
from magdr_core.functional import to_8bit
from magdr_core.results.rows import result_rows
from tests.bench.conftest import SMALL
from tests.bench.test_measured import ATTACKED, CLEAN, NOISE, cell, values
from tests.edits import edited

IDS = tuple("abcd")


@pytest.fixture
def faces():
    """Four pictures, of which one is black and one white, where half of all noise is clipped."""
    x = to_8bit(torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    x[1], x[2] = 0.0, 1.0
    return x


def norms(a, b):
    return (255 * (a - b)).double().square().flatten(1).sum(1).sqrt()


@pytest.mark.parametrize("levels", [0.3, 1.0, 6.0, 40.0])
def test_each_image_gets_noise_of_its_own_perturbations_norm(faces, levels):
    draw = torch.Generator().manual_seed(1)
    strength = levels * torch.tensor([1.0, 2.0, 0.5, 1.5])[:, None, None, None] / 255
    attacked = to_8bit(faces + strength * torch.randn(faces.shape, generator=draw))
    noisy = equal_norm_noise(faces, attacked, SampleRng(0, "noise", IDS))
    wanted = norms(attacked, faces)
    assert torch.equal(noisy, to_8bit(noisy))
    assert (norms(noisy, faces) <= wanted + 1e-6).all()
    assert (norms(noisy, faces) >= 0.99 * wanted).all()
    assert norms(noisy, attacked).min() > 0.5 * wanted.min(), "it is no copy of the perturbation"


def test_an_image_that_was_left_alone_is_left_alone(faces):
    attacked = faces.clone()
    attacked[0, :, :4, :4] = 1 - attacked[0, :, :4, :4]
    noisy = equal_norm_noise(faces, attacked, SampleRng(0, "noise", IDS))
    assert torch.equal(noisy[1:], faces[1:])
    assert not torch.equal(noisy[0], faces[0])


def test_noise_does_not_depend_on_the_batch(faces):
    attacked = to_8bit((faces + 0.05).clamp(0, 1))
    whole = equal_norm_noise(faces, attacked, SampleRng(0, "noise", IDS))
    for i, name in enumerate(IDS):
        alone = equal_norm_noise(faces[i : i + 1], attacked[i : i + 1], SampleRng(0, "noise", [name]))
        assert torch.equal(whole[i : i + 1], alone)


def test_the_figure_is_taken_against_the_noise_of_that_very_attack():
    other = NOISE + 2.0
    cells = [
        cell("detector", {"score": CLEAN}, "clean", attack="none"),
        cell("detector", {"score": NOISE}, "noise-l2", attack="noise-l2:pgd"),
        cell("detector", {"score": other}, "noise-l2", attack="noise-l2:cw"),
        cell("detector", {"score": ATTACKED}),
        cell("detector", {"score": ATTACKED}, attack="cw"),
    ]
    truth = np.repeat([0, 1], len(NOISE))
    for attack, noise in (("pgd", NOISE), ("cw", other)):
        expected = roc_auc_score(truth, np.concatenate([noise, ATTACKED]))
        assert values(cells, attack=attack)["auroc_noise_l2", ""] == pytest.approx(expected)
        assert ("auroc_noise", "") not in values(cells, attack=attack)
    assert not [r for r in result_rows("mine", cells) if r["attack"].startswith("noise-l2")]


def test_a_profile_asks_for_it_by_the_attacks_name(fresh_shop):
    text = edited(SMALL, ('benign = ["jpeg"]\npictures', 'benign = ["jpeg"]\nnoise_l2 = ["pgd"]\npictures'))
    result = fresh_shop.run(text)
    cells = [c for c in result.cells if c.facts.slice_role == "noise-l2"]
    assert {(c.facts.role, c.facts.component, c.facts.attack) for c in cells} == {
        ("detector", "magdr", "noise-l2:pgd"),
        ("detector", "distortion", "noise-l2:pgd"),
    }
    rows = [r for r in result.rows if r["metric"] == "auroc_noise_l2"]
    assert {(r["component"], r["attack"]) for r in rows} == {("magdr", "pgd"), ("distortion", "pgd")}
    made = images_of(fresh_shop.bench(text))
    clean, attacked, noisy = (made(scenario) for scenario in ("clean", "attack", "noise-l2"))
    assert (norms(noisy, clean) / norms(attacked, clean)).tolist() == pytest.approx([1.0] * 5, rel=0.01)


def images_of(bench):
    """`images_of(bench)(scenario)`: those of the first slice of a scenario."""
    work = Workplace(bench.toolkit, bench.profile, bench.store, {}, bench.progress, bench.report)
    run = GroupRun(work, bench.groups[0])
    return lambda scenario: run.images.of(next(s for s in run.group.slices if s.scenario == scenario))


def test_a_run_of_more_images_keeps_the_noise_of_those_it_had(fresh_shop):
    text = edited(SMALL, ('benign = ["jpeg"]\npictures', 'noise_l2 = ["pgd"]\npictures'))
    fewer = images_of(fresh_shop.bench(edited(text, ("samples = 5", "samples = 3"))))("noise-l2")
    assert torch.equal(images_of(fresh_shop.bench(text))("noise-l2")[:3], fewer)


def test_an_attack_that_the_profile_does_not_have_is_an_error(fresh_shop):
    text = edited(SMALL, ('benign = ["jpeg"]\npictures', 'benign = ["jpeg"]\nnoise_l2 = ["cw"]\npictures'))
    with pytest.raises(MagdrError, match="noise_l2: 'cw' is no attack of the profile on editing"):
        fresh_shop.bench(text)
