"""magdr demo"""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping
from pathlib import Path

import click
from click.core import ParameterSource

from magdr_core.cli.attacks import chosen_attack, ready_attack
from magdr_core.cli.common import (
    block_option,
    cache_option,
    check_writable,
    device_option,
    files_registry_option,
    open_for_files,
)
from magdr_core.cli.file_results import new_display
from magdr_core.cli.media_commands import chosen_conditions, chosen_task, parsed_edits
from magdr_core.cli.wishes import EDITS, in_words
from magdr_core.errors import DataError, MagdrError
from magdr_core.inference.demonstration import demonstrate
from magdr_core.inference.loaded import Loaded, NoFaceError, load
from magdr_core.inference.sources import Held, Input, PictureSource
from magdr_core.media.found import FaceFinder
from magdr_core.report.demonstration import DemoSetting, off, sentence, write_page
from magdr_core.toolkit import Toolkit

PORT = 8765

EXAMPLE = "The astronaut Eileen Collins, a photograph by NASA that comes with scikit-image"

EXAMPLE_SHOWS = ("Brown_Hair", "Smiling")

EXTRA = "pip install 'magdr[demo]'"

ONLY_WRITTEN = {"photo": "--photo", "edits": "--set", "has": "--has", "out": "--out"}
ONLY_SERVED = {"port": "--port"}
"""Options by their parameters."""


@click.command("demo", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--photo",
    type=click.Path(path_type=Path),
    help="A photograph with a face; default: the astronaut of scikit-image.",
)
@click.option("--task", metavar="LABEL", help="Generator of the registry; may be left out.")
@click.option(
    "--set", "edits", multiple=True, metavar="NAME[=VALUE]", help="The edit to ask for; default: blond hair."
)
@click.option("--has", multiple=True, metavar="NAME[=VALUE]", help="What the photograph shows already.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("magdr-demo"),
    show_default=True,
    help="Folder of the page; that of an earlier call is replaced.",
)
@click.option("--open/--no-open", "opened", default=False, help="Open the page in the web browser.")
@click.option(
    "--serve",
    is_flag=True,
    help="Instead of writing a page, serve one to this computer's browsers, where pictures can be chosen.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Of --serve; 0 takes a free one.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of `magdr calibrate`; overrides the registry's.",
)
@files_registry_option
@cache_option
@device_option
@block_option
def command(
    photo: Path | None,
    task: str | None,
    edits: tuple[str, ...],
    has: tuple[str, ...],
    out: Path,
    opened: bool,
    serve: bool,
    port: int,
    calibration: Path | None,
    registry: Path | None,
    cache: Path,
    device: str | None,
    block: tuple[str, ...],
) -> None:
    """Attack a photograph, notice it and repair it, and show all of that on one page.

    Nothing is downloaded, and the page needs no network either.

    \b
      OUT/demo.html
        pictures side by side, verdicts and figures
        in plain words

    With --serve (pip install 'magdr[demo]') it is a page with a form, for pictures that are chosen in the
    browser: they stay on this computer.
    """
    _check_options(serve)
    if serve:
        _serve(open_for_files(registry, device, block, task), calibration, task, cache, port, opened)
        return
    given, shows = parsed_edits(edits), parsed_edits(has, "--has")
    check_writable(out)
    display = new_display(False)
    with display.running("demonstration", 3):
        display.step("looking for the face", 0, 0)
        toolkit = _calibrated(open_for_files(registry, device, block, task), calibration)
        label, wanted = asked_for(toolkit, task, given)
        generator = toolkit.generator(label)
        one = _shown_face(photo, generator.size, toolkit.finder())
        if photo is None and not has:
            shows = {name: 1.0 for name in EXAMPLE_SHOWS if name in generator.condition_names}
        conditions = chosen_conditions(generator, wanted, shows)
        condition = conditions(one.face[None].to(toolkit.device))
        chosen = chosen_attack(toolkit)
        attack = ready_attack(toolkit, label, chosen, cache)
        pipeline = toolkit.magdr(label, cache=cache, progress=display.step)
        display.advance("")
        done = demonstrate(one, condition, attack, pipeline, seed=toolkit.registry.seed, step=display.step)
        display.advance("")
        setting = DemoSetting(
            asked=" and ".join(in_words(name, value) for name, value in wanted.items()),
            attack=chosen,
            picture=EXAMPLE if photo is None else f"The photograph {photo.name}",
            fpr=toolkit.registry.calibration.fpr,
            drawn=toolkit.drawn(toolkit.registry.dataset_of(label)),
            size=generator.size,
            notes=tuple(one.facts["notes"]),
        )
        page = write_page(done, setting, out)
        display.advance("")
    display.say(sentence(done, setting))
    display.say(f"error of the attacked edit: {off(done.attacked.error)}")
    display.say(f"error of the restored edit: {off(done.restored.error)}")
    display.say_path(page)
    if opened and not webbrowser.open(page.resolve().as_uri()):
        display.say("no web browser could be opened; open the file yourself")


