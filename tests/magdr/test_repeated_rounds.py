"""When MagDR reconstructs once more: while the verdict stands, wherever the gate is."""

import pytest

from tests.magdr.test_loop import loop, run, towards_grey


@pytest.mark.parametrize(
    ("first", "rounds"),
    [
        (0.66, 1),  # |x - 0.5| = .16 -> .08: below the threshold of .1, above the gate of .05
        (0.74, 2),  # .24 -> .12 -> .06: another round while above the threshold, none for the gate
    ],
)
def test_rounds_repeat_above_the_threshold_and_not_above_the_gate(first, rounds):
    outcome = run(loop([towards_grey(0.5)], gate="f1"), first)
    assert outcome.rounds.tolist() == [rounds]
    assert outcome.round_scores.shape == (1 + rounds, 1)
    assert outcome.gate < outcome.round_scores[-1].item() < outcome.threshold
