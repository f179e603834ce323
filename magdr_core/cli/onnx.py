"""magdr onnx"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from magdr_core.cli.common import (
    block_option,
    cache_option,
    check_writable,
    files_registry_option,
    open_for_files,
)
from magdr_core.cli.demo import asked_for
from magdr_core.cli.file_results import new_display
from magdr_core.cli.media_commands import parsed_edits
from magdr_core.cli.onnx_verdict import Asked, usual_detector, write_verdict
from magdr_core.errors import MagdrError
from magdr_core.to_onnx.convert import CALLS, Converted, convert, convertible
from magdr_core.to_onnx.detectors import ConvertedDetector
from magdr_core.to_onnx.graph import need_extra
from magdr_core.to_onnx.site import first_of_each, write_site
from magdr_core.toolkit import Toolkit

DETECTOR = "detector"


@click.command("onnx", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("components", nargs=-1, metavar="[KIND.LABEL ...]")
@click.option("--task", metavar="LABEL", help="Generator that a detector asks; may be left out.")
@click.option(
    "--set",
    "edits",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="The edit that a detector judges for; default: blond hair.",
)
@click.option("--has", multiple=True, metavar="NAME[=VALUE]", help="What the pictures show already.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("magdr-onnx"),
    show_default=True,
    help="Folder of the networks and the page.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of `magdr calibrate`; overrides the registry's.",
)
@files_registry_option
@cache_option
@block_option
def command(
    components: tuple[str, ...],
    task: str | None,
    edits: tuple[str, ...],
    has: tuple[str, ...],
    out: Path,
    calibration: Path | None,
    registry: Path | None,
    cache: Path,
    block: tuple[str, ...],
) -> None:
    """Write a registry's networks as ONNX files, checked against torch, with a page that runs them.

    Restorations, parsers and forensic models that are networks, such as `restoration.purifier`, and
    detectors, for one generator and edit: MagDR's (`detector.magdr`) with all that it asks, or one that is a
    network itself. Without a name the first of each kind, and the detector that `magdr detect` asks, which
    takes minutes.

    \b
      OUT/KIND-LABEL.onnx      images [B,3,S,S] in [0,1] ->
                               picture, masks or score
      OUT/detector-LABEL.onnx  one image [1,3,S,S] ->
                               score, evidence
      OUT/index.html           runs them in a browser, by the
                               onnxruntime-web that it is
                               told of (?ort=PATH)
    """
    need_extra()
    given, shows = parsed_edits(edits), parsed_edits(has, "--has")
    check_writable(out)
    display = new_display(False)
    toolkit = open_for_files(registry, "cpu", block, task)
    if calibration is not None:
        toolkit = toolkit.with_calibration(calibration)
    wanted = [_named(toolkit, name) for name in components] or _usual(toolkit)
    label = toolkit.registry.tasks()[0]
    edit: Mapping[str, float] = given
    if task is not None or any(kind == DETECTOR for kind, _ in wanted):
        label, edit = asked_for(toolkit, task, given)
    asked, size = Asked(label, edit, shows, cache), toolkit.generator(label).size
    done: list[Converted] = []
    judges: list[tuple[ConvertedDetector, dict[str, Any]]] = []
    with display.running("networks", len(wanted)):
        for kind, name in wanted:
            display.step(f"[{kind}.{name}]", 0, 0)
            if kind == DETECTOR:
                judges.append(write_verdict(toolkit, name, asked, out, display.step))
            else:
                done.append(convert(_component(toolkit, kind, name), kind, name, size, out))
            display.advance("")
    write_site(done, size, out, verdict=judges[0][1] if judges else None)
    written: list[Converted | ConvertedDetector] = [*done, *(judge for judge, _ in judges)]
    for one in written:
        of = "torch" if isinstance(one, Converted) else "the toolkit's score"
        display.say(
            f"{out / one.file}: {one.bytes / 1000:.0f} kB, within {one.difference:.1g} of {of} "
            f"(onnxruntime, {size} x {size})"
        )
    runs = [one.file for one in first_of_each(done)] + [judge.file for judge, _ in judges[:1]]
    display.say(f"{out}/index.html runs {', '.join(runs)}; serve the folder:")
    display.say(f"  python -m http.server --directory {out} --bind 127.0.0.1")


def _component(toolkit: Toolkit, kind: str, label: str) -> Any:
    guarded = toolkit.build(kind, label)
    return getattr(guarded, "component", guarded)


def _named(toolkit: Toolkit, name: str) -> tuple[str, str]:
    """Raises MagdrError if a name is none of a network that takes pictures alone."""
    kind, _, label = name.partition(".")
    if kind not in (*CALLS, DETECTOR) or not label:
        raise MagdrError(f"{name!r} is no KIND.LABEL with one of the kinds {', '.join((*CALLS, DETECTOR))}")
    if kind == DETECTOR:
        toolkit.resolve(kind, label)
        return kind, label
    if not convertible(_component(toolkit, kind, label), kind):
        raise MagdrError(f"[{kind}.{label}] is no network, so there is nothing to make an ONNX file of")
    return kind, label


def _usual(toolkit: Toolkit) -> list[tuple[str, str]]:
    """The first network of each kind, and the detector that the commands on files ask."""
    found = []
    for kind in CALLS:
        labels = toolkit.registry.labels(kind)
        networks = (label for label in labels if convertible(_component(toolkit, kind, label), kind))
        found += [(kind, label) for label in [next(networks, None)] if label is not None]
    if (detector := usual_detector(toolkit)) is not None:
        found.append((DETECTOR, detector))
    if not found:
        raise MagdrError(
            f"{toolkit.registry.path.name} has no restoration, parser or forensic that is a network, and no "
            "[defense.magdr]"
        )
    return found
