"""magdr registry"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from magdr_core.cli.common import block_option
from magdr_core.cli.terminal import say, say_lines
from magdr_core.errors import MagdrError, RegistryError, one_line
from magdr_core.files.toml_text import to_toml, value_text
from magdr_core.files.user_files import parse_toml
from magdr_core.registry.composition import DEFAULTS
from magdr_core.registry.read import Registry, default_registry, read_registry
from magdr_core.registry.resolve import Resolver
from magdr_core.registry.settings import Profile

file_argument = click.argument("registry", type=click.Path(path_type=Path), required=False)


@click.group("registry", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show a registry as it runs, and look for faults in it."""


@command.command("show")
@file_argument
def show(registry: Path | None) -> None:
    """Print REGISTRY as it runs: with what it includes, and the defaults of [magdr] as comments.

    Without REGISTRY: ./registry.toml, else the packaged one. What is printed is a registry, too.
    """
    say_lines(resolved_text(read_registry(registry or default_registry())))


@command.command("check")
@file_argument
@block_option
def check(registry: Path | None, block: tuple[str, ...]) -> None:
    """Look for faults in every table of REGISTRY, without building a network.

    Without REGISTRY: ./registry.toml, else the packaged one. One line for each fault; exit code 2 if there
    is one.
    """
    resolver = Resolver(read_registry(registry or default_registry()), block)
    read = resolver.registry  # with the tables of kinds that its plugins bring
    found = list(dict.fromkeys(faults(read, resolver)))
    for fault in found:
        say(fault)
    if found:
        raise SystemExit(2)
    say(f"{read.path}: {len(read.instances)} components, {len(read.profiles)} profiles, no fault")


def resolved_text(registry: Registry) -> str:
    """A registry as TOML, with a comment above each table that says which file it is from."""
    data = parse_toml(registry.text, error=RegistryError, subject=f"{registry.path.name}:")
    written = to_toml(data, lambda table: f"from {registry.file_of(f'[{table}]')}")
    lines = [
        f"# {line}"
        for name, default in DEFAULTS.items()
        if name not in registry.composition
        for line in f"{name} = {value_text(default.labels, len(name) + 5)}".splitlines()
    ]
    if not lines:
        return written
    head = "# Defaults of [magdr], for needs that nothing above fills:\n"
    return f"{written}\n{head}" + "\n".join(lines) + "\n"


def faults(registry: Registry, resolver: Resolver) -> Iterator[str]:
    """One line for each component that a table declares or a profile names and that cannot be had."""
    named = [(f"[{kind}.{label}]", kind, label) for kind, label in registry.instances]
    if registry.composition:
        named += [("[magdr]", kind, "magdr") for kind in ("detector", "defense")]
    policy = registry.calibration
    named += [("[calibration] attacks", "attack", label) for label in policy.attacks]
    named += [("[calibration] benign", "augmentation", label) for label in policy.benign]
    for name, profile in registry.profiles.items():
        named += [(f"[profile.{name}] {key}", kind, label) for key, kind, label in _labels(registry, profile)]
        for role in resolver.host.roles.values() if profile.extra else ():
            if role.plural in profile.extra:
                place = f"[profile.{name}] {role.plural}"
                try:
                    named += [(place, role.kind, label) for label in role.listed(profile)]
                except ValueError as e:
                    yield f"{registry.file_of(place)} {place}: {e}"
    for place, kind, label in named:
        try:
            resolver.resolve(kind, label)
        except MagdrError as e:
            said = one_line(e)
            declared = (kind, label) in registry.instances or place == "[magdr]"
            if not declared:  # then it is the fault of whoever names the label
                said = f"{registry.file_of(place)} {place}: {said.removeprefix(f'{registry.path.name}: ')}"
            yield said


def _labels(registry: Registry, profile: Profile) -> Iterator[tuple[str, str, str]]:
    """(key, kind, label) of everything that a profile names."""
    lists: dict[str, tuple[str, tuple[str, ...]]] = {
        "generators": ("generator", profile.generators or ()),
        "attacks": ("attack", profile.attacks),
        "detectors": ("detector", profile.detectors),
        "defenses": ("defense", profile.defenses),
        "benign": ("augmentation", profile.benign),
        "ensemble": ("augmentation", profile.ensemble),
        "dataset": ("dataset", () if profile.dataset is None else (profile.dataset,)),
    }
    if profile.sweep is not None:
        lists |= {"sweep attacks": ("attack", profile.sweep.attacks)}
    if profile.adaptive is not None:
        adaptive = profile.adaptive
        lists |= {
            "adaptive attacks": ("attack", (*adaptive.attacks, *adaptive.others)),
            "adaptive detectors": ("detector", (*adaptive.detectors, *filter(None, [adaptive.behind]))),
            "adaptive defenses": ("defense", adaptive.defenses),
        }
    for key, (kind, labels) in lists.items():
        for label in labels:
            filters = kind == "defense" and ("defense", label) not in registry.instances
            restoration = filters and ("restoration", label) in registry.instances
            yield key, "restoration" if restoration else kind, label
    for transfer in profile.transfer:
        yield "transfer", "attack", transfer.attack
        if transfer.surrogate:
            yield "transfer", "generator", transfer.surrogate
    for label in registry.tasks(profile):
        dataset = profile.dataset or registry.dataset_of(label)
        yield f"dataset of {label}", "dataset", dataset
