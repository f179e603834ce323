"""The tables as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TITLES = {
    "loop": "Attack loop",
    "pipeline": "Detection and reconstruction",
    "agreement": "Faster passes, the same decisions",
    "filters": "Filters and criteria",
    "inside": "Where the time goes",
    "scaling": "Scaling",
}

NOTES = {
    "loop": """PGD on the disruption. Ratio: how many times faster than the public disruption loop, round by
round. Loss drift: largest relative difference of a step's loss from the public loop's (torchattacks' ball is
around its start, so its losses are others after the first step; its pass over clean images is not timed).""",
    "pipeline": """The editing task, shipped calibration, half of the images clean, half attacked. Ratio:
how many times faster than one image and one generator pass at a time. Agreement with that form: shares of
images with the same verdict and the same plan, largest difference of a score.""",
    "agreement": """The same task, against plain passes: shares of images with the same verdict and the same
plan, largest difference of a score (log odds). More images than above, and no times.""",
    "filters": """32 images of 128 px, or as `--filters` says. Ratio: how many times longer than ours a peer
takes. Apart: mean absolute difference from our result.""",
    "inside": """Each part without what is called inside it. `64 px` is the shipped generator, `128 px` the
published StarGAN's size with random weights and the same criteria, f_k and candidates.""",
    "scaling": "One point each; MiB is what the call took beyond what was held before it.",
}


def part(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """One table with its heading."""
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in ("low", "high", "against")))
    lines = [f"## {TITLES[name]}", "", NOTES[name], "", _line(columns), _line("---" for _ in columns)]
    lines += [_line(_cell(row, column) for column in columns) for row in rows]
    return "\n".join(lines) + "\n"


def page(content: Mapping[str, Any]) -> str:
    """All tables of one run."""
    packages = ", ".join(f"{name} {number}" for name, number in content["versions"].items())
    head = [
        f"# Speed on {content['hardware']}",
        "",
        f"`python benchmarks/speed/run.py`, {content['date']}: "
        f"{content['threads']} of {content['cores']} cores, "
        f"{content['clock']} time, {content['rounds']} rounds. Attack loop: {content['loop']}. {packages}.",
        "",
    ]
    return "\n".join([*head, *(part(name, rows) for name, rows in content["tables"].items())])


def _line(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column, "")
    if column == "ratio" and "ratio" in row:
        return f"{value:.2f} ({row['low']:.2f} to {row['high']:.2f})"
    if column == "share":
        return f"{100 * value:.1f}%"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
