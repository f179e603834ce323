"""What is said beside detection figures that look like more than they are."""

import math

import pytest

from magdr_core.results.remarks import FLAG_ALL, remarks


def row(metric, value, low=math.nan, high=math.nan, **more):
    about = {"task": "editing", "role": "detector", "component": "plain", "attack": "pgd", "variant": ""}
    about |= {"knowledge": "oblivious", "variant": "best-f1" if metric == "f1" else ""}
    return about | {"metric": metric, "value": value, "ci_low": low, "ci_high": high} | more


def test_flagging_everything_at_equal_numbers_is_two_thirds():
    assert pytest.approx(2 / 3) == FLAG_ALL


@pytest.mark.parametrize(
    ("figures", "told"),
    [((0.12, 0.05, 0.2), True), ((0.45, 0.38, 0.53), False), ((0.9, 0.8, 0.95), False), ((0.3,), True)],
)
def test_an_auroc_below_one_half_with_all_of_its_interval_is_called_turned_round(figures, told):
    said = remarks([row("auroc", *figures)], []).get("editing", [])
    assert len(said) == told
    assert all(line.startswith("plain: AUROC below one half") for line in said)


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ((2 / 3, 0.6, 0.7), ["plain: F1 not above 0.667"]),
        ((0.5, 0.4, 0.6), ["plain: F1 not above 0.667"]),
        ((0.72, 0.66, 0.8), ["plain: too few images to tell its F1"]),
        ((1.0, 0.631, 1.0), ["plain: too few images to tell its F1"]),
        ((0.9, 0.8, 1), []),
    ],
)
def test_an_f1_that_flagging_everything_may_reach_is_said(figures, told):
    said = remarks([row("f1", *figures)], []).get("editing", [])
    assert [line[: len(start)] for line, start in zip(said, told, strict=True)] == told
    assert all("flagging every image" in line for line in said)


def test_one_sentence_tells_all_attacks_of_a_detector_and_names_those_that_know_it():
    rows = [row("f1", 0.6, attack=name) for name in ("pgd", "cw", "pgd")]
    rows.append(row("f1", 0.1, knowledge="adaptive"))
    (said,) = remarks(rows, [])["editing"]
    assert "pgd 0.600; cw 0.600; pgd, adaptive 0.100" in said


def test_noise_and_other_rows_are_not_judged():
    about = {"task": "editing", "generator": "toy", "dataset": "faces", "slice_role": "attack", "eps": 0.02}
    about |= {"steps": 1, "knowledge": "oblivious", "role": "detector", "component": "plain", "seed": 0}
    cells = [{"facts": {**about, "attack": "noise", "noise": True}}]
    rows = [row("f1", 0.5, attack="noise"), row("f1", 0.5, role="defense"), row("auroc", math.nan)]
    rows += [row("f1", 0.5, variant="fpr1"), row("auroc", 0.1, variant="oblivious"), row("recall", 0.0)]
    assert remarks(rows, cells) == {}
