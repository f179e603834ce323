"""The help of groups of commands: what each command does stands whole in a narrow terminal."""

from __future__ import annotations

import click
import pytest

from magdr_core.cli import leaderboard, plugins, registry, weights

GROUPS = [module.command for module in (leaderboard, plugins, registry, weights)]


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g.name)
@pytest.mark.parametrize("width", [60, 80])
def test_a_group_says_what_each_of_its_commands_does(group, width):
    told = group.get_help(
        click.Context(group, info_name=group.name, max_content_width=width, terminal_width=width)
    )
    assert max(map(len, told.splitlines())) <= width
    assert "..." not in told.partition("Commands:")[2]
    words = " ".join(told.split())
    for name, command in group.commands.items():
        assert f"{name} {command.get_short_help_str(200)}" in words
