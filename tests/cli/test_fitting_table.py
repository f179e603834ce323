"""Tables that go on below where the terminal is too narrow: nothing is lost, and rows keep their names."""

from __future__ import annotations

import io

import pytest

from magdr_core.cli.fitting_table import FittingTable, Head
from magdr_core.cli.terminal import Terminal


def table():
    made = FittingTable("title (n = 8)", ["name"], [[Head([f"g{i}"]), Head([f"h{i}"])] for i in range(4)])
    for name in ("first", "second"):
        made.add_row([name], [f"{name[0]}{i}{j}" for i in range(4) for j in "ab"])
    return made


def printed(made, width):
    console = Terminal()
    console.file, console.width = io.StringIO(), width
    made.print(console)
    return [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]


def test_a_wide_terminal_has_one_part():
    lines = printed(table(), 80)
    assert lines[0] == "title (n = 8)"
    assert lines[1].split() == ["name", *(f"{c}{i}" for i in range(4) for c in "gh")]
    assert lines[3].split() == ["first", *(f"f{i}{j}" for i in range(4) for j in "ab")]
    assert len(lines) == 5


@pytest.mark.parametrize(("width", "parts"), [(30, 2), (18, 4)])
def test_a_narrow_terminal_has_the_columns_in_parts_with_groups_together(width, parts):
    lines = printed(table(), width)
    titles = [line for line in lines if line.startswith("title")]
    assert titles == ["title (n = 8)", *["title, continued"] * (parts - 1)]
    assert max(map(len, lines)) <= width
    heads = [line.split()[1:] for line in lines if line.startswith("name")]
    assert [name for head in heads for name in head] == [f"{c}{i}" for i in range(4) for c in "gh"]
    assert all(len(head) % 2 == 0 for head in heads), "groups stay together"
    firsts = [line.split()[1:] for line in lines if line.startswith("first")]
    assert [figure for first in firsts for figure in first] == [f"f{i}{j}" for i in range(4) for j in "ab"]


def test_a_row_of_too_few_figures_is_refused():
    with pytest.raises(ValueError, match="3 figures in a table of 8 columns"):
        table().add_row(["third"], ["1", "2", "3"])
