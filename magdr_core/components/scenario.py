"""A scenario: which images components are run on, and what whoever made them knew."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel
from torch import Tensor

from magdr_core.components.batch import Samples
from magdr_core.components.params import ParameterError, validate
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError, RegistryError, components_own

CLEAN = "none"
"""What the column `attack` says where nobody attacked."""

Rng = Callable[[Samples], SampleRng]
"""A component's random draws for a batch."""


@dataclass(frozen=True)
class Slice:
    """Images that components are run on: clean ones, or those of an attack, or benign edits of clean ones.

    Attributes:
        name: as in the table's `attack` column.
        scenario: name of the one that makes them.
        label: of the component that makes them, in the registry; empty where none does.
        component: that component's registry name.
        eps, steps: of the attack; 0 where there is none. `eps` in [0,1] units.
        samples: the first so many of the profile's images; all if None.
        settings: whatever else the scenario has to know; such as the table of a transfer.
    """

    name: str
    scenario: str
    label: str = ""
    component: str = ""
    eps: float = 0.0
    steps: int = 0
    samples: int | None = None
    settings: Hashable = None

    @property
    def is_noise(self) -> bool:
        """Whether it is random noise, which aims at nothing."""
        return self.component == "noise"


@dataclass(frozen=True)
class Measured:
    """What a component did on the images of a slice.

    Attributes:
        values: by name one number per sample, in the order of the samples.
        extra: whatever else is kept with the cell, as JSON.
        pictures: images `[n,3,H,W]` in [0,1] that are kept beside the cell, by name.
    """

    values: Mapping[str, list[float]]
    extra: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, Tensor] = field(default_factory=dict)


class ToolkitParts(Protocol):
    """The part of a toolkit that roles and scenarios need."""

    @property
    def registry(self) -> Any: ...

    def resolve(self, kind: str, label: str) -> Any: ...

    def build(self, kind: str, label: str, **injected: Any) -> Any: ...

    def sibling(self, kind: str, use: str, **params: Any) -> Any: ...

    def rng(self, component: str, ids: Iterable[str], seed: int | None = None) -> SampleRng: ...


