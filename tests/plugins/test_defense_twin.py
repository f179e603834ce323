"""A second generator always in place of the first."""

from __future__ import annotations

import pytest
import torch

from magdr_core.components.batch import Condition
from magdr_core.errors import MagdrError
from tests.edits import edited

TABLES = """
[generator.second]
use = "toy/net"
params = { gain = 3.0 }

[defense.twin]
params = { twins = ["second"] }
"""


def pictures(n=3):
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def condition(n=3, entries=2):
    return Condition(torch.ones(n, entries), torch.ones(n, entries, dtype=torch.bool))


def test_the_output_is_the_twins_and_the_input_is_left_alone(toy):
    kit = toy(TABLES)
    d, G, x, c = kit.build("defense", "twin"), kit.generator("toy"), pictures(), condition()
    assert torch.equal(d(x, c, G), x)
    y = d.output(x, x, c, G)
    assert torch.equal(y, kit.generator("second")(x, c))
    assert not torch.allclose(y, G(x, c))
    assert (G.take_passes(), kit.take_inner_passes()) == (len(x), len(x))


def test_a_generator_of_another_task_keeps_its_place(toy):
    class Other:
        condition_names = ()

        def __call__(self, x, c):
            return 1 - x

    d, x = toy(TABLES).build("defense", "twin"), pictures()
    assert torch.equal(d.output(x, x, condition(entries=0), Other()), 1 - x)


def test_the_composition_names_the_twins_of_all(toy):
    kit = toy(
        edited(TABLES, ('[defense.twin]\nparams = { twins = ["second"] }\n', '[magdr]\ntwins = ["second"]\n'))
    )
    assert kit.resolve("defense", "twin").needs == {"twins": ["second"]}
    assert kit.resolve("detector", "magdr").needs["twins"] == ["second"]


@pytest.mark.parametrize("none", ["[]", '""'])
def test_a_table_can_say_that_it_takes_nothing_of_what_the_composition_names(toy, none):
    composition = '[magdr]\ntwins = ["second"]\nopinion = "median"\n[restoration.median]\n'
    alone = f'[detector.alone]\nuse = "magdr"\nparams = {{ twins = [], opinion = {none} }}\n'
    kit = toy(TABLES + composition + alone)
    asked = kit.resolve("detector", "magdr").needs
    assert (asked["twins"], asked["opinion"]) == (["second"], "median")
    needs = kit.resolve("detector", "alone").needs
    assert needs["twins"] is None
    assert needs["opinion"] is None


def test_without_a_twin_there_is_no_such_defense(toy):
    with pytest.raises(MagdrError, match="needs twins: a list of generator labels"):
        toy(edited(TABLES, ('params = { twins = ["second"] }\n', ""))).build("defense", "twin")
