"""A kind of component as a value: all that core knows of it stands here, and is looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from magdr_core.components.specs import ComponentSpec


def _nothing(spec: Any, instance: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of component.

    Attributes:
        name: singular, as in a registry's `[name.LABEL]` tables.
        plural: as in the hook `magdr_<plural>` and the folder of a package's plugin modules.
        spec: the class of its specs.
        protocol: the shape of its live components.
        guard: `(resolved, component, where) -> guarded`, core's wrapper (see :mod:`magdr_core.guards`).
        table: further keys of its registry tables, besides `use` and `params`; None for no others.
        identity: what of `(spec, instance)` belongs to the keys of results, besides name, version, source,
            parameters and needs.
        rules: gives the rules that the conformance suite judges its components by.
        toy: gives the spec of a small, quick component, which others are tried with.
        example: gives the text of a small working plugin module: what `magdr plugins new` writes.
        summary: one line for readers.
    """

    name: str
    plural: str
    spec: type[ComponentSpec]
    protocol: type
    guard: Callable[[Any, Any, str], Any]
    table: type[BaseModel] | None = None
    identity: Callable[[Any, Any], Mapping[str, Any]] = _nothing
    rules: Callable[[], Sequence[Any]] = tuple
    toy: Callable[[], ComponentSpec] | None = None
    example: Callable[[], str] | None = None
    summary: str = ""
