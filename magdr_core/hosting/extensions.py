"""Kinds, roles, scenarios, commands and recipes: what plugins and core itself bring besides components.

Each name has one owner; whoever claims it too is told who has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import click
import pluggy
from pydantic import BaseModel

from magdr_core.components.figure import Figure
from magdr_core.components.kind import PROFILE_KEYS, RESERVED, Kind
from magdr_core.components.recipe import Recipe
from magdr_core.components.role import Role
from magdr_core.components.scenario import Scenario
from magdr_core.errors import BrokenPluginError
from magdr_core.hosting import hookspecs
from magdr_core.hosting.core import CORE, core_modules, core_owner

Claim = tuple[str, str]
"""A name and what it is the name of: `("kind", "metric")`."""


@dataclass(frozen=True)
class Owner:
    """Who has a name.

    Attributes:
        plugin: as a registry calls it; modules of one package have one.
        told: what others are told.
        distribution: what to `pip install` for it; empty of core, and of a plugin that is not installed.
    """

    plugin: str
    told: str
    distribution: str = ""

    def __str__(self) -> str:
        return self.told


@dataclass(frozen=True)
class Sort:
    """What one hook gives.

    Attributes:
        of: the class of its values; they have a `name`.
        claims: the further names that a value takes.
        fault: what of a value cannot work, in words; empty if nothing is seen.
    """

    hook: str
    noun: str
    of: type
    claims: Callable[[Any], list[Claim]] = lambda value: []
    fault: Callable[[Any], str] = lambda value: ""


def _key(name: str) -> list[Claim]:
    """A profile's key; some roles and scenarios have none."""
    return [("profile key", name)] if name else []


def _lacks(value: Any, of: type, *methods: str) -> str:
    """The methods that a value leaves to its base class, which has none to give."""
    missing = [name for name in methods if getattr(type(value), name) is getattr(of, name)]
    return f"it has no {' and no '.join(missing)}" if missing else ""


def _kind_fault(kind: Kind) -> str:
    return "" if callable(kind.guard) else "its guard cannot be called"


def _role_fault(role: Role) -> str:
    if not isinstance(role.figures, list | tuple) or any(type(f) is not Figure for f in role.figures):
        return "its figures are no Figures"
    if not role.figures and not role.rows:
        return "it has no figures, so nothing would become of what it measures"
    attacked = ("defended", "attacked_values") if role.attackable else ()
    return _lacks(role, Role, "measure", *attacked)


def _scenario_fault(scenario: Scenario) -> str:
    told = scenario.settings
    if told is not None and not (isinstance(told, type) and issubclass(told, BaseModel)):
        return "its settings are no pydantic model"
    # Images that need not be made, or that are made for each cell, have no `make`.
    makes = ("make",) if scenario.made and not scenario.per_cell else ()
    return _lacks(scenario, Scenario, "slices", *makes)


KINDS = Sort("magdr_kinds", "kind", Kind, lambda kind: [("hook", kind.hook)], _kind_fault)
ROLES = Sort("magdr_roles", "role", Role, lambda role: _key(role.plural), _role_fault)
SCENARIOS = Sort(
    "magdr_scenarios", "scenario", Scenario, lambda scenario: _key(scenario.key), _scenario_fault
)
COMMANDS = Sort("magdr_commands", "command", click.Command)
RECIPES = Sort("magdr_recipes", "recipe", Recipe)
SORTS = (KINDS, ROLES, SCENARIOS, COMMANDS, RECIPES)

_MAGDR = Owner("", "magdr itself")
_TAKEN: dict[Claim, Owner] = {
    **{("kind", table): Owner("", "magdr itself, as a table of registries") for table in RESERVED},
    **{("profile key", key): _MAGDR for key in PROFILE_KEYS},
    **{("hook", name): _MAGDR for name in vars(hookspecs) if name.startswith("magdr_")},
}


@dataclass
class Staged:
    """What one plugin brings, checked, and not yet there for others."""

    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: dict[Claim, Owner] = field(default_factory=dict)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        return self.found.get(KINDS.hook, {})


