"""Commands that are imported when they are used; until then their names and their lines are known."""

from __future__ import annotations

import importlib
from typing import Any

import click


class LazyCommand(click.Command):
    """Stands for the command in a module.

    Args:
        name: of the command.
        place: the module; its command is called `command` there.
        line: what `magdr --help` says of it.
    """

    def __init__(self, name: str, place: str, line: str) -> None:
        super().__init__(name, help=line, short_help=line)
        self.place = place

    def load(self) -> click.Command:
        command: click.Command = importlib.import_module(self.place).command
        return command

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        return self.load().make_context(*args, **kwargs)
