"""What the specs of all kinds have in common, and how a component says which others it needs."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import BaseModel

from magdr_core.components.meanings import meanings_of, sentence
from magdr_core.components.params import factory_parameters, schema_of

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Need:
    """A component that core injects.

    Attributes:
        kind: the kind's singular name, as in a registry table.
        depth: 0 for one component, 1 for a list of them, 2 for a list of lists (Rec-Net's layers).
        family: inject a :class:`~magdr_core.components.protocols.Family` (every setting of the spec's grid)
            instead of one component.
        calibrated: a detector that is injected with its threshold, so that it can decide.
        optional: where neither the table nor `[magdr]` names one, or the table says `[]` or `""`, None is
            injected (else the registry's first of the kind is).
        later: an optional need that came after results were kept. Where it is None the component's identity
            does not mention it, so that those results and calibrations are found still.
    """

    kind: str
    depth: int = 0
    family: bool = False
    calibrated: bool = False
    optional: bool = False
    later: bool = False


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """Common fields of every kind.

    Attributes:
        name: lower-case words joined by hyphens; a registry says `use = "name"` or `use = "plugin/name"`.
        build: factory with keyword-only, annotated, defaulted parameters; returns the live component. The
            component's class is one, if its `__init__` is written so.
        version: raised whenever outputs can change; part of every result's key.
        summary: one line; the first line of the docstring of `build` if left empty.
        cite: paper or repository of the method.
        tags: free words to filter by.
        requires: importable names that `build` needs; if one is missing the component is listed as
            unavailable and `extra` is named as the remedy.
        extra: what to `pip install` for `requires`.
        needs: injected components by parameter name of `build`.
        device: "any", or "cpu" for a component that leaves the toolkit's device.
        stochastic: the component takes a keyword argument `rng` (a `SampleRng`) in its call.
        composed: a registry's table `[magdr]` has defaults for the component's parameters, too; for needs it
            has them of every component.
    """

    kind: ClassVar[str] = ""
    name: str
    build: Callable[..., Any]
    version: int = 1
    summary: str = ""
    cite: str = ""
    tags: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    extra: str = ""
    needs: Mapping[str, Need] = field(default_factory=dict)
    device: Literal["any", "cpu"] = "any"
    stochastic: bool = False
    composed: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r}: use lower-case letters, digits and single hyphens")
        if not callable(self.build):
            raise TypeError(f"{self.name}: build must be a factory, got {type(self.build).__name__}")
        if not self.summary:
            object.__setattr__(self, "summary", _first_line(self.build))
        object.__setattr__(self, "tags", tuple(self.tags))
        object.__setattr__(self, "requires", tuple(self.requires))
        unknown = set(self.needs) - set(self.parameters)
        if unknown:
            raise TypeError(f"{self.name}: needs {sorted(unknown)} are not parameters of build")

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """Those of `build`, with what core injects."""
        return factory_parameters(self.build, self.needs)

    @functools.cached_property
    def schema(self) -> type[BaseModel]:
        return schema_of(self.build, frozenset(self.needs), f"{self.kind} {self.name}")

    @functools.cached_property
    def meanings(self) -> Mapping[str, str]:
        """What each parameter and each need means, in the words of `Field(description=...)` or else of the
        docstring's `Args:`; what nobody tells is not in it."""
        told = meanings_of(self.build)
        told |= {n: f.description for n, f in self.schema.model_fields.items() if f.description}
        return {n: sentence(told[n]) for n in (*self.schema.model_fields, *self.needs) if told.get(n)}

    @property
    def missing(self) -> list[str]:
        """The names in `requires` that cannot be imported here."""
        return [name for name in self.requires if not _importable(name)]


def _first_line(build: Callable[..., Any]) -> str:
    doc = (getattr(build, "__doc__", None) or "").strip()
    # A dataclass without a docstring is given its signature for one.
    own = not doc.startswith(f"{getattr(build, '__name__', '')}(")
    return doc.splitlines()[0].strip() if doc and own else ""


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # the parent of a dotted name is missing, or a module without spec
        return name in sys.modules
