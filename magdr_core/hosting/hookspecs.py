"""The hooks. A plugin is a module that says `MAGDR_API = 1` and implements some of them.

Those that give something are called once, when the plugin is registered; they return a list and do no work
of their own. The ones of components are made from the kinds: `magdr_metrics` of the kind `metric`, and so on
for kinds that plugins bring. The event hooks are called while a benchmark runs, in the plugins' stable order;
one that raises is reported and never ends the run. What they are given are copies, so they change no row; a
run in which an observer failed ends with exit code 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:  # the command line reads this file, and starts without torch
    import click

    from magdr_core.components.kind import Kind
    from magdr_core.components.recipe import Recipe
    from magdr_core.components.role import Role
    from magdr_core.components.scenario import Scenario

MAGDR_API = 1
"""The version of these contracts. A plugin declares the one that it was written for."""

hookspec = pluggy.HookspecMarker("magdr")
hookimpl = pluggy.HookimplMarker("magdr")


@hookspec
def magdr_kinds() -> Sequence[Kind]:
    """Kinds of component; each brings the hook `magdr_<plural>`."""
    raise AssertionError("specification only")


@hookspec
def magdr_roles() -> Sequence[Role]:
    """Roles: what a benchmark asks the components that a profile lists under `plural`."""
    raise AssertionError("specification only")


@hookspec
def magdr_scenarios() -> Sequence[Scenario]:
    """Scenarios: which images a benchmark runs components on."""
    raise AssertionError("specification only")


@hookspec
def magdr_commands() -> Sequence[click.Command]:
    """Commands of the command line: `magdr NAME`."""
    raise AssertionError("specification only")


@hookspec
def magdr_recipes() -> Sequence[Recipe]:
    """What `magdr train NAME` can train."""
    raise AssertionError("specification only")


def component_hook(name: str, summary: str) -> ModuleType:
    """What `PluginManager.add_hookspecs` takes for the hook that gives the components of a kind."""

    def hook() -> Sequence[Any]:
        raise AssertionError("specification only")

    hook.__name__, hook.__doc__ = name, summary
    module = ModuleType(name)
    setattr(module, name, hookspec(hook))
    return module


@hookspec
def magdr_run_started(run: Path, manifest: Mapping[str, Any], cells: int) -> None:
    """A benchmark begins: its folder, its manifest and the number of cells still to compute."""


@hookspec
def magdr_cell_finished(run: Path, cell: Mapping[str, Any]) -> None:
    """A cell was computed and stored, or failed (then it has an `error`)."""


@hookspec
def magdr_run_finished(run: Path, manifest: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """All tables are written; `rows` are those of results.csv."""
