"""What `defend`, `detect` and `attack` share: options, the condition, the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from magdr_core.cli.clips import ClipWork
from magdr_core.cli.common import (
    ProgressDisplay,
    block_option,
    cache_option,
    check_writable,
    device_option,
    open_toolkit,
)
from magdr_core.cli.inputs import Input, check_results, collect
from magdr_core.cli.jobs import Defend, Detect, Job
from magdr_core.cli.photos import PhotoWork
from magdr_core.cli.terminal import Terminal, say_document
from magdr_core.cli.told import ADVICE, detail_lines, verdict_line
from magdr_core.conditions import condition_of, known_name
from magdr_core.errors import DataError, MagdrError, one_line, suggestion
from magdr_core.guard import GuardedGenerator
from magdr_core.toolkit import Toolkit
from magdr_core.types import Condition

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."),
    click.option("--task", metavar="LABEL", help="Generator of the registry; may be left out if it has one."),
    click.option(
        "--set", "edits", multiple=True, metavar="NAME[=VALUE]", help="What the generator shall make of it."
    ),
    click.option(
        "--has", multiple=True, metavar="NAME", help="What the pictures show already; all else counts as 0."
    ),
    click.option("--whole", is_flag=True, help="No search for a face: the largest square in the middle."),
    click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else."),
    click.option("--registry", type=click.Path(path_type=Path), help="Default: ./registry.toml."),
    device_option,
    block_option,
)

_CALIBRATED = (
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


def own_options(function: F) -> F:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def calibrated_options(function: F) -> F:
    for option in reversed(_CALIBRATED):
        function = option(function)
    return function


def parsed_edits(texts: Sequence[str]) -> dict[str, float]:
    """`NAME` or `NAME=VALUE`; without a value 1.

    Raises:
        click.UsageError: no name, or a value outside 0 to 1.
    """
    edits = {}
    for text in texts:
        name, given, value = text.partition("=")
        try:
            number = float(value) if given else 1.0
        except ValueError:
            number = math.nan
        if not name or not 0 <= number <= 1:
            raise click.UsageError(f"--set {text}: expected NAME or NAME=VALUE with a value from 0 to 1")
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
        knowing = [t for t in tasks if set(edits) <= set(toolkit.generator(t).condition_names)]
        tasks = knowing or tasks
    if len(tasks) != 1:
        raise DataError(f"{name} has {len(tasks)} generators; choose with --task: {', '.join(tasks)}")
    return tasks[0]


def chosen_condition(
    generator: GuardedGenerator, edits: Mapping[str, float], has: Sequence[str]
) -> Condition:
    """The condition for every picture, `[1,C]`.

    Raises:
        DataError: an unknown name, no edit for a generator that needs one, or an edit that changes nothing.
    """
    names = generator.condition_names
    known_name(generator, has)
    if names and not edits:
        raise DataError(f"say what the generator shall do with --set NAME; it knows {', '.join(names)}")
    return condition_of(generator, dict.fromkeys(has, 1.0), edits)


def conditions_told(
    task: str, generator: GuardedGenerator, edits: Mapping[str, float], has: Sequence[str]
) -> dict[str, Any]:
    """What the generator is told, and what about the pictures is only assumed, for the report."""
    assumed = [name for name in generator.condition_names if name not in has and name not in edits]
    return {"task": task, "set": dict(edits), "has": list(has), "assumed_absent": assumed}


def with_calibration(toolkit: Toolkit, file: Path | None) -> None:
    """Use this calibration file instead of the registry's."""
    if file is not None:
        policy = toolkit.registry.calibration.model_copy(update={"file": str(file.absolute())})
        toolkit.resolver.registry = replace(toolkit.registry, calibration=policy)


def calibration_told(toolkit: Toolkit, task: str) -> dict[str, Any]:
    """What verdicts are calibrated on, for the report; drawn faces are no photographs."""
    file = toolkit.registry.calibration.file
    if file != "auto":
        return {"calibrated_on": file}
    dataset = toolkit.registry.dataset_of(task)
    name = toolkit.resolve("dataset", dataset).entry.name
    return {"calibrated_on": name, "synthetic": toolkit.drawn(dataset)}


