"""What `defend`, `detect` and `attack` share: options, the condition, the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import torch

from magdr_core.cli.clips import ClipWork
from magdr_core.cli.common import (
    block_option,
    cache_option,
    check_writable,
    chosen_finder,
    device_option,
    files_registry_option,
    finder_option,
    open_for_files,
)
from magdr_core.cli.document import for_a_program
from magdr_core.cli.file_results import FileReport, new_display
from magdr_core.cli.jobs import Defend, Detect, FaceJob
from magdr_core.cli.paths import Input, check_results, collect
from magdr_core.cli.photos import PhotoWork
from magdr_core.errors import DataError, RegistryError, suggestion
from magdr_core.files.checkpoint import read_card
from magdr_core.guards import GuardedFinder, GuardedGenerator
from magdr_core.inference.loaded import ALL, LARGEST, Loaded, Wanted, load
from magdr_core.inference.shown import Keeping
from magdr_core.media import FaceFinder
from magdr_core.runtime.conditions import known_name
from magdr_core.toolkit import Toolkit

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."),
    click.option("--task", metavar="LABEL", help="Generator of the registry; may be left out if it has one."),
    click.option(
        "--set",
        "edits",
        multiple=True,
        metavar="NAME[=VALUE]",
        help="What the generator is asked to make of it; all else is kept.",
    ),
    click.option(
        "--has",
        multiple=True,
        metavar="NAME[=VALUE]",
        help="What the pictures show already (=0: do not show), where it shall not be found out.",
    ),
    click.option(
        "--source",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Another picture: whose face is put in, in which style, or (cloaks) what the face is put into.",
    ),
    click.option("--text", metavar="TEXT", help="What to do, for generators that are told it in words."),
    click.option("--whole", is_flag=True, help="No search for a face: the largest square in the middle."),
    click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else."),
    files_registry_option,
    finder_option,
    device_option,
    block_option,
)

_CALIBRATED = (
    click.option(
        "--face",
        "wanted",
        default=ALL,
        show_default=True,
        metavar="all|largest|N",
        callback=lambda context, option, value: wanted_face(value),
        help="Which faces of a picture; N counts by size, from 1.",
    ),
    click.option(
        "--calibration",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="File of `magdr calibrate`; overrides the registry's.",
    ),
    click.option("--defense", default="magdr", show_default=True, help="A [defense.LABEL] with MagDR."),
    cache_option,
)

out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("magdr-out"),
    show_default=True,
    help="Folder of the results; those of an earlier call are replaced.",
)


def media_options(function: F) -> F:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def calibrated_options(function: F) -> F:
    for option in reversed(_CALIBRATED):
        function = option(function)
    return function


def wanted_face(text: str) -> Wanted:
    """What --face says.

    Raises:
        click.UsageError: something else than a word that it knows, or a number from 1.
    """
    if text == ALL:
        return ALL
    if text == LARGEST:
        return LARGEST
    if text.isdecimal() and text.isascii() and int(text):
        return int(text)
    raise click.UsageError(f"--face {text}: expected {ALL}, {LARGEST}, or a number from 1")


def parsed_edits(texts: Sequence[str], option: str = "--set") -> dict[str, float]:
    """`NAME` or `NAME=VALUE`; without a value 1.

    Args:
        option: what the user calls them.

    Raises:
        click.UsageError: no name, a name twice, or a value outside 0 to 1.
    """
    edits = {}
    for text in texts:
        name, given, value = text.partition("=")
        try:
            number = float(value) if given else 1.0
        except ValueError:
            number = math.nan
        if not name or not 0 <= number <= 1:
            raise click.UsageError(f"{option} {text}: expected NAME or NAME=VALUE with a value from 0 to 1")
        if name in edits:
            raise click.UsageError(f"{option} {name} is given twice; say it once")
        edits[name] = number
    return edits


def chosen_task(toolkit: Toolkit, task: str | None, edits: Iterable[str] = ()) -> str:
    """The generator that is meant: the one that is named, else the only one that knows the edits.

    Raises:
        DataError: none of that name, or several may be meant.
    """
    known, tasks = toolkit.registry.labels("generator"), toolkit.registry.tasks()
    if task is not None and task in known:
        return task
    name = toolkit.registry.path.name
    if task is not None:
        raise DataError(f"{name} has no [generator.{task}]{suggestion(task, known)}")
    if edits and len(tasks) > 1:
        names = {t: toolkit.generator(t).condition_names for t in tasks}
        every = {name for known in names.values() for name in known}
        for edit in edits:
            if edit not in every:
                raise DataError(f"no generator of {name} has a condition {edit!r}{suggestion(edit, every)}")
        tasks = [t for t in tasks if set(edits) <= set(names[t])] or tasks
    if len(tasks) != 1:
        raise DataError(f"{name} has {len(tasks)} generators; choose with --task: {', '.join(tasks)}")
    return tasks[0]


def chosen_conditions(
    generator: GuardedGenerator,
    edits: Mapping[str, float],
    has: Mapping[str, float],
    *,
    source: Loaded[Any] | None = None,
    text: str | None = None,
    device: torch.device | str = "cpu",
) -> Keeping:
    """The condition for each picture, `[1,C]`, from its face, and from a source picture or a text.

    Raises:
        DataError: an unknown name, no edit for a generator that needs one, or an edit that changes nothing.
    """
    names = generator.condition_names
    known_name(generator, has)
    if names and not edits and text is None:
        words = ", or in words with --text" if generator.takes_text else ""
        known = ", ".join(names)
        raise DataError(f"say what the generator shall do with --set NAME{words}; it knows {known}")
    face = None if source is None else source.face[None].to(device)
    return Keeping(generator, edits, has, source=face, text=text)


def source_face(
    path: Path | None, generator: GuardedGenerator, finder: FaceFinder | None
) -> Loaded[Any] | None:
    """The face of the picture that --source names, cut as those of the other pictures are.

    Raises:
        DataError: it cannot be used, or shows no face.
    """
    return None if path is None else load(Input(path, path.name), generator.size, finder)


def condition_facts(toolkit: Toolkit, task: str, asked: Keeping) -> dict[str, Any]:
    """What the generator is told, what about the pictures is found out or only assumed, and what the
    generator was trained on, for the report."""
    kept, named = asked.looked_for, {*asked.has, *asked.edits}
    unknown = [n for n in asked.generator.condition_names if n not in named and n not in kept]
    return {
        "task": task,
        "set": dict(asked.edits),
        **({} if asked.text is None else {"text": asked.text}),
        "has": dict(asked.has),
        "kept": kept,
        # An editor that only adds leaves alone what it is not told of.
        "assumed_absent": [] if asked.generator.additive else unknown,
        "knows": "drawn faces" if trained_on_drawn(toolkit, task) else "",
    }


def trained_on_drawn(toolkit: Toolkit, task: str) -> bool:
    """Whether the card beside the generator's weights says that it was trained on drawn faces."""
    for value in toolkit.resolve("generator", task).params.values():
        if isinstance(value, Path):
            data = str(read_card(value).get("training", {}).get("data", "")).split(",")[0]
            try:
                return "synthetic" in toolkit.resolve("dataset", data).entry.spec.tags
            except RegistryError:
                return False
    return False


