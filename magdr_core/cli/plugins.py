"""magdr plugins"""

from __future__ import annotations

import fnmatch
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from magdr_core.cli.common import block_option
from magdr_core.cli.component_measures import LEGEND, figures_of, measure_lines
from magdr_core.cli.groups import CommandGroup
from magdr_core.cli.terminal import say, say_document
from magdr_core.components.params import describe
from magdr_core.errors import MagdrError, one_line, suggestion
from magdr_core.hosting.manager import Entry, PluginHost
from magdr_core.registry.parsed import Instance
from magdr_core.registry.read import default_registry, read_registry

_SENTENCE_END = re.compile(r"\.(?<!Eq\.) +(?=[A-Z])")
"""Where a summary's first sentence ends; `Eq. 3` has no end of one in it."""


@click.group("plugins", cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List, show, check and begin plugins."""


def _host(registry: Path | None, block: tuple[str, ...]) -> PluginHost:
    """All plugins: built-ins, installed ones and the registry's local files; broken ones are recorded."""
    read = read_registry(registry or default_registry())
    return PluginHost(local=read.local, block=(*read.block, *block), base=read.path.parent)


def _load_everything(host: PluginHost) -> list[str]:
    faults = host.load_all(host.available())
    return [*map(one_line, faults.values()), *(one_line(failure.error) for failure in host.failures)]


def _matching(patterns: tuple[str, ...], names: Iterable[str], what: str) -> set[str]:
    """The names that a pattern means, with `*` and `?` as wildcards; all if there is no pattern.

    Raises:
        MagdrError: a pattern means none.
    """
    names = list(names)
    found: set[str] = set(names) if not patterns else set()
    for pattern in patterns:
        meant = fnmatch.filter(names, pattern)
        if not meant:
            raise MagdrError(f"no {what} {pattern!r}{suggestion(pattern, names)}")
        found.update(meant)
    return found


def _print(host: PluginHost, entries: list[Entry], measures: bool = False) -> None:
    """A heading per kind, then each component with its plugin and what it is; with `measures` also what is
    measured of it."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    names = max((len(e.name) for e in entries), default=0)
    plugins = max((len(e.origin.plugin) for e in entries), default=0)
    kind = ""
    for e in entries:
        if e.kind != kind:
            say(host.kind(e.kind).plural)
            kind = e.kind
        missing = f" (needs {', '.join(e.spec.missing)})" if e.spec.missing else ""
        first = _SENTENCE_END.split(e.spec.summary, maxsplit=1)[0].rstrip(".")
        head = f"  {e.name:<{names}}  {e.origin.plugin:<{plugins}}  "
        for line in beside(head, f"{first}{missing}", width):
            say(line)
        for text in measure_lines(figures_of(e)) if measures else ():
            for line in beside("      ", text, width):
                say(line)
    if measures:
        for line in beside("", LEGEND, width):
            say(line)


LEAST_BESIDE = 40
"""Columns below which a text stands under what it is about, not beside it."""


def beside(head: str, text: str, width: int | None) -> list[str]:
    """The lines of a text behind its head, or under it where little room is left; one without a width.

    A head of columns that is too wide itself loses the blanks that align it, then is broken.
    """
    if width is None or len(head) + len(text) <= width:
        return [f"{head}{text}"]
    if width - len(head) >= LEAST_BESIDE:
        return textwrap.wrap(text, width, initial_indent=head, subsequent_indent=" " * len(head))
    head = head.rstrip()
    if len(head) > width:
        head = f"  {'  '.join(head.split())}"
    heads = textwrap.wrap(head, width, subsequent_indent="    ", break_on_hyphens=False)
    return [*heads, *textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ")]


registry_option = click.option(
    "--registry", type=click.Path(path_type=Path), help="A registry whose local plugins count too."
)


@command.command("list")
@click.argument("names", nargs=-1, metavar="[NAME ...]")
@click.option("--kind", "kinds", multiple=True, help="Only one kind, such as attack; `*` is a wildcard.")
@click.option("--measures", is_flag=True, help="What committed results say of each, with n and intervals.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@registry_option
@block_option
def list_(
    names: tuple[str, ...],
    kinds: tuple[str, ...],
    measures: bool,
    as_json: bool,
    registry: Path | None,
    block: tuple[str, ...],
) -> None:
    """All components with their plugins, or those called NAME, such as 'fixed*' or 'acme/*'.

    Exit code 1: some plugin is broken.
    """
    host = _host(registry, block)
    faults = _load_everything(host)
    wanted = _matching(kinds, host.kinds, "kind")
    entries = [e for e in host.entries() if e.kind in wanted]
    called = _matching(names, {e.name for e in entries}, "component named")
    entries = [e for e in entries if e.name in called]
    if as_json:
        told = {"measures": lambda e: [asdict(one) for one in figures_of(e)]} if measures else {}
        say_document([{**_facts(e), **{k: of(e) for k, of in told.items()}} for e in entries])
    else:
        _print(host, entries, measures)
    for fault in faults:
        say(f"magdr: {fault}", err=True)
    if faults:
        raise SystemExit(1)


@command.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@registry_option
@block_option
def show(name: str, as_json: bool, registry: Path | None, block: tuple[str, ...]) -> None:
    """Parameters, defaults, citation and origin of the components called NAME; `*` is a wildcard."""
    host = _host(registry, block)
    _load_everything(host)
    called = _matching((name,), {e.name for e in host.entries()}, "component named")
    found = [e for e in host.entries() if e.name in called]
    if as_json:
        say_document([_facts(e) for e in found])
        return
    for e in found:
        say(f"{e.kind} {e.name} (version {e.spec.version})")
        _say_broken(e.spec.summary, "  ", "  ")
        if e.spec.cite:
            _say_broken(f"source: {e.spec.cite}")
        for parameter, form, default in describe(e.spec.schema):
            between = form.replace(" <", ", <")  # int >= 1, <= 100
            _say_broken(f"{parameter}: {between}; default {default}")
            _say_meaning(e, parameter)
        for need, what in e.spec.needs.items():
            several = ("one", "a list of", "a list of lists of")[what.depth]
            _say_broken(f"{need}: {several} [{what.kind}.LABEL]")
            _say_meaning(e, need)
        grid = host.kind(e.kind).grid
        if grid is not None and (settings := grid(e.spec, Instance(e.kind, e.name, e.name, {}))):
            _say_broken(f"grid: {dict(settings)}")
        say(f"  plugin: {e.origin}")
        say(f"  file: {e.origin.file}")


def _say_meaning(e: Entry, parameter: str) -> None:
    """What the plugin says of it, below it; nothing if it says nothing."""
    _say_broken(e.spec.meanings.get(parameter, ""), "      ", "      ")


def _say_broken(text: str, first: str = "  ", further: str = "    ") -> None:
    """A text in lines of the terminal's width, within what can be read; nothing if it is empty."""
    width = max(40, min(shutil.get_terminal_size().columns, 110))
    wrapper = textwrap.TextWrapper(
        width, initial_indent=first, subsequent_indent=further, break_on_hyphens=False
    )
    for line in wrapper.wrap(text):
        say(line)


@command.command("new")
@click.argument("name")
@click.option("--kind", required=True, help="What it provides: metric, restoration, attack, ...")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A plugin's project folder: NAME is a further component of it, and no new package is made.",
)
@click.option("--fit", is_flag=True, help="A component that learns from calibration data (detectors).")
@registry_option
def new(name: str, kind: str, into: Path | None, fit: bool, registry: Path | None) -> None:
    """Write a package with one working component into ./NAME, or a component into a package that is there."""
    from magdr_core.cli.plugins_add import add_component
    from magdr_core.cli.plugins_new import checked_word, code_of, write_package

    host = PluginHost()
    if kind not in host.kinds:  # it may be a plugin's
        host = _host(registry, ())
        _load_everything(host)
    code = code_of(host.kind(kind), fit=fit)
    if into is not None:
        added = add_component(checked_word(name), host.kind(kind), code, into)
        say(f"{added.file} holds {kind} {added.component}")
        if added.moved is not None:
            say(f"{added.moved[0]} is {added.moved[1]} now")
        say("next:")
        brought_by = host.distribution_of(kind)
        if brought_by:
            say(f"  let pyproject.toml have {brought_by!r} among the dependencies, which brings the kind")
        again = f"pip install -e {into} && " * added.installed_anew
        say(f"  {again}magdr plugins check {into}")
        return
    place, component = write_package(name, host.kind(kind), code, Path(), host.distribution_of(kind))
    say(f"{place}/ holds {kind} {component}; next:")
    say(f"  pip install -e {place} && magdr plugins check {name}")


