"""What roles and scenarios are given: a toolkit's part, the plan of a task, its images, and its cells."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor

from magdr_core.components.batch import Samples
from magdr_core.components.rng import SampleRng
from magdr_core.components.slice import Slice
from magdr_core.errors import MagdrError, RegistryError, components_own

Rng = Callable[[Samples], SampleRng]
"""A component's random draws for a batch."""


class ToolkitParts(Protocol):
    """The part of a toolkit that roles and scenarios need."""

    @property
    def registry(self) -> Any: ...

    def resolve(self, kind: str, label: str) -> Any: ...

    def build(self, kind: str, label: str, **injected: Any) -> Any: ...

    def sibling(self, kind: str, use: str, **params: Any) -> Any: ...

    def rng(self, component: str, ids: Iterable[str], seed: int | None = None) -> SampleRng: ...


class OneTask(Protocol):
    """One task and seed of a profile.

    Attributes:
        G: the task's generator, guarded.
        progress: told (what, done, total) of long steps.
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
    def progress(self) -> Callable[[str, int, int], None]: ...


class SharedImages(OneTask, Protocol):
    """The images that the cells of one task and seed share, and what they are made with.

    Attributes:
        data: the dataset.
    """

    @property
    def data(self) -> Any: ...

    @property
    def reference(self) -> Tensor:
        """The generator's outputs on the clean images, `[n,3,H,W]`."""
        ...

    def clean(self, oracle: bool, part: Slice | None = None) -> Samples:
        """The clean samples, or those that a slice has; `oracle` attaches exact masks."""
        ...

    def attack(self, label: str, surrogate: str = "") -> Any:
        """An attack of the registry; one that learns has learned, on the surrogate if there is one."""
        ...

    def learned(self, label: str, surrogate: str = "") -> str | None:
        """A hash of what an attack has learned; None of one that learns nothing."""
        ...

    def defense(self, label: str) -> Any:
        """A defense of the registry, calibrated, as a
        :class:`~magdr_core.components.cells.ReadyDefense`; a restoration's label stands for that restoration.

        Raises:
            MagdrError: it cannot be had.
        """
        ...

    def drawn(self, seed: int) -> Samples:
        """The clean images with the conditions that another seed draws."""
        ...

    def drawn_for(self, generator: Any) -> Samples:
        """The clean images with conditions that another generator draws for them."""
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

    def lasting_key(self, part: Slice) -> dict[str, Any]:
        """The same without which images they are."""
        ...


class TaskRun(OneTask, Protocol):
    """The cells of one task and seed, as roles and scenarios see them.

    Attributes:
        images: what the cells share.
        calibrator: gives calibrated detectors and defenses.
        store: keeps results.
        yardsticks: measure restored images and outputs against the clean ones.
    """

    @property
    def images(self) -> SharedImages: ...

    @property
    def calibrator(self) -> Any: ...

    @property
    def store(self) -> Any: ...

    @property
    def roles(self) -> Mapping[str, Any]: ...

    @property
    def yardsticks(self) -> Any: ...

    @property
    def encoder(self) -> str | None: ...

    def key(self, cell: Any) -> str:
        """The key of a cell's result: a hash of everything that it depends on."""
        ...

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
