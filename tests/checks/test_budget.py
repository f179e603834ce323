"""What a budget of passes leaves out of a component's checks, and what is said of it."""

import re

import pytest

from magdr_core.bench.checks.budget import FEW, CheckedPart, curtailed, fitted
from magdr_core.bench.checks.component import Effort
from magdr_core.registry.settings import Checks

FULL = CheckedPart(16, Effort(0.02, 10, 4))


def left_out(passes, *, own=1.0, step=6.0, stochastic=False, device="cpu"):
    known = {"stochastic": stochastic, "step": step}
    part = fitted(FULL.faces, FULL.effort, own, **known, passes=passes * (20 if device == "cuda" else 1))
    return part, curtailed(part, FULL, own, Checks(passes=passes), **known, device=device)


@pytest.mark.parametrize("passes", [100, 150, 400, 800, 1600, 3200, 6400, 12800, 100_000])
def test_only_a_full_part_is_not_called_curtailed(passes):
    part, undone = left_out(passes)
    full = part is not None and part.faces == FULL.faces and part.effort.steps >= FEW
    assert (undone is None) == full
    assert undone is None or undone.verdict == "skipped"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("stochastic", [False, True])
def test_the_budget_that_is_recommended_is_enough(device, stochastic):
    _, undone = left_out(100, own=30.0, step=50.0, stochastic=stochastic, device=device)
    least = int(re.search(r"at least (\d+)", undone.said)[1])
    assert left_out(least, own=30.0, step=50.0, stochastic=stochastic, device=device)[1] is None
    assert left_out(least // 2, own=30.0, step=50.0, stochastic=stochastic, device=device)[1] is not None


def test_a_budget_for_nothing_leaves_out_every_check():
    part, undone = left_out(150)
    assert part is None
    assert undone.evidence == {"checks": 10}
    assert left_out(150, stochastic=True)[1].evidence == {"checks": 11}