@command.command("check")
@click.argument("plugin", metavar="PATH|NAME")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="What a single check may take.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="cpu, cuda or cuda:N; fake-cuda needs no card, and finds tensors on mixed devices.",
)
@click.option(
    "--registry",
    type=click.Path(path_type=Path),
    help="Its local plugins count too, and its tables give parameters (where a dataset's pictures are, say).",
)
def check(plugin: str, timeout: float, as_json: bool, device: str, registry: Path | None) -> None:
    """Try every component of a plugin against what magdr relies on, in a process of its own.

    A plugin file, a project folder, or the name of an installed plugin or of one component. One line per
    finding. Exit code 1: there are findings; 2: there is no such plugin.
    """
    from magdr_core.cli.plugins_check import check_plugin

    read = None if registry is None else read_registry(registry)
    report = check_plugin(plugin, read, timeout=timeout, device=device)
    if as_json:
        say_document({"plugin": plugin, **report.as_dict()})
    else:
        for finding in report.findings:
            say(str(finding))
        for component, reason in report.unchecked:
            say(f"not checked: {component}: {reason}")
        judged = len(report.components) - len(report.unchecked)
        say(
            f"{plugin}: {judged} component{'s' * (judged != 1)}, {report.judged} checks, "
            f"{len(report.findings)} finding{'s' * (len(report.findings) != 1)}"
        )
    if report.findings:
        raise SystemExit(1)


def _facts(e: Entry) -> dict[str, Any]:
    meanings = e.spec.meanings
    parameters = [
        {"name": n, "type": t, "default": d, "meaning": meanings.get(n, "")}
        for n, t, d in describe(e.spec.schema)
    ]
    return {
        "kind": e.kind,
        "name": e.name,
        "version": e.spec.version,
        "summary": e.spec.summary,
        "cite": e.spec.cite,
        "parameters": parameters,
        "needs": {k: v.kind for k, v in e.spec.needs.items()},
        "plugin": e.origin.plugin,
        "distribution": f"{e.origin.distribution} {e.origin.version}".strip(),
        "file": e.origin.file,
        "available": not e.spec.missing,
    }
