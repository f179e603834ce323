"""One badge per row, from verdicts and from what the run's adaptive cells got."""

import numpy as np
import pytest

from magdr_core.bench.checks.badges import with_badges

IDS = [f"i{k}" for k in range(12)]


def row(role="defense", component="jpeg", *verdicts):
    checks = [{"name": f"c{i}", "verdict": v, "said": f"saw {v}"} for i, v in enumerate(verdicts)]
    return {"task": "editing", "seed": 0, "role": role, "component": component, "checks": checks}


def cell(knowledge, values, role="defense", component="jpeg", attack="pgd", **more):
    facts = {
        **{"task": "editing", "seed": 0, "role": role, "component": component, "attack": attack},
        **{"eps": 0.02, "steps": 3, "knowledge": knowledge, "slice_role": "attack"},
    }
    return {"facts": facts, "ids": IDS, "values": values, **more}


def defended(mean):
    return {"mse_o": list(mean + np.linspace(-5, 5, 12))}


def badge(found):
    (one,) = found
    return one["badge"]


def test_a_failed_check_makes_a_row_unreliable_and_says_which():
    (found,) = with_badges([row("defense", "jpeg", "pass", "fail")], [])
    assert found["badge"] == "unreliable"
    assert found["why"] == "c1: saw fail"


def test_without_adaptive_cells_a_row_stays_oblivious_only():
    rows = [row("defense", "jpeg", "pass", "warn", "skipped")]
    assert badge(with_badges(rows, [cell("oblivious", defended(100))])) == "oblivious-only"


def test_adaptive_cells_that_beat_oblivious_ones_verify_a_row():
    cells = [cell("oblivious", defended(100)), cell("adaptive", defended(300), attack="adaptive")]
    (found,) = with_badges([row("defense", "jpeg", "pass")], cells)
    assert found["badge"] == "verified"
    assert found["checks"][-1]["evidence"]["before"] == pytest.approx(300)


def test_an_adaptive_attack_weaker_than_the_oblivious_one_is_unreliable():
    cells = [cell("oblivious", defended(300)), cell("adaptive", defended(100), attack="adaptive")]
    (found,) = with_badges([row("defense", "jpeg", "pass")], cells)
    assert found["badge"] == "unreliable"
    assert "adaptive against oblivious" in found["why"]


def test_adaptive_figures_that_more_effort_raises_are_unreliable():
    cells = [cell("oblivious", defended(100)), cell("adaptive", defended(300), attack="adaptive")]
    warned = row("defense", "jpeg", "pass", "warn")
    # Only of effort: that an attack around a missing gradient is weak is no fault of the adaptive one.
    assert badge(with_badges([warned], cells)) == "verified"
    warned["checks"][1]["name"] = "10x steps"
    assert badge(with_badges([warned], cells)) == "unreliable"


def test_the_comparison_is_made_before_pooling():
    # Pooled with oblivious images the adaptive figure cannot lose; its own modes did.
    own = [{"gain": [100.0] * 12}, {"gain": [900.0] * 12, "own": False}]
    cells = [
        cell("oblivious", defended(300)),
        cell("adaptive", defended(900), attack="adaptive", modes=own),
    ]
    assert badge(with_badges([row("defense", "jpeg", "pass")], cells)) == "unreliable"


def test_an_adaptive_attack_on_a_detector_counts_what_is_not_flagged():
    thresholds = {"fpr": 0.5}

    def scored(knowledge, score, attack, mse):
        values = {"score": [score] * 12, "mse_o": [mse] * 12}
        return cell(knowledge, values, "detector", "magdr", attack, thresholds=thresholds)

    rows = [row("detector", "magdr", "pass")]
    evading = [scored("oblivious", 0.9, "pgd", 0.2), scored("adaptive", 0.1, "adaptive", 0.05)]
    assert badge(with_badges(rows, evading)) == "verified"
    noticed = [scored("oblivious", 0.1, "pgd", 0.2), scored("adaptive", 0.9, "adaptive", 0.3)]
    assert badge(with_badges(rows, noticed)) == "unreliable"


def test_a_missed_plant_taints_the_rows_of_its_task_and_no_other():
    planted = row("planted", "planted", "fail")
    other = {**row("defense", "nlm", "pass"), "task": "reenactment"}
    found = with_badges([planted, row("defense", "jpeg", "pass"), row("attack", "pgd", "pass"), other], [])
    assert [r["badge"] for r in found] == ["unreliable", "unreliable", "verified", "oblivious-only"]
