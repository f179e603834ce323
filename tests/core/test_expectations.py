"""Checks of values that wait until they are settled say the same, of the same component."""

from __future__ import annotations

import pytest
import torch

from magdr_core import guards as guard
from magdr_core.errors import ComponentError
from magdr_core.isolation.expectations import deferred, expect

WRONG = {
    "range": (lambda x: x + 1, "returned values in"),
    "nan": (lambda x: x / 0 * 0, "returned NaN or infinite values"),
    "edit": (lambda x: x.data.mul_(0.5) + 0, "edits its input in place"),
}


@pytest.mark.parametrize("name", WRONG)
def test_expectations_are_settled_at_the_end_and_keep_attribution(name, images):
    f, message = WRONG[name]
    guarded, reached = guard.GuardedImageMap(f, "map bad"), []

    def called_and_settled():
        with deferred(always=True):
            guarded(images(2))
            reached.append(True)

    with pytest.raises(ComponentError, match=f"map bad: {message}"):
        called_and_settled()
    assert reached, "the call itself did not look"


def test_expectations_hold_for_a_sound_component(images):
    with deferred(always=True) as collected:
        guard.GuardedImageMap(lambda x: x * 0.5, "map")(images(2))
        assert len(collected) > 0
    assert len(collected) == 0


def test_expectations_the_first_that_fails_is_raised_also_before_a_later_error():
    def fails_twice():
        with deferred(always=True):
            expect(torch.tensor(True), lambda: ValueError("good"))
            expect(torch.tensor(False), lambda: ValueError("first"))
            raise RuntimeError("later")

    with pytest.raises(ValueError, match="first") as e:
        fails_twice()
    assert isinstance(e.value.__cause__, RuntimeError)


def test_expectations_outside_are_looked_at_at_once():
    with pytest.raises(ValueError, match="now"):
        expect(torch.tensor(False), lambda: ValueError("now"))


def test_expectations_are_settled_before_they_are_too_many():
    def collects_without_end():
        with deferred(always=True) as collected:
            expect(torch.tensor(False), lambda: ValueError("many"))
            for _ in range(5000):
                expect(torch.tensor(True), lambda: ValueError("good"))
            raise AssertionError(f"{len(collected)} were collected")

    with pytest.raises(ValueError, match="many"):
        collects_without_end()
