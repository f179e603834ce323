"""The console's view of what channels leave: of an attack, of its detection, of what a defense repairs."""

from __future__ import annotations

from collections.abc import Sequence

from magdr_core.cli.fitting_table import FittingTable, Head, arrow
from magdr_core.cli.terminal import Terminal, stacked
from magdr_core.results.channel_grid import ChannelLine, channel_lines, channels_of
from magdr_core.results.frame import CLEAN_IMAGES, MISSING, FigureTable

NO_CHANNEL = "as published"


def channel_tables(console: Terminal, table: FigureTable, task: str, listed: Sequence[str]) -> None:
    """A table of a task's figures behind each channel; nothing where there are none.

    Args:
        table: the rows of one task.
        listed: the profile's channels.
    """
    channels = channels_of(table, listed)
    found = list(channel_lines(table, task, channels))
    if not found:
        return
    n = max(value.n for line in found for value in line.values.values() if value is not None)
    shown = FittingTable(
        f"{task}: behind channels (n = {n}; thresholds are those of pictures as published)",
        ["pictures", "component, figure"],
        [[Head([name])] for name in (NO_CHANNEL, *channels)],
    )
    before = ""
    for line in found:
        pictures = "clean" if line.condition == CLEAN_IMAGES else line.condition.label
        numbers = [_shown(line, name) for name in ("", *channels)]
        named = stacked(f"{_name(line)} {arrow(console, line.figure.better)}".rstrip())
        shown.add_row([pictures if pictures != before else "", named], numbers)
        before = pictures
    shown.print(console)


def _name(line: ChannelLine) -> str:
    return line.figure.name if line.role == "attack" else f"{line.component} {line.figure.name}"


def _shown(line: ChannelLine, channel: str) -> str:
    value = line.values[channel]
    return MISSING if value is None else line.figure.text(value.value)
