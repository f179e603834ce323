"""What parameters mean, as docstrings and fields tell it."""

from typing import Annotated

import pytest
from torch import nn

from magdr_core.api import AttackSpec, DefenseSpec, Field, Need, stateless
from magdr_core.components.meanings import meanings_of, sentence, told_by


def test_entries_of_args_are_read_with_their_continued_lines():
    text = """Does a thing.

    Args:
        eps: L-infinity bound in [0,1] units.
        steps, restarts: at least 1; more take
            longer: twice as many, twice as long.
        kind (str): of the thing.

    Raises:
        ValueError: never.
    """
    assert told_by(text) == {
        "eps": "L-infinity bound in [0,1] units.",
        "steps": "at least 1; more take longer: twice as many, twice as long.",
        "restarts": "at least 1; more take longer: twice as many, twice as long.",
        "kind": "of the thing.",
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("One line.", id="one line"),
        pytest.param("One.\n\n    Raises:\n        ValueError: at times.", id="another section"),
        pytest.param("One.\n\n    Args: as of another class.", id="a sentence"),
    ],
)
def test_a_docstring_without_args_tells_nothing(text):
    assert told_by(text) == {}


def test_what_follows_the_section_is_no_parameter():
    assert told_by("A.\n\n    Args:\n        a: one.\n\n    Returns:\n        b: not one.") == {"a": "one."}


def test_a_cross_reference_is_shown_as_its_name():
    text = "A.\n\n    Args:\n        a: see :class:`~magdr_core.api.Need`, or :func:`run`."
    assert told_by(text) == {"a": "see `Need`, or `run`."}


class Base:
    """A base.

    Args:
        a: of the base.
        b: of the base.
    """

    def __init__(self, *, a: int = 1, b: int = 2, c: int = 3) -> None:
        """Makes one.

        Args:
            c: of the initialiser.
        """


class Derived(Base):
    """Derived.

    Args:
        a: of the class.
    """


def test_a_class_is_asked_before_its_initialiser_and_those_it_is_made_from():
    assert meanings_of(Derived) == {"a": "of the class.", "b": "of the base.", "c": "of the initialiser."}


def test_a_class_without_words_of_its_own_tells_nothing():
    assert meanings_of(type("Bare", (), {})) == {}
    assert meanings_of(type("Layer", (nn.Module,), {})) == {}


def moved(x, *, by: int = 1, times: Annotated[int, Field(description="how often")] = 1):
    """`[B,3,H,W]` moved.

    Args:
        by: pixels to the right.
        times: never read: the field says it.
        gone: no parameter.
    """
    return x


def test_a_spec_knows_what_its_parameters_mean():
    spec = DefenseSpec(name="moved", build=stateless(moved))
    assert spec.meanings == {"by": "Pixels to the right.", "times": "How often."}


def test_a_spec_knows_what_its_needs_are_for_and_leaves_out_what_nobody_tells():
    def build(*, eps: float = 0.1, other: object = None, silent: int = 1):
        """An attack.

        Args:
            eps: bound.
            other: attack that goes first.
        """

    spec = AttackSpec(name="after", build=build, needs={"other": Need("attack")})
    assert spec.meanings == {"eps": "Bound.", "other": "Attack that goes first."}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("side, in pixels", "Side, in pixels."),
        ("`hard` keeps more.", "`hard` keeps more."),
        ("4:2:0 chroma", "4:2:0 chroma."),
        ("f_k that judge", "f_k that judge."),
        ("why?", "Why?"),
    ],
)
def test_a_meaning_is_shown_as_a_sentence(text, expected):
    assert sentence(text) == expected
