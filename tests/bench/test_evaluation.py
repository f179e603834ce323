"""`evaluate(defense)`: the figures are those of a benchmark, and a person can read them."""

from __future__ import annotations

import csv
import re

import pytest
import torch
from torch import nn

from magdr_core import Evaluation, Toolkit, evaluate
from magdr_core.api import DefenseSpec, DetectorSpec, RestorationSpec, stateless
from magdr_core.errors import ComponentError, DataError, RegistryError
from magdr_core.evaluation import IntervalEstimate
from magdr_core.functional import gaussian_blur
from tests.bench.conftest import SMALL


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "small.toml").write_text(SMALL)
    return Toolkit.from_registry(folder / "small.toml", device="cpu")


@pytest.fixture
def tried(kit, tmp_path):
    """`tried(defense, ...)` on the small registry; one store for all."""
    cache = kit.registry.path.parent / "cache"

    def run(defense, **options):
        return evaluate(defense, toolkit=kit, out=tmp_path / "run", cache=cache, **{"samples": 3, **options})

    return run


def soft(x, c, G):
    """A blur. [B,3,H,W] -> same."""
    return gaussian_blur(x, 1.0)


def figures(e):
    return [e.clean, e.undefended, e.oblivious, e.adaptive, e.adaptive_undefended, e.kept]


def test_a_label_has_the_figures_of_results_csv(tried, kit, tmp_path):
    made = tried("jpeg")
    rows = list(csv.DictReader((tmp_path / "run" / "results.csv").open()))
    own = {
        (r["attack"], r["component"]): r
        for r in rows
        if r["role"] == "defense" and r["metric"] == "mse_o" and not r["variant"]
    }
    for told, key in (
        (made.clean, ("none", "jpeg")),
        (made.undefended, ("pgd", "identity")),
        (made.oblivious, ("pgd", "jpeg")),
    ):
        assert told.value == pytest.approx(float(own[key]["value"]), rel=1e-8)
        assert told.low == pytest.approx(float(own[key]["ci_low"]), rel=1e-8)
        assert told.high == pytest.approx(float(own[key]["ci_high"]), rel=1e-8)
        assert told.n == made.n == 3
    assert (made.defense, made.task, made.attack) == ("jpeg", "editing", "pgd")
    assert made.eps == pytest.approx(6 / 255)
    assert made.folder == tmp_path / "run"
    assert len(made.rows) == len(rows)
    assert made.adaptive is made.kept is None
    assert made.passes == 1.0


def test_the_table_says_n_intervals_and_that_nobody_knew_the_defense(tried):
    made = tried("jpeg")
    lines = str(made).splitlines()
    assert lines[0] == "jpeg before editing: output MSE (levels squared), [95% interval], n = 3"
    assert lines[1].split() == ["undefended", "jpeg"]
    assert re.fullmatch(r"clean +0 +\d+ \[\d+, \d+\]", lines[2])
    assert re.fullmatch(r"pgd 6/255, oblivious +\d+ \[\d+, \d+\] +\d+ \[\d+, \d+\]", lines[3])
    assert lines[4] == "generator passes an image: 1"
    assert "no attack here knew the defense" in lines[5]
    assert "n = 3 is a demonstration" in lines[6]
    assert len(lines) == 7
    assert repr(made) == str(made), "what a notebook shows"


def test_an_adaptive_attack_stands_beside_the_oblivious_one(tried):
    made = tried(soft, adaptive=True, steps=1)
    assert None not in figures(made)
    assert made.adaptive.value >= made.oblivious.value - 1e-3, "it starts from those images"
    assert made.adaptive_undefended.value >= made.undefended.value
    assert 0 < made.kept.value <= 1
    said = str(made)
    assert "pgd 6/255, adaptive" in said
    assert f"kept by the adaptive attack: {made.kept}; " in said
    assert "no attack here knew" not in said


def test_function_network_and_spec_of_one_defense_agree(tried):
    class Soft(nn.Module):
        def forward(self, x):
            assert not self.training
            return gaussian_blur(x, 1.0)

    network = Soft().train()
    made = [
        tried(soft),
        tried(lambda x: gaussian_blur(x, 1.0)),
        tried(network),
        tried(DefenseSpec(name="soft", build=stateless(soft))),
        tried(
            RestorationSpec(name="soft", build=stateless(lambda x: gaussian_blur(x, 1.0)), stage="denoise")
        ),
    ]
    assert [e.defense for e in made] == ["soft", "defense", "soft", "soft", "soft"]
    assert len({e.oblivious.value for e in made}) == len({e.clean.value for e in made}) == 1
    assert network.training, "one's own stays as it is"


def test_a_function_is_never_taken_for_another_one_of_its_file(tried):
    made = [tried(lambda x, s=s: gaussian_blur(x, s)) for s in (0.5, 2.0)]
    assert made[0].clean.value < made[1].clean.value / 2


def test_a_random_function_draws_from_its_own_streams(tried):
    def grain(x, *, rng):
        return (x + 0.1 * rng.normal(*x.shape[1:]).to(x)).clamp(0, 1)

    state = torch.get_rng_state()
    first, second = tried(grain), tried(grain)
    assert torch.equal(state, torch.get_rng_state())
    assert first.clean != second.clean, "drawn anew, as whatever is not known by a spec is computed anew"
    assert first.undefended == second.undefended


def test_a_name_that_the_registry_has_gets_another_label(tried, kit):
    def jpeg(x):
        return x

    made = tried(jpeg)
    assert made.defense == "own-jpeg"
    assert made.clean.value == 0
    assert made.oblivious == made.undefended
    assert kit.registry.labels("defense") == ["magdr", "identity", "fixed-chain"], "the toolkit is as it was"


@pytest.mark.parametrize(
    ("defense", "options", "error", "words"),
    [
        pytest.param(3, {}, DataError, "evaluate takes a defense: .* got a int", id="a number"),
        pytest.param("identity", {}, DataError, "got 'identity', which stands beside every", id="identity"),
        pytest.param(
            DetectorSpec(name="d", build=stateless(soft)), {}, DataError, "the detector 'd'", id="a detector"
        ),
        pytest.param(lambda x, c: x, {}, DataError, "got a function of 2 arguments", id="two arguments"),
        pytest.param("jpgg", {}, RegistryError, "jpgg", id="no such defense"),
        pytest.param("jpeg", {"attack": "pdg"}, RegistryError, "did you mean 'pgd'", id="no such attack"),
        pytest.param("jpeg", {"task": "edit"}, RegistryError, "edit", id="no such task"),
        pytest.param("jpeg", {"samples": 0}, RegistryError, "samples", id="no samples"),
        pytest.param(lambda x: x[:, :, :3], {}, ComponentError, "defense", id="another shape"),
        pytest.param(lambda x: 1 / 0, {}, ComponentError, "division by zero", id="an error of its own"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_a_line(tried, defense, options, error, words):
    with pytest.raises(error, match=words) as e:
        tried(defense, **options)
    assert "\n" not in str(e.value)


def test_estimates_are_rounded_for_reading():
    assert str(IntervalEstimate(1856.7, 1524.1, 2229.4, 64)) == "1857 [1524, 2229]"
    assert str(IntervalEstimate(0.1349, 0.09, 0.2, 8)) == "0.13 [0.09, 0.2]"
    assert str(IntervalEstimate(9.96, float("nan"), float("nan"), 1)) == "10"


def test_evaluation_is_a_public_name():
    import magdr_core

    assert magdr_core.Evaluation is Evaluation
    assert magdr_core.evaluate is evaluate
