"""One badge per row, from verdicts and from what the run's adaptive cells got."""

import numpy as np
import pytest

from magdr_core.bench.checks import badges
from magdr_core.results.cell import as_cells

IDS = [f"i{k}" for k in range(12)]


def with_badges(rows, cells):
    """Of cells as JSON."""
    return badges.with_badges(rows, as_cells(cells))


def row(role="defense", component="jpeg", *verdicts):
    checks = [{"name": f"c{i}", "verdict": v, "said": f"saw {v}"} for i, v in enumerate(verdicts)]
    return {"task": "editing", "seed": 0, "role": role, "component": component, "checks": checks}


def cell(knowledge, values, role="defense", component="jpeg", **more):
    facts = {
        **{"task": "editing", "seed": 0, "role": role, "component": component, "attack": "pgd"},
        **{"eps": 0.02, "steps": 3, "knowledge": knowledge, "slice_role": knowledge},
        **{"generator": "stargan", "dataset": "faces"},
    }
    return {"facts": facts, "ids": IDS, "values": values, **more}


def defended(**means):
    """Per-sample values of modes; the pool is the best of them."""
    modes = {f"{name}/mse_o": list(mean + np.linspace(-5, 5, 12)) for name, mean in means.items()}
    return {"mse_o": list(np.max(list(modes.values()), axis=0)), **modes}


def adaptive(**means):
    return [cell("oblivious", {"mse_o": [100.0] * 12}), cell("adaptive", defended(**means))]


def badge(found):
    (one,) = found
    return one["badge"]


def test_a_failed_check_makes_a_row_unreliable_and_says_which():
    (found,) = with_badges([row("defense", "jpeg", "pass", "fail")], [])
    assert found["badge"] == "unreliable"
    assert found["why"] == "c1: saw fail"


def test_without_adaptive_cells_a_row_stays_oblivious_only():
    rows = [row("defense", "jpeg", "pass", "warn", "inapplicable")]
    assert badge(with_badges(rows, [cell("oblivious", {"mse_o": [100.0] * 12})])) == "oblivious-only"


def test_adaptive_cells_that_beat_oblivious_ones_verify_a_row():
    (found,) = with_badges([row("defense", "jpeg", "pass")], adaptive(autograd=300, oblivious=100, square=90))
    assert found["badge"] == "verified"
    assert [c["verdict"] for c in found["checks"]] == ["pass"] * 3
    assert found["checks"][-1]["evidence"]["before"] == pytest.approx(300 * 4 / 255**2, rel=1e-4)


@pytest.mark.parametrize(("weaker", "named"), [("oblivious", "oblivious"), ("square", "black-box")])
def test_an_adaptive_attack_weaker_than_one_that_knows_less_is_unreliable(weaker, named):
    # The pool, which has both, could not lose.
    cells = adaptive(autograd=100, bpda=120, **{"oblivious": 90, "square": 90, weaker: 900})
    (found,) = with_badges([row("defense", "jpeg", "pass")], cells)
    assert found["badge"] == "unreliable"
    assert f"adaptive against {named}" in found["why"]


def test_images_of_other_attacks_are_not_the_adaptive_attacks_own():
    cells = adaptive(autograd=100, eq3=900, oblivious=500)
    cells[1]["threat"] = {"others": ["eq3"]}
    assert badge(with_badges([row("defense", "jpeg", "pass")], cells)) == "unreliable"


def test_adaptive_figures_that_more_effort_raises_are_unreliable():
    cells = adaptive(autograd=300, oblivious=100)
    warned = row("defense", "jpeg", "pass", "warn")
    # Only of effort: that an attack around a missing gradient is weak is no fault of the adaptive one.
    assert badge(with_badges([warned], cells)) == "verified"
    warned["checks"][1]["name"] = "10x steps"
    assert badge(with_badges([warned], cells)) == "unreliable"


@pytest.mark.parametrize(("steps", "expected"), [(50, "verified"), (49, "unreliable")])
def test_a_short_attack_that_gains_by_more_steps_is_no_word_against_one_that_had_them(steps, expected):
    cells = adaptive(autograd=300, oblivious=100)
    cells[1]["facts"]["steps"] = steps
    warned = {**row("defense", "jpeg", "pass", "warn"), "how": {"steps": 5}}
    warned["checks"][1]["name"] = "10x steps"
    assert badge(with_badges([warned], cells)) == expected
    warned["checks"][1]["name"] = "EOT at 2x samples"
    assert badge(with_badges([warned], cells)) == "unreliable"


