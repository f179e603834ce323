"""magdr demo"""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping
from pathlib import Path

import click

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
from magdr_core.inference.demonstration import demonstrate
from magdr_core.inference.loaded import load
from magdr_core.inference.sources import Held, Input, PictureSource
from magdr_core.report.demonstration import DemoSetting, off, sentence, write_page
from magdr_core.toolkit import Toolkit

EXAMPLE = "The astronaut Eileen Collins, a photograph by NASA that comes with scikit-image"

EXAMPLE_SHOWS = ("Brown_Hair", "Smiling")

EDITS = ("Blond_Hair", "Eyeglasses", "Black_Hair", "Smiling")
"""What the editor is asked for: the first of these that any generator of the registry knows."""


@click.command("demo", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--photo",
    type=click.Path(path_type=Path),
    help="A photograph with a face; default: the astronaut of scikit-image.",
)
@click.option("--task", metavar="LABEL", help="Generator of the registry; may be left out.")
@click.option(
    "--set", "edits", multiple=True, metavar="NAME[=VALUE]", help="What it shall do; default: blond hair."
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
    registry: Path | None,
    cache: Path,
    device: str | None,
    block: tuple[str, ...],
) -> None:
    """Attack a photograph, notice it and repair it, and show all of that on one page.

    Nothing is downloaded, and the page needs no network either.

    \b
      OUT/demo.html   pictures side by side, verdicts and figures in plain words
    """
    given, shows = parsed_edits(edits), parsed_edits(has, "--has")
    check_writable(out)
    display = new_display(False)
    with display.running("demonstration", 3):
        display.step("looking for the face", 0, 0)
        toolkit = open_for_files(registry, device, block, task)
        label, wanted = asked_for(toolkit, task, given)
        generator = toolkit.generator(label)
        one = load(source_of(photo), generator.size, toolkit.finder())
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


def in_words(name: str, value: float) -> str:
    """A condition as people say it: `Blond_Hair` is blond hair, `AU12` stays."""
    words = name.replace("_", " ")
    return f"{'no ' * (not value)}{words if words.isupper() else words.lower()}"
