"""What channels between attack and defense leave: of attacks, of their detection, of what defenses repair."""

from __future__ import annotations

from magdr_core.report.figures import CLEAN_IMAGES, Figures
from magdr_core.report.formatting import Block, Column, Table, TableLine, number, shown
from magdr_core.results.channel_grid import channel_lines, channels_of
from magdr_core.results.frame import FigureTable

NOTE = (
    "A channel is what a picture goes through between whoever publishes it and whoever finds it. "
    "disruption_kept is the output's error behind the channel as a share of that without it, "
    "disruption_of_channel the share that the channel does to clean pictures by itself, perturbation_kept "
    "what is left where both copies go through the channel. Thresholds are of pictures as published, and "
    "false alarms are of clean pictures behind the same channel."
)


def channel_table(figures: Figures, task: str) -> Table | None:
    """A line per figure, a column per channel, a block for clean pictures and one per attack; None in a run
    without channels."""
    run = figures.whole
    table = FigureTable(run.rows, run.cells)
    channels = channels_of(table.where(task=task), run.listed("channels"))
    columns = [Column(name or "none", "" if name else "as published") for name in ("", *channels)]
    blocks: dict[str, Block] = {}
    for line in channel_lines(table, task, channels):
        clean = line.condition == CLEAN_IMAGES
        title = "Clean images" if clean else line.condition.label
        block = blocks.setdefault(title, Block(title, line.condition.strength, [], compared=False))
        whose = "" if line.role == "attack" else f"{line.component}: "
        told = line.figure.told
        made = TableLine(f"{whose}{told.name}", told.unit)
        own = Column("", show=number(told.digits), factor=line.figure.factor)
        for value in line.values.values():
            made.fields.append(shown(value, own, failed=False, seeds=len(figures.seeds(task))))
        block.lines.append(made)
    if not blocks:
        return None
    return Table(f"Channels, {task}", "Figure", columns, list(blocks.values()), NOTE)
