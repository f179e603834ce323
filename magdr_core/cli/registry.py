"""magdr registry"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from magdr_core.bench.plan import plan
from magdr_core.cli.common import block_option, device_option
from magdr_core.cli.groups import CommandGroup
from magdr_core.cli.terminal import say, say_lines
from magdr_core.errors import MagdrError, RegistryError, one_line
from magdr_core.files.toml_text import to_toml, value_text
from magdr_core.files.user_files import parse_toml
from magdr_core.registry.composition import DEFAULTS
from magdr_core.registry.include import PACKAGED, packaged_registry
from magdr_core.registry.named import (
    Named,
    named_by_calibration,
    named_by_generators,
    named_by_profile,
    placed,
)
from magdr_core.registry.parsed import Registry
from magdr_core.registry.read import default_registry, read_registry
from magdr_core.registry.settings import Profile
from magdr_core.toolkit import Toolkit

file_argument = click.argument("registry", type=click.Path(path_type=Path), required=False)


@click.group("registry", cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show a registry as it runs, and look for faults in it."""


@command.command("show")
@file_argument
def show(registry: Path | None) -> None:
    """Print REGISTRY as it runs: with what it includes, and as comments the defaults of [magdr] and of a
    registry without profiles.

    Without REGISTRY: ./registry.toml, else the packaged one. What is printed is a registry, too.
    """
    say_lines(resolved_text(read_registry(registry or default_registry())))


@command.command("check")
@file_argument
@click.option("--profile", metavar="NAME", help="Of the profiles this one alone.")
@device_option
@block_option
def check(registry: Path | None, profile: str | None, device: str | None, block: tuple[str, ...]) -> None:
    """Look for faults in every table of REGISTRY and in what its profiles would run; computes nothing.

    Without REGISTRY: ./registry.toml, else the packaged one. What `magdr bench` refuses is told here in the
    same words. One line for each fault; exit code 2 if there is one.
    """
    toolkit, found = _opened(read_registry(registry or default_registry()), device, block)
    read = toolkit.registry  # with the tables of kinds that its plugins bring
    profiles = read.runnable if profile is None else {profile: read.profile(profile)}
    found = list(dict.fromkeys([*found, *faults(toolkit, profiles)]))
    for fault in found:
        say(fault)
    if found:
        raise SystemExit(2)
    several = "" if len(profiles) == 1 else "s"
    say(f"{read.path}: {len(read.instances)} components, {len(profiles)} profile{several}, no fault")


def resolved_text(registry: Registry) -> str:
    """A registry as TOML, with a comment above each table that says which file it is from."""
    data = parse_toml(registry.text, error=RegistryError, subject=f"{registry.path.name}:")
    packaged = registry.path == packaged_registry()

    def source(table: str) -> str:
        return f"from {PACKAGED if packaged else registry.file_of(f'[{table}]')}"

    head = f"# The registry that comes with magdr, {PACKAGED}.\n\n" if packaged else ""
    return "\n".join([head + to_toml(data, source), *_defaults(registry)])


def _defaults(registry: Registry) -> Iterator[str]:
    """What runs although no table says so, in comments."""
    taken = {name: default.labels for name, default in DEFAULTS.items() if name not in registry.composition}
    if taken:
        yield _commented("Defaults of [magdr], for needs that nothing above fills:", taken)
    for name, profile in registry.runnable.items():
        if name not in registry.profiles:
            said = {
                key: getattr(profile, key) for key in Profile.model_fields if key in profile.model_fields_set
            }
            yield _commented(f"The profile of a registry that has none:\n[profile.{name}]", said)


def _commented(head: str, values: Mapping[str, Any]) -> str:
    lines = [f"{name} = {value_text(value, len(name) + 5)}" for name, value in values.items()]
    return "".join(f"# {line}\n" for line in "\n".join([head, *lines]).splitlines())


def _opened(registry: Registry, device: str | None, block: tuple[str, ...]) -> tuple[Toolkit, list[str]]:
    """The toolkit that a benchmark would have. Where the device that the registry names is not there: that
    fault, and one on the CPU, to look for others.

    Raises:
        MagdrError: as :class:`Toolkit`, of anything else.
    """
    try:
        return Toolkit(registry, device=device, block=block), []
    except RegistryError as e:
        if device is not None:
            raise
        return Toolkit(registry, device="cpu", block=block), [one_line(e)]


def faults(toolkit: Toolkit, profiles: Mapping[str, Profile]) -> Iterator[str]:
    """One line for each component that a table declares or a profile names and that cannot be had, and for
    whatever else a benchmark of one of these profiles would refuse; some may come twice."""
    registry = toolkit.registry
    declared = [*registry.instances]
    if registry.composition:
        declared += [(entry.kind, entry.name) for entry in toolkit.resolver.composed()]
    for kind, label in declared:
        try:
            toolkit.resolve(kind, label)
        except MagdrError as e:
            yield one_line(e)
    yield from _not_there(toolkit, named_by_calibration(registry))
    yield from _not_there(toolkit, named_by_generators(registry))
    for name, profile in profiles.items():
        yield from _not_there(toolkit, named_by_profile(registry, profile, name, toolkit.host.roles))
        try:
            plan(toolkit, profile, name)
        except MagdrError as e:
            yield one_line(e)


def _not_there(toolkit: Toolkit, named: Iterable[Named]) -> Iterator[str]:
    """It is the fault of whoever names the label, unless the label's own table is at fault."""
    for place, kind, label in named:
        try:
            toolkit.resolve(kind, label)
        except MagdrError as e:
            yield placed(toolkit.registry, place, e)