def calibration_facts(toolkit: Toolkit, task: str) -> dict[str, Any]:
    """What verdicts are calibrated on, for the report; drawn faces are no photographs."""
    file = toolkit.registry.calibration.file
    rate = {"false_alarms": toolkit.registry.calibration.fpr}
    if file != "auto":
        return {"calibrated_on": file, **rate}
    dataset = toolkit.registry.dataset_of(task)
    name = toolkit.resolve("dataset", dataset).entry.name
    return {"calibrated_on": name, "synthetic": toolkit.drawn(dataset), **rate}


def finder_facts(finder: GuardedFinder | None) -> dict[str, Any]:
    """What finds the faces, for the report; nothing where none are looked for."""
    return {} if finder is None else {"finder": finder.label}


def work_through(
    inputs: Sequence[Input],
    job: FaceJob,
    conditions: Keeping,
    toolkit: Toolkit,
    report: FileReport,
    *,
    finder: FaceFinder | None,
    out: Path | None,
    wanted: Wanted = ALL,
    photos: Callable[..., PhotoWork] = PhotoWork,
) -> None:
    """Pictures first, then clips.

    Args:
        finder: of faces; None for no search, the largest square in the middle.
        photos: makes the work on pictures.
    """
    told: Any = {"done": report.done, "skip": report.skip}
    work = photos(job, conditions, toolkit.device, finder=finder, out=out, wanted=wanted, **told)
    clips = ClipWork(work, report.display.step)
    with report.display.running(str(report.head["command"]), len(inputs)):
        work.run([i for i in inputs if not i.is_video])
        for given in inputs:
            if given.is_video:
                clips.run(given)
    report.finish()


def judge(
    command: str,
    job: type[Defend] | type[Detect],
    paths: tuple[Path, ...],
    *,
    task: str | None,
    edits: tuple[str, ...],
    has: tuple[str, ...],
    source: Path | None,
    text: str | None,
    whole: bool,
    as_json: bool,
    registry: Path | None,
    finder: str | None,
    device: str | None,
    block: tuple[str, ...],
    calibration: Path | None,
    defense: str,
    cache: Path,
    wanted: Wanted,
    out: Path | None = None,
) -> None:
    """Calibrate MagDR for the task and put it to work on the files, with the options of the command line.

    Args:
        out: where restored pictures go; None if nothing is written.
    """
    with for_a_program(as_json) as stdout:
        inputs = collect(paths)
        sought = parsed_edits(edits)
        if out is not None:
            check_results(inputs, out, job.suffix)
            check_writable(out)
        toolkit = open_for_files(registry, device, block, task)
        if calibration is not None:
            toolkit = toolkit.with_calibration(calibration)
        label = chosen_task(toolkit, task, sought)
        generator = toolkit.generator(label)
        found_by = chosen_finder(toolkit, finder, whole)
        conditions = chosen_conditions(
            generator,
            sought,
            parsed_edits(has, "--has"),
            source=source_face(source, generator, found_by),
            text=text,
            device=toolkit.device,
        )
        facts = condition_facts(toolkit, label, conditions) | calibration_facts(toolkit, label)
        facts |= {} if source is None else {"source": str(source)}
        head = {"command": command, **facts, "defense": defense, **finder_facts(found_by)}
        report = FileReport(new_display(as_json), as_json, head, stdout)
        display = new_display(as_json)

        def step(what: str, done: int, total: int) -> None:
            report.start()  # before anything is computed, and not where the defense cannot be used
            display.step(what, done, total)

        with display.running("calibrating", 1):
            pipeline = toolkit.magdr(label, defense=defense, cache=cache, progress=step)
        report.start()
        done = job(pipeline, synthetic=bool(facts.get("synthetic")), conditions=conditions)
        work_through(inputs, done, conditions, toolkit, report, finder=found_by, out=out, wanted=wanted)
