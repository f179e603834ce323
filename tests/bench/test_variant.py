"""The column `variant`: text and value are the same thing."""

import random

import pytest

from magdr_core.results.variant import BEST_F1, PLAIN, Variant, read_variant

WRITTEN = {
    "": PLAIN,
    "best-f1": Variant(BEST_F1),
    "fpr1": Variant.at(0.01),
    "fpr0.5": Variant.at(0.005),
    "ensemble": Variant(name="ensemble"),
    "sweep 20": Variant(steps=20),
    "best-f1, sweep 20": Variant(BEST_F1, steps=20),
    "fpr1, penalty=0.1 via autograd": Variant("fpr1", "penalty=0.1 via autograd"),
    "to jpeg": Variant.to("jpeg"),
    "resize": Variant(name="resize"),
}


@pytest.mark.parametrize(("text", "value"), WRITTEN.items())
def test_what_runs_write_is_read_as_its_parts(text, value):
    assert Variant.parse(text) == value
    assert value.format() == text


PIECES = [
    *("", ", ", ",", " ", "best-f1", "fpr", "fpr1", "fpr1e-05", "sweep ", "sweep 3", "sweep 03", "sweep 0"),
    *("steps=4", "penalty=", "penalty=1 via x", "to ", "to a, sweep 2", "\n", "\N{RIGHT-TO-LEFT OVERRIDE}"),
    *("9" * 30, "/", "'", "<b>", "\ud800", "ensemble"),
]


def test_any_text_is_kept_as_it_is():
    draw = random.Random(0)
    for _ in range(5000):
        text = "".join(draw.choices(PIECES, k=draw.randint(0, 6)))
        value = Variant.parse(text)
        assert value.format() == text
        assert Variant.parse(value.format()) == value


def test_any_value_that_can_be_made_is_read_again():
    draw, made = random.Random(1), 0
    for _ in range(3000):
        point, name = ("".join(draw.choices(PIECES, k=draw.randint(0, 2))) for _ in range(2))
        steps = draw.choice([None, 0, 1, 20, 10**9, -1])
        try:
            value = Variant(point, name, steps)
        except ValueError:
            continue
        made += 1
        assert Variant.parse(value.format()) == value
    assert made > 100


@pytest.mark.parametrize(
    "parts", [("", "sweep 3"), ("", "fpr1"), ("loose", ""), ("", "", 0), ("", "a, sweep 2")]
)
def test_parts_that_would_be_read_as_others_are_refused(parts):
    with pytest.raises(ValueError, match="would not be read"):
        Variant(*parts)


def test_what_is_in_a_variant_is_asked_of_it():
    assert Variant.parse("fpr0.5, oblivious").rate == "0.5"
    assert Variant.parse("best-f1").rate == ""
    assert [Variant.parse(t).strict for t in ("fpr1", "best-f1", "fprx", "")] == [True, False, False, False]
    assert Variant.parse("to to x").baseline == "to x"
    assert Variant.parse("tomato").baseline == ""
    penalties = (
        "penalty=0.1 via autograd",
        "fpr1, penalty=2 via a+b",
        "penalty=1",
        "penalty=x",
        "penalty=inf a",
    )
    assert [Variant.parse(t).penalty for t in penalties] == [0.1, 2.0, 1.0, None, None]


def test_sweeps_of_versions_before_0_2_are_read_in_todays_words():
    assert read_variant("steps=20") == "sweep 20"
    assert read_variant("best-f1 steps=20") == "best-f1, sweep 20"
    assert read_variant("to jpeg") == "to jpeg"


@pytest.mark.parametrize("text", ["sweep 0", "best-f1, sweep 0", "steps=" + "9" * 400, "penalty=1e+- x"])
def test_a_run_folders_variant_that_looks_like_a_number_is_one(text):
    with pytest.raises(ValueError, match="variant: "):
        read_variant(text)
