"""magdr onnx"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from magdr_core.cli.common import block_option, check_writable, files_registry_option, open_for_files
from magdr_core.cli.file_results import new_display
from magdr_core.errors import MagdrError
from magdr_core.to_onnx.convert import CALLS, Converted, convert, convertible, need_extra
from magdr_core.to_onnx.site import first_of_each, write_site
from magdr_core.toolkit import Toolkit


@click.command("onnx", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("components", nargs=-1, metavar="[KIND.LABEL ...]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("magdr-onnx"),
    show_default=True,
    help="Folder of the networks and the page.",
)
@files_registry_option
@block_option
def command(components: tuple[str, ...], out: Path, registry: Path | None, block: tuple[str, ...]) -> None:
    """Write a registry's networks as ONNX files, checked against torch, with a page that runs them.

    Restorations, parsers and forensic models that are networks, such as `restoration.purifier`; without a
    name the first of each kind. MagDR's detector is no network of its own: it asks a generator.

    \b
      OUT/KIND-LABEL.onnx   images [B,3,S,S] in [0,1] -> picture, masks or score
      OUT/index.html        runs them in a browser, by the onnxruntime-web that it is told of (?ort=PATH)
    """
    need_extra()
    check_writable(out)
    display = new_display(False)
    toolkit = open_for_files(registry, "cpu", block)
    wanted = [_named(toolkit, name) for name in components] or _first_networks(toolkit)
    size = toolkit.generator(toolkit.registry.tasks()[0]).size
    done: list[Converted] = []
    with display.running("networks", len(wanted)):
        for kind, label in wanted:
            display.step(f"[{kind}.{label}]", 0, 0)
            done.append(convert(_component(toolkit, kind, label), kind, label, size, out))
            display.advance("")
    write_site(done, size, out)
    for one in done:
        display.say(
            f"{out / one.file}: {one.bytes / 1000:.0f} kB, within {one.difference:.1g} of torch "
            f"(onnxruntime, {size} x {size})"
        )
    display.say(
        f"{out}/index.html runs {', '.join(one.file for one in first_of_each(done))}; serve the folder:"
    )
    display.say(f"  python -m http.server --directory {out} --bind 127.0.0.1")


def _component(toolkit: Toolkit, kind: str, label: str) -> Any:
    guarded = toolkit.build(kind, label)
    return getattr(guarded, "component", guarded)


def _named(toolkit: Toolkit, name: str) -> tuple[str, str]:
    """Raises MagdrError if a name is none of a network that takes pictures alone."""
    kind, _, label = name.partition(".")
    if kind not in CALLS or not label:
        raise MagdrError(f"{name!r} is no KIND.LABEL with one of the kinds {', '.join(CALLS)}")
    if not convertible(_component(toolkit, kind, label), kind):
        raise MagdrError(f"[{kind}.{label}] is no network, so there is nothing to make an ONNX file of")
    return kind, label


def _first_networks(toolkit: Toolkit) -> list[tuple[str, str]]:
    """The first network of each kind."""
    found = []
    for kind in CALLS:
        labels = toolkit.registry.labels(kind)
        networks = (label for label in labels if convertible(_component(toolkit, kind, label), kind))
        found += [(kind, label) for label in [next(networks, None)] if label is not None]
    if not found:
        raise MagdrError(
            f"{toolkit.registry.path.name} has no restoration, parser or forensic that is a network"
        )
    return found
