"""Groups of commands whose help says what each one does, however narrow the terminal is."""

from __future__ import annotations

import click

LONGEST = 200
"""Characters of what is said of a command; click's own group cuts it to one line of the terminal."""


class CommandGroup(click.Group):
    """A group whose help has every command's first sentence whole."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl([(name, c.get_short_help_str(LONGEST)) for name, c in found if c is not None])