class Extensions:
    """What the plugins of one host bring besides components, by name; core's own first.

    Args:
        manager: core's modules are registered there already.
    """

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager
        self._owners = dict(_TAKEN)
        self._values: dict[str, dict[str, Any]] = {}
        self._add_hookspecs(self.values(KINDS))

    def values(self, sort: Sort) -> Mapping[str, Any]:
        """By name. Core's are asked for here, when they are first wanted."""
        if sort.hook not in self._values:
            self._values[sort.hook] = {}
            for plugin in core_modules():
                staged = self._staged(plugin, Owner(CORE, core_owner(plugin)), plugin, (sort,))
                self._keep(staged)
        return MappingProxyType(self._values[sort.hook])

    def owner(self, sort: Sort, name: str) -> Owner:
        """Who has brought a value that is there."""
        return self._owners[(sort.noun, name)]

    def stage(self, plugin: str, owner: Owner, where: str, ask: Callable[[Any], Any]) -> Staged:
        """What a registered plugin brings; the hooks of its kinds are there from now on.

        Args:
            owner: who has the names from then on.
            where: what errors call it.
            ask: calls a function of the plugin.

        Raises:
            BrokenPluginError: it gives something else, or a name that is taken.
        """
        staged = self._staged(plugin, owner, where, SORTS, ask)
        self._add_hookspecs(staged.kinds)
        return staged

    def keep(self, staged: Staged) -> None:
        """Everything that was staged is there."""
        self._keep(staged)

    def drop(self, staged: Staged) -> None:
        """Nothing of it is; the plugin is unregistered already."""
        for kind in staged.kinds.values():
            delattr(self._manager.hook, kind.hook)

    def _keep(self, staged: Staged) -> None:
        for hook, found in staged.found.items():
            self._values[hook].update(found)
        self._owners.update(staged.claims)

    def _staged(
        self,
        plugin: str,
        owner: Owner,
        where: str,
        sorts: tuple[Sort, ...],
        ask: Callable[[Any], Any] = lambda function: function(),
    ) -> Staged:
        staged = Staged()
        for sort in sorts:
            given = list(self._given(plugin, where, sort, ask))
            if given:  # core's come first; roles and scenarios share the keys of profiles
                for other in (ROLES, SCENARIOS) if sort in (ROLES, SCENARIOS) else (sort,):
                    self.values(other)
            for value in given:
                for claim in [(sort.noun, value.name), *sort.claims(value)]:
                    taken = staged.claims.get(claim) or self._owners.get(claim)
                    what, name = claim
                    if what == "profile key" and taken is not None and taken.plugin == owner.plugin:
                        continue  # several of one plugin's may look at one list
                    if taken is not None:
                        raise BrokenPluginError(f"{where}: {what} {name!r} is already provided by {taken}")
                    staged.claims[claim] = owner
                staged.found.setdefault(sort.hook, {})[value.name] = value
        return staged

    def _given(self, plugin: str, where: str, sort: Sort, ask: Callable[[Any], Any]) -> Iterator[Any]:
        for impl in getattr(self._manager.hook, sort.hook).get_hookimpls():
            if impl.plugin_name != plugin:
                continue
            values = ask(impl.function)
            if not isinstance(values, list | tuple):
                raise BrokenPluginError(f"{where}: {sort.hook} must return a list of {sort.of.__name__}")
            for value in values:
                if not isinstance(value, sort.of):
                    is_class = isinstance(value, type)
                    given = f"the class {value.__name__}" if is_class else f"a {type(value).__name__}"
                    raise BrokenPluginError(
                        f"{where}: {sort.hook} returned {given}, expected {sort.of.__name__}"
                    )
                name = getattr(value, "name", None)
                if not isinstance(name, str) or not name:
                    raise BrokenPluginError(f"{where}: {sort.hook} returned a {sort.noun} without a name")
                if fault := sort.fault(value):
                    raise BrokenPluginError(f"{where}: {sort.noun} {name!r}: {fault}")
                yield value

    def _add_hookspecs(self, kinds: Mapping[str, Kind]) -> None:
        for kind in kinds.values():
            summary = f"{kind.summary} Called as `{kind.call}`."
            self._manager.add_hookspecs(hookspecs.component_hook(kind.hook, summary))