def _shown_face(photo: Path | None, size: int, finder: FaceFinder) -> Loaded[PictureSource]:
    """The photograph's face. This command has no --whole, which other commands advise where there is none.

    Raises:
        DataError: the file cannot be used, or shows no face.
    """
    try:
        return load(source_of(photo), size, finder)
    except NoFaceError:
        raise DataError(
            f"{photo}: no face was found; take a photograph with a larger one, seen from the front"
        ) from None


def _calibrated(toolkit: Toolkit, file: Path | None) -> Toolkit:
    return toolkit if file is None else toolkit.with_calibration(file)


def _check_options(serve: bool) -> None:
    """Raises click.UsageError where an option is of the other way to show the demonstration."""
    context = click.get_current_context()
    given = {
        name
        for name in (*ONLY_WRITTEN, *ONLY_SERVED)
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    for name, option in ONLY_WRITTEN.items():
        if serve and name in given:
            raise click.UsageError(
                f"{option} goes with the page that is written; --serve asks in the browser"
            )
    for name, option in ONLY_SERVED.items():
        if not serve and name in given:
            raise click.UsageError(f"{option} goes with --serve")


def _serve(
    toolkit: Toolkit, calibration: Path | None, task: str | None, cache: Path, port: int, opened: bool
) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        MagdrError: the extra is not installed, or the port cannot be used.
    """
    try:
        from magdr_core.web.app import app_of
        from magdr_core.web.server import PageServer
    except ModuleNotFoundError as e:
        raise MagdrError(f"--serve needs {e.name}, which is not installed: {EXTRA}") from None
    from magdr_core.cli.demo_server import DemoService

    display = new_display(False)
    with display.running("demonstration", 1):
        service = DemoService(_calibrated(toolkit, calibration), cache, display.step, task=task)
        server = PageServer(app_of(service), port)
        display.step("getting ready", 0, 0)
        service.prepare()
    display.say(f"{server.url} shows the page, to this computer alone; Ctrl-C ends it")
    if opened and not webbrowser.open(server.url):
        display.say("no web browser could be opened; open the address yourself")
    server.serve_forever()
    display.say("ended; nothing of the pictures was kept")


def source_of(photo: Path | None) -> PictureSource:
    """The photograph that was named, or scikit-image's astronaut."""
    if photo is not None:
        return Input(photo, photo.name)
    import skimage.data  # takes a moment, and the package is there

    return Held(skimage.data.astronaut(), "astronaut")


def asked_for(
    toolkit: Toolkit, task: str | None, edits: Mapping[str, float]
) -> tuple[str, Mapping[str, float]]:
    """The generator that is demonstrated and what it shall do: `(task, {NAME: value})`, nothing for one that
    takes no condition.

    Args:
        task, edits: what was asked for; without edits the first of `EDITS` that a generator knows.

    Raises:
        DataError: no such generator, or several may be meant.
    """
    if edits:
        return chosen_task(toolkit, task, edits), edits
    tasks = toolkit.registry.tasks() if task is None else [chosen_task(toolkit, task)]
    known = {task: toolkit.generator(task).condition_names for task in tasks}
    for edit in EDITS:
        if any(edit in names for names in known.values()):
            return chosen_task(toolkit, task, [edit]), {edit: 1.0}
    chosen = chosen_task(toolkit, next(iter(known), None))
    return chosen, dict.fromkeys(known[chosen][:1], 1.0)
