"""magdr plugins"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import click

from magdr_core.cli.common import block_option
from magdr_core.cli.terminal import say, say_document
from magdr_core.components.params import describe
from magdr_core.components.specs import RestorationSpec
from magdr_core.errors import MagdrError, PluginError, one_line, suggestion
from magdr_core.hosting.manager import Entry, PluginHost
from magdr_core.registry.read import default_registry, read_registry


@click.group("plugins", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List, show, check and begin plugins."""


def _host(registry: Path | None, block: tuple[str, ...]) -> PluginHost:
    """All plugins: built-ins, installed ones and the registry's local files; broken ones are recorded."""
    read = read_registry(registry or default_registry())
    return PluginHost(local=read.local, block=(*read.block, *block), base=read.path.parent)


def _load_everything(host: PluginHost) -> list[str]:
    faults = []
    for namespace in host.available():
        try:
            host.load(namespace)
        except PluginError as e:
            faults.append(one_line(e))
    return [*faults, *(one_line(f.error) for f in host.failures)]


def _print(entries: list[Entry]) -> None:
    """A heading per kind, then one line per component; cut to the width of a terminal."""
    names = max((len(e.name) for e in entries), default=0)
    plugins = max((len(e.origin.plugin) for e in entries), default=0)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    kind = ""
    for e in entries:
        if e.kind != kind:
            say(f"{e.kind}s")
            kind = e.kind
        missing = f" (needs {', '.join(e.spec.missing)})" if e.spec.missing else ""
        first = e.spec.summary.partition(". ")[0].rstrip(".")
        line = f"  {e.name:<{names}}  {e.origin.plugin:<{plugins}}  {first}{missing}"
        say(line if len(line) <= width else line[: width - 3] + "...")


registry_option = click.option(
    "--registry", type=click.Path(path_type=Path), help="A registry whose local plugins count too."
)


@command.command("list")
@click.option("--kind", help="Only one kind, such as attack.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@registry_option
@block_option
def list_(kind: str | None, as_json: bool, registry: Path | None, block: tuple[str, ...]) -> None:
    """All components with their plugins. Exit code 1: some plugin is broken."""
    host = _host(registry, block)
    faults = _load_everything(host)
    kinds = {e.kind for e in host.entries()}
    if kind is not None and kind not in kinds:
        raise MagdrError(f"no kind {kind!r}{suggestion(kind, kinds)}")
    entries = host.entries(kind)
    if as_json:
        say_document([_facts(e) for e in entries])
    else:
        _print(entries)
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
    """Parameters, defaults, citation and origin of the components called NAME."""
    host = _host(registry, block)
    _load_everything(host)
    found = [e for e in host.entries() if e.name == name]
    if not found:
        names = {e.name for e in host.entries()}
        raise MagdrError(f"no component named {name!r}{suggestion(name, names)}")
    if as_json:
        say_document([_facts(e) for e in found])
        return
    for e in found:
        say(f"{e.kind} {e.name} (version {e.spec.version})")
        say(f"  {e.spec.summary}")
        if e.spec.cite:
            say(f"  source: {e.spec.cite}")
        for parameter, form, default in describe(e.spec.schema):
            say(f"  {parameter}: {form} = {default}")
        for need, what in e.spec.needs.items():
            several = ("one", "a list of", "a list of lists of")[what.depth]
            say(f"  {need}: {several} [{what.kind}.LABEL]")
        if isinstance(e.spec, RestorationSpec) and e.spec.grid:
            say(f"  grid: {dict(e.spec.grid)}")
        say(f"  plugin: {e.origin}")
        say(f"  file: {e.origin.file}")


@command.command("new")
@click.argument("name")
@click.option("--kind", required=True, help="What it provides: metric, restoration, attack, ...")
def new(name: str, kind: str) -> None:
    """Write a package with one working component into ./NAME."""
    from magdr_core.cli.plugins_new import write_package

    place, component = write_package(name, kind, Path())
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
    parameters = [{"name": n, "type": t, "default": d} for n, t, d in describe(e.spec.schema)]
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