class SharedImages(Protocol):
    """The images that the cells of one task and seed share, and what they are made with.

    Attributes:
        G: the task's generator, guarded.
        data: the dataset.
    """

    @property
    def toolkit(self) -> Any: ...

    @property
    def profile(self) -> Any: ...

    @property
    def task(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def G(self) -> Any: ...

    @property
    def data(self) -> Any: ...

    @property
    def reference(self) -> Tensor:
        """The generator's outputs on the clean images, `[n,3,H,W]`."""
        ...

    @property
    def progress(self) -> Callable[[str, int, int], None]: ...

    def clean(self, oracle: bool, part: Slice | None = None) -> Samples:
        """The clean samples, or those that a slice has; `oracle` attaches exact masks."""
        ...

    def attack(self, label: str, surrogate: str = "") -> Any:
        """An attack of the registry; one that learns has learned, on the surrogate if there is one."""
        ...

    def learned(self, label: str, surrogate: str = "") -> str | None:
        """A hash of what an attack has learned; None of one that learns nothing."""
        ...

    def drawn(self, seed: int) -> Samples:
        """The clean images with the conditions that another seed draws."""
        ...

    def of(self, part: Slice) -> Tensor:
        """The images of a slice, `[n,3,H,W]`."""
        ...

    def some(self, rows: Sequence[int]) -> SharedImages:
        """The images with these indices alone."""
        ...

    def key(self, part: Slice) -> dict[str, Any]:
        """Everything that the images of a slice depend on, as JSON."""
        ...


class TaskRun(Protocol):
    """The cells of one task and seed, as roles and scenarios see them.

    Attributes:
        images: what the cells share.
        calibrator: gives calibrated detectors and defenses.
        yardsticks: measure restored images and outputs against the clean ones.
    """

    @property
    def toolkit(self) -> Any: ...

    @property
    def profile(self) -> Any: ...

    @property
    def task(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def G(self) -> Any: ...

    @property
    def images(self) -> SharedImages: ...

    @property
    def calibrator(self) -> Any: ...

    @property
    def roles(self) -> Mapping[str, Any]: ...

    @property
    def yardsticks(self) -> Any: ...

    @property
    def encoder(self) -> str | None: ...

    @property
    def progress(self) -> Callable[[str, int, int], None]: ...

    def component(self, cell: Any) -> Any:
        """A cell's component, ready. Raises MagdrError if it cannot be had."""
        ...

    def cached(self, name: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once for all cells of this task and seed."""
        ...


@contextmanager
def components_aside() -> Iterator[None]:
    """Let pass what is a component's fault and not the registry's: the cells that need it will say so."""
    try:
        yield
    except MagdrError as e:
        if not components_own(e):
            raise


@dataclass(frozen=True, eq=False)
class Planning:
    """What cells are planned with.

    Attributes:
        task: the label of its generator; empty while the profile as a whole is looked at.
    """

    toolkit: ToolkitParts
    profile: Any
    roles: Mapping[str, Any]
    scenarios: Mapping[str, Any]
    task: str = ""

    def of(self, task: str) -> Planning:
        return replace(self, task=task)

    def check(self, kind: str, label: str) -> Any:
        """Resolve a component; None if its plugin is broken. That is no fault of the registry, and its own
        cells will say so.

        Raises:
            RegistryError: the registry is wrong.
        """
        with components_aside():
            return self.toolkit.resolve(kind, label)
        return None

    def used(self, kind: str, label: str) -> str:
        """The registry name of a component; of one whose plugin is broken what the table says."""
        resolved = self.check(kind, label)
        named: str = (
            self.toolkit.registry.instance(kind, label).use if resolved is None else resolved.entry.name
        )
        return named

    def fault(self, message: str) -> RegistryError:
        """An error that names the registry's file."""
        return RegistryError(f"{self.toolkit.registry.path.name}: {message}")


class Scenario:
    """One way to make images out of a profile: clean ones, attacked ones, a sweep, benign edits ...

    A scenario has no state: one instance serves all tasks, and other processes have their own. What is to be
    kept between the cells of a task goes into :meth:`TaskRun.cached`.

    Attributes:
        name: of its slices, `Slice.scenario`.
        key: of the profile's entry that asks for it; empty if nothing has to.
        settings: the model that *is* the profile's table under `key`; None where it is a list of labels.
        main: its images are for every role; those of others only for roles that ask for them.
        by_attack: an attack makes them, which has figures of its own.
        grows: each image depends on its clean one alone, so that a run of more images makes only new ones.
        made: whether they have to be made, and are kept in the store.
        per_cell: they are made for each cell alone; :meth:`measure` does it.
    """

    name: ClassVar[str] = ""
    key: ClassVar[str] = ""
    settings: ClassVar[type[BaseModel] | None] = None
    main: ClassVar[bool] = True
    by_attack: ClassVar[bool] = False
    grows: ClassVar[bool] = False
    made: ClassVar[bool] = True
    per_cell: ClassVar[bool] = False

    @property
    def fact(self) -> str:
        """What a cell's facts call it (`slice_role`)."""
        return self.name

    def configured(self, profile: Any) -> Any:
        """What a profile says under `key`: a tuple of labels, or the settings (a tuple of them if the file
        has a list of tables); None, or an empty tuple, if nothing.

        Raises:
            ValueError: it does not fit.
        """
        if not self.key:
            return None
        if self.key in type(profile).model_fields:
            return getattr(profile, self.key)
        told = profile.extra.get(self.key)
        return None if told is None else configured(told, self.settings)

    # -- planning ---------------------------------------------------------------------------------------

    def check(self, plan: Planning) -> None:
        """Raises RegistryError if what the profile says of it is wrong, before anything is computed."""

    def check_task(self, plan: Planning) -> None:
        """As :meth:`check`, of one task of it; components may be built."""

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterable[Slice]:
        """The slices of a task.

        Args:
            earlier: those of the scenarios before it.
        """
        raise NotImplementedError

    def wanted(self, plan: Planning) -> bool:
        """Whether some role of the profile asks for it."""
        return any(role.applies_to(self) and role.listed(plan.profile) for role in plan.roles.values())

    def rows(self, plan: Planning, part: Slice) -> Iterator[tuple[str, str]]:
        """(role, label) of every cell of a slice, in the order of the tables."""
        for role in plan.roles.values():
            if role.applies_to(self):
                for label in role.labels(plan, part):
                    yield role.name, label

    def images_before(self, plan: Planning, part: Slice) -> tuple[Slice, ...]:
        """Slices whose images have to be there before a cell of this one is computed."""
        return (part,)

    def fits(self, plan: Planning, role: Any) -> Sequence[tuple[str, str]]:
        """(role, label) of what has to be calibrated for a role's cells besides their own components."""
        return ()

    # -- tables -----------------------------------------------------------------------------------------

    def knowledge(self, part: Slice, *, undefended: bool) -> str:
        """What the attacker knew, as in the column `knowledge`."""
        return "none" if undefended else "oblivious"

    def knows(self, knowledge: str) -> str:
        """The same in words, for a threat card."""
        if knowledge == "none":
            return "the generator and the condition; there is no defense"
        return "the generator and the condition; not that there is a defense or a detector"

    def lacks(self, part: Slice) -> list[str]:
        """What the attacker lacks, in words."""
        return []

    def point(self, part: Slice) -> str:
        """What tells a slice from others of its name, after that name, for people."""
        return ""

    def columns(self, part: Slice) -> Mapping[str, Any]:
        """Columns of results.csv that are not what the slice says."""
        return {}

    def variant(self, part: Slice) -> str:
        """What the column `variant` says besides."""
        return ""

    def manifest(self, toolkit: Any, profile: Any) -> Mapping[str, Any]:
        """What a run's manifest says of it."""
        return {}

    # -- images -----------------------------------------------------------------------------------------

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        """What the images of a slice depend on besides generator, data and environment, as JSON.
        Whose component makes them, `slice` says."""
        return {"slice": None, "noise": None}

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        """The images of a slice, `[n,3,H,W]`, and of others that come for nothing with them.

        Args:
            clean: the samples of the slice, a batch of the profile's images.
        """
        raise NotImplementedError

    def attack(self, toolkit: Any, part: Slice) -> tuple[Any, Mapping[str, Any]] | None:
        """(guarded attack, its parameters) of a slice; None where nobody attacks."""
        return None

    def maker(self, images: SharedImages, part: Slice) -> Any:
        """The guarded attack of a slice, ready to be called; None where nobody attacks."""
        found = self.attack(images.toolkit, part)
        return None if found is None else found[0]

    def attacked_generator(self, toolkit: Any, part: Slice, G: Any) -> Any:
        """The generator that the attack is made on; `G` is the task's."""
        return G

    def checked(self, part: Slice) -> bool:
        """Whether sanity checks look at the attack of a slice."""
        return False

    def report_pictures(self, images: SharedImages, shown: int) -> Mapping[tuple[str, str, str, str], Tensor]:
        """Pictures of the first images, n = `shown`, by (task, attack, component, side), for the report;
        `[n,3,H,W]` in [0,1] each."""
        return {}

    # -- cells ------------------------------------------------------------------------------------------

    def prepare(self, images: SharedImages, part: Slice) -> None:
        """Make what cells of a slice share, at no cost of the one that comes first."""
        images.of(part)

    def measure(self, run: TaskRun, cell: Any, role: Any, component: Any, rng: Rng) -> Measured:
        """What a cell's component does on the images of its slice."""
        clean = run.images.clean(role.wants_masks(run, cell.component), cell.slice)
        measured: Measured = role.measure(
            run, cell, clean.with_images(run.images.of(cell.slice)), component, rng
        )
        return measured

    def cell_key(self, run: TaskRun, cell: Any, role: Any) -> Mapping[str, Any]:
        """What a cell depends on besides its component, its images, and what its role says."""
        return {}

    def kept(self, run: TaskRun, cell: Any, role: Any, stored: Mapping[str, Any]) -> Mapping[str, int]:
        """The pictures that a stored cell has to have, by name, and how many images each is of."""
        found: Mapping[str, int] = role.kept(run, cell, stored)
        return found


def configured(told: Any, settings: type[BaseModel] | None) -> Any:
    """What a profile's key of a plugin says, checked.

    Args:
        settings: the model of its tables; None where it is a list of labels.

    Raises:
        ValueError: it does not fit.
    """
    if settings is None:
        if isinstance(told, str) or not isinstance(told, Sequence):
            raise ValueError("must be a list of labels")
        if not all(isinstance(label, str) for label in told):
            raise ValueError("must be a list of labels")
        twice = next((label for label in told if list(told).count(label) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice!r} is listed twice")
        return tuple(told)
    if isinstance(told, Mapping):
        return _table(settings, told)
    if isinstance(told, str) or not isinstance(told, Sequence):
        raise ValueError("must be a table")
    return tuple(_table(settings, table) for table in told)


def _table(settings: type[BaseModel], told: Any) -> BaseModel:
    if not isinstance(told, Mapping):
        raise ValueError("must be a list of tables")
    try:
        return settings(**validate(settings, dict(told), "this table", noun="key"))
    except ParameterError as e:
        raise ValueError(str(e)) from None
