"""The planted weaknesses: an attack of the right kind breaks them, one without it does not."""

import pytest
import torch

from magdr_core.bench.checks.adaptive_engine import AdaptiveEngine
from magdr_core.bench.checks.planted import hashing, random_switch
from magdr_core.bench.checks.planted_checks import planted_checks
from magdr_core.components.rng import SampleRng
from magdr_core.functional import project_linf, round_toward
from magdr_core.hosting.manager import PluginHost
from magdr_core.testing.white_box import white_box
from tests.checks.conftest import EPS

NAMES = ["planted hard-quantiser", "planted random-switch", "planted hashing"]


def verdicts(victim, engine):
    found = planted_checks(engine, victim.clean, victim.G, victim.aim, eps=EPS, steps=30, draws=4, seed=0)
    return {c.name: c for c in found}


@pytest.mark.parametrize("engine", [AdaptiveEngine(), white_box], ids=lambda e: e.name)
def test_attacks_that_know_them_break_all_of_them(victim, engine):
    found = verdicts(victim(), engine)
    assert list(found) == NAMES
    assert {c.verdict for c in found.values()} == {"pass"}


def test_an_attack_that_believes_every_gradient_misses_the_quantiser(victim):
    def naive(victim, eps, at, draws):
        if victim.defense is not None and not victim.stochastic:
            victim = type(victim)(
                victim.clean, victim.G, victim.aim, defense=victim.defense, gradient="exact"
            )
        return white_box(victim, eps, at, draws)

    assert verdicts(victim(), naive)[NAMES[0]].verdict == "fail"


def test_an_attack_on_one_frozen_draw_misses_the_switch(victim):
    def frozen(victim, eps, at, draws):
        x, rng = victim.clean.images, victim.rng("frozen")
        current = x + eps * rng.uniform(*x.shape[1:], low=-1.0, high=1.0)
        for _ in range(max(at)):
            _, uphill = victim.ascent(round_toward(project_linf(current, x, eps), x), rng.fork(1))
            # What the draw does not show is left as it was.
            current = project_linf(torch.where(uphill == 0, x, current + eps / 5 * uphill.sign()), x, eps)
        return [round_toward(current, x) for _ in at]

    assert verdicts(victim(), frozen)[NAMES[1]].verdict == "fail"


def test_an_attack_that_keeps_no_account_of_what_was_noticed_misses_the_hash(victim):
    def careless(victim, eps, at, draws):
        bare = type(victim)(victim.clean, victim.G, victim.aim, defense=victim.defense)
        return white_box(bare, eps, at, draws)

    assert verdicts(victim(), careless)[NAMES[2]].verdict == "fail"


def test_a_generator_that_nothing_disrupts_says_nothing_about_the_attack(victim):
    def powerless(victim, eps, at, draws):
        return [victim.clean.images] * len(at)

    assert {c.verdict for c in verdicts(victim(), powerless).values()} == {"skipped"}


def test_the_hash_is_even_and_every_bit_counts():
    levels = torch.randint(0, 256, (600, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    scores = hashing(levels.float() / 255, None, None)
    assert scores.sort().values[::60].numpy() == pytest.approx([i / 10 for i in range(10)], abs=0.07)
    moved = levels.clone()
    moved[:, 0, 0, 0] = (moved[:, 0, 0, 0] + 1) % 256
    assert ((hashing(moved.float() / 255, None, None) - scores).abs() > 1e-4).float().mean() > 0.98


def test_the_switch_shows_one_lattice_and_fills_the_other_with_it():
    x = torch.rand(40, 3, 6, 6, generator=torch.Generator().manual_seed(2))
    y = random_switch(x, None, None, rng=SampleRng(0, "s", [str(i) for i in range(40)]))
    kept = (y == x).all(1)
    even = (torch.arange(6)[:, None] + torch.arange(6)) % 2 == 0
    shows_even = (kept == even).all((1, 2))
    assert (shows_even | (kept == ~even).all((1, 2))).all()
    assert 8 < int(shows_even.sum()) < 32
    filled = y[..., :-1] == x[..., 1:]
    assert (filled.all(1) | kept[..., :-1]).all()


def test_planted_components_are_a_plugin_that_no_listing_shows():
    host = PluginHost(local={"planted": "magdr_core.bench.checks.planted"})
    host.load("builtin")
    assert not [e for e in host.entries() if e.spec.name in ("hard-quantiser", "random-switch", "hashing")]
    host.load("planted")
    assert host.find("defense", "planted/hard-quantiser").spec.gradient == "none"
    assert host.find("detector", "planted/hashing")
