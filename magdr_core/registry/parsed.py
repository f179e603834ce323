"""A parsed registry: its tables as values, and what follows from several of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from magdr_core.components.objective import ObjectiveName
from magdr_core.errors import RegistryError, suggestion
from magdr_core.files.user_files import user_path
from magdr_core.guards.accelerate import Speed
from magdr_core.registry.include import PREFIX, builtin_registry, packaged_file
from magdr_core.registry.settings import QUICK, CalibrationPolicy, EngineSettings, Globs, Profile


@dataclass(frozen=True)
class Instance:
    """One `[kind.label]` table.

    Attributes:
        base: folder, from the registry's, where relative paths in `params` start.
        keys: what else stands in it, by the model that the kind has for its tables, with defaults.
    """

    kind: str
    label: str
    use: str
    params: Mapping[str, Any]
    base: str = ""
    keys: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grid(self) -> Mapping[str, list[Any]] | None:
        """Of a restoration, instead of its own."""
        return self.keys.get("grid")

    @property
    def objective(self) -> ObjectiveName | None:
        """Of an attack; the generator's if None."""
        return self.keys.get("objective")

    @property
    def dataset(self) -> str:
        """Of a generator, the label of the faces that it is for; empty where any will do."""
        return self.keys.get("dataset", "")

    @property
    def attacks(self) -> Mapping[str, str]:
        """Of a generator, by label the attack that a profile's stands for on this task; the label's own where
        nothing is said."""
        return self.keys.get("attacks", {})

    @property
    def table(self) -> str:
        return f"[{self.kind}.{self.label}]"