def test_an_adaptive_attack_on_a_detector_counts_what_is_not_flagged():
    def attacked(score, disruption):
        values = {"score": [0.0] * 12, "disruption": [0.2] * 12}
        values |= {"selective/score": [score] * 12, "selective/disruption": [disruption] * 12}
        values |= {"oblivious/score": [0.4] * 12, "oblivious/disruption": [0.1] * 12}
        return [cell("adaptive", values, "detector", "magdr", thresholds={"fpr": 0.5})]

    rows = [row("detector", "magdr", "pass")]
    assert badge(with_badges(rows, attacked(0.3, 0.2))) == "verified"
    assert badge(with_badges(rows, attacked(0.9, 0.2))) == "unreliable"


def test_a_missed_plant_taints_the_rows_of_its_task_and_no_other():
    planted = row("planted", "planted", "fail")
    other = {**row("defense", "nlm", "pass"), "task": "reenactment"}
    found = with_badges([planted, row("defense", "jpeg", "pass"), row("attack", "pgd", "pass"), other], [])
    assert [r["badge"] for r in found] == ["unreliable", "unreliable", "verified", "oblivious-only"]


# -- incomplete --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [[], adaptive(autograd=300, oblivious=100)], ids=["oblivious", "adaptive"])
def test_a_skipped_check_makes_a_row_incomplete_and_says_how_many(cells):
    (found,) = with_badges([row("defense", "jpeg", "pass", "skipped", "inapplicable")], cells)
    assert found["badge"] == "incomplete"
    applied = 2 + (1 if cells else 0)
    assert found["why"] == f"1 of {applied} checks were not done in full: c1: saw skipped"


def test_a_check_that_stands_for_several_counts_as_so_many():
    left = row("defense", "jpeg", "skipped")
    left["checks"][0]["evidence"] = {"checks": 10}
    (found,) = with_badges([left], adaptive(autograd=300, oblivious=100, square=90))
    assert found["why"].startswith("10 of 12 checks were not done in full: ")


@pytest.mark.parametrize("role", ["attack", "planted"])
def test_an_attack_with_a_skipped_check_is_incomplete(role):
    assert badge(with_badges([row(role, "pgd", "pass", "skipped")], [])) == "incomplete"


def test_planted_weaknesses_that_were_not_tried_leave_the_rows_of_their_task_incomplete():
    rows = [row("planted", "planted", "skipped"), row("defense", "jpeg", "pass")]
    found = with_badges(rows, adaptive(autograd=300, oblivious=100))
    assert [r["badge"] for r in found] == ["incomplete", "incomplete"]
    assert "what the attack engine misses" in found[1]["why"]


def test_a_failed_adaptive_cell_leaves_its_row_incomplete():
    cells = [*adaptive(autograd=300, oblivious=100), {**cell("adaptive", {}), "error": "boom"}]
    (found,) = with_badges([row("defense", "jpeg", "pass")], cells)
    assert found["badge"] == "incomplete"
    assert "boom" in found["why"]


def test_an_adaptive_attack_that_got_nothing_shows_nothing_unless_it_is_known_to_work():
    def caught():
        values = {"score": [0.9] * 12, "disruption": [0.2] * 12}
        values |= {f"{m}/score": [0.9] * 12 for m in ("selective", "oblivious")}
        values |= {f"{m}/disruption": [0.2] * 12 for m in ("selective", "oblivious")}
        return [cell("adaptive", values, "detector", "magdr", thresholds={"fpr": 0.5})]

    strong = row("detector", "magdr", "pass")
    assert badge(with_badges([strong], caught())) == "incomplete"
    strong["checks"][0] |= {"name": "eps-1", "evidence": {"reached": 1.0}}
    assert badge(with_badges([strong], caught())) == "verified"


def test_a_stand_in_that_leads_nowhere_is_not_verified():
    warned = row("defense", "jpeg", "warn", "pass")
    warned["checks"][0]["name"] = "gradient"
    assert badge(with_badges([warned], adaptive(autograd=300, oblivious=100))) == "incomplete"
