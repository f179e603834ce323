"""Which cells a profile consists of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from magdr_core.bench import registered
from magdr_core.bench.roles.defense import defense_label as defense_label
from magdr_core.bench.roles.defense import is_restoration as is_restoration
from magdr_core.calibration import read_calibration
from magdr_core.components.cells import PlannedCell
from magdr_core.components.role import ORACLE as ORACLE
from magdr_core.components.slice import CLEAN as CLEAN
from magdr_core.components.slice import Slice
from magdr_core.components.task_run import Planning, components_aside
from magdr_core.errors import BrokenPluginError, MagdrError, RegistryError, one_line, suggestion
from magdr_core.registry.named import with_place
from magdr_core.registry.settings import Profile
from magdr_core.toolkit import Toolkit


@dataclass(frozen=True)
class Group:
    """All cells of one task and seed; they share images.

    Attributes:
        dataset: label of the dataset.
    """

    task: str
    dataset: str
    seed: int
    slices: tuple[Slice, ...]
    cells: tuple[PlannedCell, ...]


def planning(toolkit: Toolkit, profile: Profile, task: str = "") -> Planning:
    """What cells are planned with."""
    return Planning(toolkit, profile, registered.roles(toolkit), registered.scenarios(toolkit), task)


def plan(toolkit: Toolkit, profile: Profile, name: str = "") -> list[Group]:
    """Check every component that the profile names, and list the cells.

    Args:
        name: of the profile, for errors.

    Raises:
        RegistryError: whatever is wrong with the registry, before anything is computed or written.
    """
    try:
        return _plan(toolkit, profile, name)
    except RegistryError as e:
        if (told := with_place(e, toolkit, profile, name, registered.roles(toolkit))) is not None:
            raise told from e
        raise


def _plan(toolkit: Toolkit, profile: Profile, name: str) -> list[Group]:
    tasks = toolkit.registry.defended(profile)
    whole = planning(toolkit, profile)
    table = f"[profile.{name}]" if name else "the profile"
    _check_further_keys(whole, table)
    _check_ours(whole, table)
    for scenario in whole.scenarios.values():
        with _asked("scenario", scenario.name):
            scenario.check(whole)
    if (file := toolkit.registry.calibration_file) is not None:
        read_calibration(file)
    for role in whole.roles.values():
        with _asked("role", role.name):
            role.check(whole)
    slices = {task: _slices(whole.of(task)) for task in tasks}
    seeds = profile.seeds or (toolkit.registry.seed,)
    groups = []
    for task in tasks:
        own = whole.of(task)
        dataset = profile.dataset or toolkit.registry.dataset_of(task)
        with components_aside():
            _check_faces(own, dataset)
        for scenario in own.scenarios.values():
            with _asked("scenario", scenario.name):
                scenario.check_task(own)
        cells = tuple(_cells(own, dataset, slices[task]))
        for seed in seeds:
            seeded = tuple(replace(cell, seed=seed) for cell in cells)
            groups.append(Group(task, dataset, seed, slices[task], seeded))
    return groups


def _check_further_keys(plan: Planning, table: str) -> None:
    """What a profile says besides is of some plugin's role or scenario, and as those want it."""
    extra: Mapping[str, Any] = plan.profile.extra
    of_roles = {role.plural: role for role in plan.roles.values() if role.plural}
    of_scenarios = {scenario.key: scenario for scenario in plan.scenarios.values() if scenario.key}
    for key in extra:
        place = f"{plan.toolkit.registry.file_of(table)} {table}"
        try:
            if key in of_roles:
                of_roles[key].listed(plan.profile)
            elif key in of_scenarios:
                of_scenarios[key].configured(plan.profile)
            else:
                known = sorted({*type(plan.profile).model_fields, *of_roles, *of_scenarios} - {"extra"})
                raise RegistryError(f"{place}: unknown key {key!r}{suggestion(key, known)}")
        except ValueError as e:
            raise RegistryError(f"{place}: {key}: {e}") from None


def _check_ours(plan: Planning, table: str) -> None:
    """Whose rows are ours is something that the registry uses: a slip would make a baseline of them."""
    registry = plan.toolkit.registry
    known = {instance.use for instance in registry.instances.values()} | {*Profile().ours}
    known |= {label for role in plan.roles.values() for label in role.listed(plan.profile)}
    for use in plan.profile.ours:
        if use not in known:
            raise RegistryError(
                f"{registry.path.name} {table}: ours: no table uses {use!r}{suggestion(use, known)}"
            )


def _check_faces(plan: Planning, label: str) -> None:
    """A task's dataset is there and large enough; the generator can be built, too."""
    profile = plan.profile
    plan.toolkit.build("generator", plan.task)
    split = plan.toolkit.build("dataset", label).split(profile.split)
    wanted = profile.first + profile.samples
    if len(split) < wanted:
        file = plan.toolkit.registry.path.name
        raise RegistryError(
            f"{file} [dataset.{label}]: its {profile.split} split has {len(split)} images; the "
            f"profile takes {profile.samples} from index {profile.first} on (--limit takes fewer)"
        )


def _slices(plan: Planning) -> tuple[Slice, ...]:
    found: list[Slice] = []
    for scenario in plan.scenarios.values():
        with _asked("scenario", scenario.name):
            found += scenario.slices(plan, tuple(found))
    return tuple(found)


@contextmanager
def _asked(what: str, name: str) -> Iterator[None]:
    """Whatever a role or scenario raises while cells are planned is its fault, in one line.

    Raises:
        BrokenPluginError: it failed.
    """
    try:
        yield
    except MagdrError:
        raise
    except Exception as e:
        raise BrokenPluginError(f"{what} {name!r} fails while cells are planned: {one_line(e)}") from e


def _cells(plan: Planning, dataset: str, slices: tuple[Slice, ...]) -> Iterator[PlannedCell]:
    common: dict[str, Any] = {
        "task": plan.task,
        "generator": plan.used("generator", plan.task),
        "dataset": plan.used("dataset", dataset),
        "seed": 0,
    }
    for part in slices:
        scenario = plan.scenarios[part.scenario]
        with _asked("a role or scenario", scenario.name):
            rows = list(scenario.rows(plan, part))
        for name, label in rows:
            role = plan.roles[name]
            yield PlannedCell(
                slice=part,
                role=role.rows or role.name,
                component=label,
                knowledge=scenario.knowledge(part, undefended=role.undefended(label)),
                point=scenario.point(part),
                also=scenario.also(part, undefended=role.undefended(label)),
                **common,
            )