@dataclass(frozen=True)
class Registry:
    """A parsed registry.

    Attributes:
        path: the file.
        text: its content, which every run folder keeps; with an `include`, the tables of both files.
        composition: the `[magdr]` table: defaults for what MagDR's components need.
        speed: how generators are run.
        files: the registry that commands on files use in this one's place, where it knows the task: a path
            from this one's folder or `builtin:NAME`; empty for this one.
        origins: by dotted name (`attack.pgd`), the file of each table that an `include` brought.
        unread: tables `[name.LABEL]` of kinds that a plugin may bring, by name and label, as the file has
            them; only where the registry names plugins (:mod:`magdr_core.registry.plugin_tables`).
    """

    path: Path
    text: str
    name: str
    seed: int
    device: str
    local: Mapping[str, str]
    block: Globs
    use: Globs
    instances: Mapping[tuple[str, str], Instance]
    composition: Mapping[str, Any]
    calibration: CalibrationPolicy
    engine: EngineSettings
    speed: Speed
    profiles: Mapping[str, Profile]
    origins: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: str = ""

    @property
    def for_files(self) -> Path | None:
        """The registry that commands on files use in this one's place; None for this one. Raises
        RegistryError if the package has none of that name."""
        if not self.files:
            return None
        if self.files.startswith(PREFIX):
            return builtin_registry(self.files, f"{self.path.name} [registry]: files = ")
        return user_path(
            self.files, self.path.parent, error=RegistryError, what=f"{self.path.name} [registry]: files"
        )

    @property
    def calibration_file(self) -> Path | None:
        """The file that `[calibration]` names, where there is one."""
        return self._placed(self.calibration.file, "calibration.json")

    @property
    def real_scores(self) -> Path | None:
        """The file of scores of real pictures that `[calibration]` names, where there is one."""
        return self._placed(self.calibration.reals, "reals.json")

    def _placed(self, named: str, ending: str) -> Path | None:
        if named.startswith(PREFIX):
            return packaged_file(f"{named.removeprefix(PREFIX)}.{ending}")
        return None if named in ("auto", "") else self.path.parent / named

    def __repr__(self) -> str:
        counts = Counter(kind for kind, _ in self.instances)
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "no component"
        profiles = ", ".join(self.profiles) or "none"
        return f"<Registry {self.name} ({self.path}): tables of {told}; profiles {profiles}>"

    def file_of(self, table: str) -> str:
        """The name of the file that has a table.

        Args:
            table: `[attack.pgd]`, whatever follows it; anything else is in the registry's own file.
        """
        name = table[1:].partition("]")[0] if table.startswith("[") else ""
        return self.origins.get(name, self.path.name)

    def labels(self, kind: str) -> list[str]:
        """The labels of a kind that have a table, in the order of the file."""
        return [label for k, label in self.instances if k == kind]

    def instance(self, kind: str, label: str) -> Instance:
        """The table of a label; a label without one means the component of that name with its defaults."""
        return self.instances.get((kind, label)) or Instance(kind, label, label, MappingProxyType({}))

    def tasks(self, profile: Profile | None = None) -> list[str]:
        """The labels of the generators that are defended: all but attackers' surrogates and others' twins.

        Args:
            profile: its `generators` if it names some.
        """
        if profile is not None and profile.generators:
            return list(profile.generators)
        defended = {label for p in self.profiles.values() for label in p.generators or ()}
        spare = _only_surrogates(self.profiles.values()) | {label for _, label in self._twins()} - defended
        if profile is not None:
            spare |= _only_surrogates([profile])
        return [label for label in self.labels("generator") if label not in spare]

    def defended(self, profile: Profile | None = None) -> list[str]:
        """The tasks, as of `tasks`.

        Raises:
            RegistryError: there is none, or a list of twins has one twice, or one that is no twin of any.
        """
        tasks, listed = self.tasks(profile), list(self._twins())
        if not tasks:
            only = "; those that `twins` list are none" if listed else ""
            raise RegistryError(f"{self.path.name}: no [generator.TASK] table{only}")
        every = dict.fromkeys([*tasks, *self.tasks()])
        uses = {task: self.instance("generator", task).use for task in every}
        for place, label in listed:
            if listed.count((place, label)) > 1:
                raise RegistryError(f"{self.path.name} {place} twins: {label!r} is listed twice")
            own = self.instances.get(("generator", label))
            if own is not None and own.use not in uses.values():
                known = ", ".join(f"{task} is {use}" for task, use in uses.items())
                raise RegistryError(
                    f"{self.path.name} {place} twins: {label!r} is {own.use}, which no task is ({known})"
                )
        return tasks

    def _twins(self) -> Iterator[tuple[str, str]]:
        """(table, label) of generators that components take as second ones, by `twins`."""
        tables = {"[magdr]": self.composition.get("twins")}
        tables |= {f"[{i.kind}.{i.label}]": i.params.get("twins") for i in self.instances.values()}
        for place, given in tables.items():
            for label in given if isinstance(given, list) else ():
                if isinstance(label, str):
                    yield place, label

    def dataset_of(self, task: str) -> str:
        """The label of the faces that a task's generator is for: its table's, else the first there is."""
        labels = self.labels("dataset")
        return self.instance("generator", task).dataset or (labels[0] if labels else "procedural-faces")

    @property
    def finder(self) -> str:
        """The label of the finder of faces: the first that has a table, else `cascade`, which needs none."""
        return next(iter(self.labels("finder")), "cascade")

    def attack_on(self, task: str, label: str) -> str:
        """The label of the attack that a profile's label means on a task."""
        return self.instance("generator", task).attacks.get(label, label)

    def profile(self, name: str) -> Profile:
        """A `[profile.NAME]`; `quick` where the registry has no profile at all.

        Raises:
            RegistryError: there is none of that name.
        """
        known = self.runnable
        if name not in known:
            raise RegistryError(f"{self.path.name}: no profile {name!r}{suggestion(name, known)}")
        return known[name]

    @property
    def runnable(self) -> Mapping[str, Profile]:
        """By name, the profiles that can be run: the file's, or `quick` where it has none at all."""
        return self.profiles or {"quick": QUICK}


def _only_surrogates(profiles: Iterable[Profile]) -> set[str]:
    """Generators that perturbations are made on and that none of these profiles calls a task."""
    surrogates, named = set[str](), set[str]()
    for profile in profiles:
        surrogates |= {t.surrogate for t in profile.transfer}
        named |= {*(profile.generators or ()), *(label for t in profile.transfer for label in t.generators)}
    return surrogates - named
