"""The page of an adaptation: pictures and figures before and after, in one file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from magdr_core.adapt.measuring import MAGDR, UNDEFENDED, BeforeAndAfter, ComparedFigure
from magdr_core.adapt.tables import EDITING, GENERIC, GeneratorSource, purifier_name, twin_name
from magdr_core.files.disk import write_atomically
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.report.formatting import MISSING, percent, values_of
from magdr_core.report.picture_grid import GAP, png_row
from magdr_core.report.template import rendered

_BIG = 128
"""Pictures up to this size are shown at twice their size."""

_mse = values_of(DEFINITIONS["attack", "mse_o"])


@dataclass(frozen=True)
class PictureRow:
    """Pictures side by side.

    Attributes:
        url: a data URL.
    """

    title: str
    detail: str
    url: str


@dataclass(frozen=True)
class TableRow:
    """A line of the table.

    Attributes:
        figures: value and interval of a defense on attacked and on clean pictures.
    """

    title: str
    figures: tuple[tuple[str, str], tuple[str, str]]


def write_page(
    path: Path,
    source: GeneratorSource,
    measured: BeforeAndAfter,
    *,
    no_twin: str,
    pictures: Mapping[str, int],
) -> Path:
    """Write the page; its path.

    Args:
        no_twin: why there is no twin; empty if there is one.
        pictures: how many each split has.

    Raises:
        WriteError: it cannot be written.
    """
    text = render(source, measured, no_twin=no_twin, pictures=pictures)
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8", newline="\n"))
    return path


def render(
    source: GeneratorSource, measured: BeforeAndAfter, *, no_twin: str, pictures: Mapping[str, int]
) -> str:
    """The page as text."""
    titles = titles_of(source.task, twin=not no_twin)
    size = source.size
    shown = ["input", "clean", "attacked", *titles]
    return rendered(
        "page.html",
        package="magdr_core.adapt",
        task=source.task,
        registry=source.registry.path.name,
        headline=headline(source.task, measured),
        sentences=sentences(source.task, measured, no_twin=no_twin),
        rows=[
            TableRow(title, (_field(measured.of(what, "pgd")), _field(measured.of(what, "clean"))))
            for what, title in titles.items()
            if measured.of(what, "pgd") is not None
        ],
        strips=[
            PictureRow(*_title(what, titles, measured), png_row(measured.pictures[what]))
            for what in shown
            if what in measured.pictures
        ],
        width=(2 if size <= _BIG else 1) * (len(measured.pictures["input"]) * (size + GAP) - GAP),
        pictures=pictures,
        n=measured.figures[0].n,
    )


def titles_of(task: str, *, twin: bool) -> dict[str, str]:
    """What everything is called, in the order of the table."""
    return {
        UNDEFENDED: "undefended",
        GENERIC: "shipped purifier, for no generator",
        EDITING: "shipped purifier, for the shipped editor",
        purifier_name(task): "purifier for this generator",
        twin_name(task): "twin in the generator's place",
        MAGDR: "MagDR with purifier and twin" if twin else "MagDR with this purifier",
    }


def headline(task: str, measured: BeforeAndAfter) -> str:
    """What it comes to, in one line."""
    undefended, own, best = _left(task, measured)
    return (
        f"Of what the attack did, the new purifier leaves {_part(own, undefended)}; "
        f"the better shipped one {_part(best, undefended)}"
    )


def _left(task: str, measured: BeforeAndAfter) -> tuple[ComparedFigure, ComparedFigure, ComparedFigure]:
    """What an attack does undefended, behind the new purifier, and behind the better of the shipped ones."""
    undefended, own = measured.of(UNDEFENDED, "pgd"), measured.of(purifier_name(task), "pgd")
    assert undefended is not None
    assert own is not None
    shipped = [f for f in (measured.of(name, "pgd") for name in (GENERIC, EDITING)) if f is not None]
    return undefended, own, min(shipped, key=lambda f: f.value)


def sentences(task: str, measured: BeforeAndAfter, *, no_twin: str) -> list[str]:
    """The figures in words; commands stand between backticks."""
    undefended, own, best = _left(task, measured)
    told = [
        f"PGD (6/255) moves this generator's output by {_shown(undefended)}, the mean squared error in "
        f"levels of 0 to 255 on {undefended.n} test pictures. The better of the two shipped purifiers leaves "
        f"{_shown(best)} of it ({_part(best, undefended)}), the one that was trained for this generator "
        f"{_shown(own)} ({_part(own, undefended)})."
    ]
    change = next((f for f in measured.figures if " minus " in f.what), None)
    if change is not None and not math.isnan(change.high):
        if change.high < 0:
            told.append(
                "On the same pictures the new purifier is better than the shipped ones: the interval of "
                "the difference leaves out 0."
            )
        elif change.low > 0:
            told.append("On the same pictures the new purifier is worse than a shipped one: train it longer.")
        else:
            told.append(
                "Whether the new purifier is better than the shipped ones, so few pictures do not tell."
            )
    clean = measured.of(purifier_name(task), "clean")
    if clean is not None:
        told.append(f"On pictures that nobody attacked it changes the output by {_shown(clean)}.")
    flags = {images: measured.of(MAGDR, images, "flagged") for images in ("clean", "pgd", "noise")}
    if flags["clean"] is not None and flags["pgd"] is not None and flags["noise"] is not None:
        told.append(
            f"MagDR calls {_share(flags['pgd'])} of the attacked pictures disrupted, "
            f"{_share(flags['clean'])} of the clean ones (false alarms) and {_share(flags['noise'])} of "
            "those with random signs of the same strength."
        )
    if no_twin:
        told.append(f"There is no twin: {no_twin}.")
    elif measured.gap:
        told.append(
            f"The twin's output is {measured.gap['clean']:.1f} levels of 255 from the generator's on clean "
            f"pictures and {measured.gap['pgd']:.1f} on attacked ones; what tells of an attack is the "
            "difference between these two."
        )
    told.append("PGD here knows the generator and not the defense; `magdr bench` has attacks that know both.")
    return told


def _title(what: str, titles: Mapping[str, str], measured: BeforeAndAfter) -> tuple[str, str]:
    pictures = {"input": "clean picture", "clean": "its output", "attacked": "attacked picture"}
    figure = measured.of(what, "pgd")
    detail = f"mean MSE {_mse(figure.value)}" if figure is not None else ""
    return pictures.get(what) or f"output, {titles[what]}", detail


def _field(figure: ComparedFigure | None) -> tuple[str, str]:
    """Value and interval; no interval where there are too few pictures."""
    if figure is None:
        return MISSING, ""
    if math.isnan(figure.low):
        return _mse(figure.value), ""
    return _mse(figure.value), f"[{_mse(figure.low)}, {_mse(figure.high)}]"


def _shown(figure: ComparedFigure | None) -> str:
    return " ".join(_field(figure)).rstrip()


def _share(figure: ComparedFigure) -> str:
    ends = "" if math.isnan(figure.low) else f" [{percent(figure.low)}, {percent(figure.high)}]"
    return f"{percent(figure.value)}{ends}"


def _part(figure: ComparedFigure, of: ComparedFigure) -> str:
    return f"{percent(figure.value / of.value)}" if of.value > 0 else MISSING
