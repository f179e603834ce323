"""The checks of a profile's attacks: wrong ones are flagged, right ones are not."""

import pytest

from magdr_core.bench.checks.attacks import Variants, attack_checks
from magdr_core.bench.checks.victim import Victim
from tests.edits import edited

WRONG = '''
"""Attacks with a fault each, in a local plugin."""
from typing import Annotated
from magdr_core.api import AttackSpec, Eps, Field, hookimpl
from magdr_core.functional import project_linf

MAGDR_API = 1


class Steps:
    def __init__(self, eps, steps, sign, reach):
        self.eps, self.steps, self.sign, self.reach = eps, steps, sign, reach

    def __call__(self, x, objective, *, rng):
        bound = self.reach or self.eps
        current = project_linf(x + bound * rng.sign(*x.shape[1:]), x, bound)
        for _ in range(self.steps):
            _, uphill = objective.gradient(current)
            current = project_linf(current + self.sign * bound / 5 * uphill.sign(), x, bound)
        return current


def descending(*, eps: Eps = 0.05, steps: Annotated[int, Field(ge=1)] = 8):
    """Goes down where it should go up."""
    return Steps(eps, steps, -1, 0)


def deaf(*, eps: Eps = 0.05, steps: Annotated[int, Field(ge=1)] = 8):
    """Has one strength whatever it is told."""
    return Steps(eps, steps, 1, 12 / 255)


def timid(*, eps: Eps = 0.05, steps: Annotated[int, Field(ge=1)] = 8):
    """Never uses more than a hair."""
    return Steps(eps, steps, 1, min(eps, 1 / 255))


@hookimpl
def magdr_attacks():
    return [AttackSpec(name=f.__name__, build=f, stochastic=True) for f in (descending, deaf, timid)]
'''


@pytest.fixture
def checked(soft, clean, tmp_path):
    def run(use: str, eps: int = 12, more: str = "") -> dict[str, str]:
        (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
        toolkit = soft(f'[attack.tried]\nuse = "{use}"\nparams = {{ eps = "{eps}/255"{more} }}\n')
        victim = Victim(clean, toolkit.generator("toy"), "untargeted")
        found = {c.name: c for c in attack_checks(Variants(toolkit, "tried", victim))}
        print(*found.values(), sep="\n")
        return {name: c.verdict for name, c in found.items()}

    return run


@pytest.fixture
def soft(toy):
    return lambda more: toy(f"params = {{ gain = 4.0 }}\n{more}")


@pytest.fixture(autouse=True)
def _with_wrong(monkeypatch):
    import tests.conftest

    local = 'local = { toy = "./toy.py", wrong = "./wrong.py" }'
    registry = edited(tests.conftest.TOY_REGISTRY, ('local = { toy = "./toy.py" }', local))
    monkeypatch.setattr(tests.conftest, "TOY_REGISTRY", registry)


@pytest.mark.parametrize("use", ["pgd", "cw"])
def test_attacks_right_ones_have_nothing_flagged(checked, use):
    # C&W looks for the smallest perturbation: it gets no more from a larger ball, and need not.
    found = checked(use, more=", steps = 8" + (", searches = 1" if use == "cw" else ""))
    assert set(found.values()) <= {"pass", "warn"}
    assert set(found) == {
        *(
            "eps-0",
            "eps-1",
            "against noise",
            "monotone in eps",
            "monotone in eps, doubled",
            "monotone in steps",
            "10x steps",
        ),
    }


def test_attacks_wrong_sign_loses_to_noise(checked):
    assert checked("wrong/descending", eps=6)["against noise"] == "fail"


def test_attacks_ignoring_eps_moves_pixels_at_zero(checked):
    found = checked("wrong/deaf")
    assert found["eps-0"] == "fail"
    assert found["monotone in eps"] == "fail"  # it leaves the smaller ball


def test_attacks_that_never_use_their_eps_do_not_reach_everything(checked):
    assert checked("wrong/timid")["eps-1"] == "fail"


def test_attacks_without_steps_are_not_asked_for_more_of_them(checked):
    found = checked("noise")
    assert found["monotone in steps"] == "inapplicable"
