"""A scenario: which images components are run on, and what whoever made them knew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel
from torch import Tensor

from magdr_core.components.batch import Samples
from magdr_core.components.params import ParameterError, validate
from magdr_core.components.slice import CLEAN as CLEAN
from magdr_core.components.slice import Measured as Measured
from magdr_core.components.slice import Slice as Slice
from magdr_core.components.task_run import Planning, Rng, SharedImages, TaskRun


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

    def fact_of(self, part: Slice) -> str:
        """The same of one slice, where a scenario has several sorts of images."""
        return self.fact

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

    def also(self, part: Slice, *, undefended: bool) -> str:
        """Another role whose figures a cell gives besides its own; empty of none."""
        return ""

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