@dataclass
class Told:
    """Says what became of each input, or gathers it for one JSON document.

    Attributes:
        results: for the document alone: a folder may be of any size.
    """

    display: ProgressDisplay
    as_json: bool
    head: dict[str, Any]
    results: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0
    judged: int = 0
    disrupted: int = 0
    skipped: list[dict[str, str]] = field(default_factory=list)

    def start(self) -> None:
        if self.as_json:
            return
        if self.head["assumed_absent"]:
            names = ", ".join(self.head["assumed_absent"])
            self.display.say(f"taken for absent, since --has does not name them: {names}")
        if self.head.get("synthetic"):
            self.display.say(
                f"calibrated on {self.head['calibrated_on']}, no photographs: verdicts are guesses until you "
                f"{ADVICE}"
            )

    def done(self, given: Input, facts: dict[str, Any]) -> None:
        if facts.get("covered_by_calibration") is False:
            facts["advice"] = ADVICE
        self.count += 1
        self.judged += "verdict" in facts
        self.disrupted += facts.get("verdict") == "disrupted"
        if self.as_json:
            self.results.append({"path": str(given.path), **facts})
        else:
            lines = [f"{given.path}: {verdict_line(facts)}", *(f"  {line}" for line in detail_lines(facts))]
            lines += [f"  {path}" for path in facts.get("files", {}).values()]
            for line in lines:
                self.display.say(line)
        self.display.advance("")

    def skip(self, given: Input, error: MagdrError) -> None:
        message = one_line(error)
        self.skipped.append({"path": str(given.path), "error": message})
        self.display.say(f"skipped {message}")
        self.display.advance("")

    def finish(self) -> None:
        """Print the document or the count, and exit 1 if something was skipped."""
        if self.as_json:
            document = {**self.head, "results": self.results, "skipped": self.skipped}
            say_document(document)
        else:
            judged = f", {self.disrupted} disrupted" if self.judged else ""
            skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
            self.display.say(f"{self.count} done{judged}{skipped}")
        if self.skipped:
            raise SystemExit(1)


def new_display(as_json: bool) -> ProgressDisplay:
    """On stderr if stdout is for a program."""
    return ProgressDisplay(Terminal(stderr=as_json))


def work_through(
    inputs: Sequence[Input],
    job: Job,
    condition: Condition,
    toolkit: Toolkit,
    told: Told,
    *,
    whole: bool,
    out: Path | None,
) -> None:
    """Pictures first, in batches, then clips."""
    told.start()
    work = PhotoWork(job, condition, toolkit.device, whole=whole, out=out, done=told.done, skip=told.skip)
    clips = ClipWork(work, told.display.step)
    with told.display.running(str(told.head["command"]), len(inputs)):
        work.run([i for i in inputs if not i.is_video])
        for given in inputs:
            if given.is_video:
                clips.run(given)
    told.finish()


def judge(
    command: str,
    job: type[Defend] | type[Detect],
    paths: tuple[Path, ...],
    *,
    task: str | None,
    edits: tuple[str, ...],
    has: tuple[str, ...],
    whole: bool,
    as_json: bool,
    registry: Path | None,
    device: str | None,
    block: tuple[str, ...],
    calibration: Path | None,
    defense: str,
    cache: Path,
    out: Path | None = None,
) -> None:
    """Calibrate MagDR for the task and put it to work on the files, with the options of the command line.

    Args:
        out: where restored pictures go; None if nothing is written.
    """
    inputs = collect(paths)
    wanted = parsed_edits(edits)
    if out is not None:
        check_results(inputs, out, job.suffix)
        check_writable(out)
    toolkit = open_toolkit(registry, device, block)
    with_calibration(toolkit, calibration)
    label = chosen_task(toolkit, task, wanted)
    generator = toolkit.generator(label)
    condition = chosen_condition(generator, wanted, has)
    display = new_display(as_json)
    with display.running("calibrating", 1):
        pipeline = toolkit.magdr(label, defense=defense, cache=cache, progress=display.step)
    facts = conditions_told(label, generator, wanted, has) | calibration_told(toolkit, label)
    told = Told(new_display(as_json), as_json, {"command": command, **facts, "defense": defense})
    done = job(pipeline, synthetic=bool(facts.get("synthetic")))
    work_through(inputs, done, condition, toolkit, told, whole=whole, out=out)
