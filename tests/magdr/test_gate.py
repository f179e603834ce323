"""Where reconstruction pays, on scores and errors whose best cut is known."""

import numpy as np

from magdr_core.magdr.gate import CLEAN_COST, choose_gate

SCORES = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
ATTACKED = np.array([False, False, False, True, True, True])
DAMAGE = np.array([0.0, 0.0, 0.0, 0.02, 0.03, 0.04])


def gate(restored, ceiling, scores=SCORES, kept=DAMAGE):
    return choose_gate(scores, kept, np.asarray(restored), ATTACKED, ceiling)


def test_the_gate_opens_for_attacks_that_the_verdict_misses():
    chosen = gate([1e-6, 1e-6, 1e-6, 0.001, 0.001, 0.001], ceiling=4.5)
    assert 2.0 < chosen < 3.0


def test_the_gate_stays_at_the_verdict_where_opening_gains_nothing():
    assert gate([1e-6, 1e-6, 1e-6, 0.02, 0.001, 0.001], ceiling=3.5) == 3.5


def test_the_gate_is_never_above_the_verdict():
    # Only the strongest attack is worth it, but a flagged image is reconstructed.
    assert gate([1e-6, 1e-6, 1e-6, 0.5, 0.5, 0.001], ceiling=2.5) == 2.5


def test_clean_images_may_not_pay_more_than_their_budget():
    scores = np.array([0.0, 1.0, 4.5, 3.0, 4.0, 5.0])  # a clean image among the attacked ones
    dear, cheap = 6 * CLEAN_COST, CLEAN_COST
    for harm, opened in ((dear, False), (cheap, True)):
        chosen = gate([0.0, 0.0, harm, 0.0, 0.0, 0.0], ceiling=4.75, scores=scores)
        assert (chosen < 3.0) is opened
