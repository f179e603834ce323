"""Conditions from names: what is told, what is assumed, what is refused."""

from types import SimpleNamespace

import pytest
import torch

from magdr_core.errors import DataError
from magdr_core.runtime.conditions import condition_of, known_name

HAIR = SimpleNamespace(condition_names=("Black_Hair", "Blond_Hair", "Smiling"))
ADDING = SimpleNamespace(condition_names=HAIR.condition_names, additive=True)
NONE = SimpleNamespace(condition_names=())


def test_what_is_not_named_counts_as_absent():
    c = condition_of(HAIR, {}, {"Smiling": 1.0})
    assert c.values.tolist() == [[0, 0, 1]]
    assert c.changed.tolist() == [[False, False, True]]


def test_a_hair_colour_takes_the_place_of_the_one_that_is_there():
    c = condition_of(HAIR, {"Black_Hair": 1.0}, {"Blond_Hair": 1.0}, count=2)
    assert c.values.tolist() == [[0, 1, 0]] * 2
    assert c.changed.tolist() == [[True, True, False]] * 2


def test_batches_of_attributes_give_a_condition_each():
    c = condition_of(HAIR, {"Smiling": torch.tensor([0.0, 0.5])}, {"Smiling": 1.0})
    assert c.values[:, 2].tolist() == [1, 1]


def test_every_picture_may_get_a_value_of_its_own():
    c = condition_of(
        HAIR, {"Black_Hair": torch.ones(2)}, {"Blond_Hair": torch.tensor([1.0, 0.0]), "Smiling": 1.0}
    )
    assert c.values.tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]
    assert c.changed.tolist() == [[True, True, True], [False, False, True]]


def test_a_generator_without_conditions_needs_none():
    assert condition_of(NONE, {}, {}, count=3).values.shape == (3, 0)
    with pytest.raises(DataError, match="takes no condition, so 'Smiling'"):
        known_name(NONE, ["Smiling"])


def test_edits_that_change_nothing_and_unknown_names_are_refused():
    with pytest.raises(DataError, match="changes nothing"):
        condition_of(HAIR, {"Smiling": 1.0}, {"Smiling": 1.0})
    with pytest.raises(DataError, match=r"no condition 'Smilin'; did you mean 'Smiling'\?"):
        condition_of(HAIR, {}, {"Smilin": 1.0})


def test_a_generator_that_only_adds_is_not_told_to_take_away():
    c = condition_of(ADDING, {"Black_Hair": 1.0}, {"Blond_Hair": 1.0})
    assert c.values.tolist() == [[0, 1, 0]], "another hair colour is an addition"
    for edits in ({"Smiling": 0.0}, {"Smiling": torch.tensor([1.0, 0.0]), "Blond_Hair": 1.0}):
        with pytest.raises(DataError, match="only adds: 'Smiling' = 0 leaves it as it is"):
            condition_of(ADDING, {"Smiling": torch.tensor([0.0, 1.0])}, {"Blond_Hair": 1.0, **edits})
    assert condition_of(HAIR, {"Smiling": 1.0}, {"Smiling": 0.0}).changed.tolist() == [[False, False, True]]
