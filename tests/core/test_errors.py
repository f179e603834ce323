"""What a message says of a name that is not known."""

import pytest

from magdr_core.errors import suggestion

KNOWN = ("Smiling", "Blond_Hair", "Young")


@pytest.mark.parametrize(
    ("given", "meant"),
    [("SMILING", "Smiling"), ("smilng", "Smiling"), ("BLOND_HAIR", "Blond_Hair"), ("yuong", "Young")],
)
def test_suggestion_finds_a_name_whatever_its_case(given, meant):
    assert suggestion(given, KNOWN) == f"; did you mean {meant!r}?"


def test_suggestion_of_the_same_case_comes_first():
    assert suggestion("PGD2", ("pgd2", "PGD")) == "; did you mean 'PGD'?"


def test_suggestion_lists_what_is_known_where_nothing_is_like_it():
    assert suggestion("xyz", KNOWN) == "; known: Blond_Hair, Smiling, Young"
