"""A kind of component as a value: all that core knows of it stands here, and is looked up."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from magdr_core.components.specs import ComponentSpec
from magdr_core.components.trial import Rule, Trial

RESERVED = ("registry", "plugins", "magdr", "calibration", "engine", "speed", "profile")
"""Tables of a registry that are no components; no kind may be called so."""

PROFILE_KEYS = (
    *("note", "dataset", "split", "samples", "seeds", "generators", "ensemble", "first", "pictures"),
    *("checks", "ours", "oracle", "identity"),
)
"""Keys of every `[profile.NAME]` table; no role and no scenario is asked for by them."""

_NAME = re.compile(r"[a-z]+(_[a-z]+)*")


def _nothing(spec: Any, instance: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of component.

    Attributes:
        name: singular, as in a registry's `[name.LABEL]` tables.
        plural: as in the hook `magdr_<plural>` and the folder of a package's plugin modules.
        spec: the class of its specs; its `kind` is `name`.
        guard: `(resolved, component, where) -> guarded`, core's wrapper, a `Guard` mostly: it checks every
            result, and `where` is what errors call the component. `resolved.entry.spec` is the spec,
            `resolved.params` and `resolved.instance` what the registry says.
        call: how a component is called and what it gives, for readers: `(x) -> [B]`.
        summary: one line for readers.
        protocol: the shape of its live components.
        table: further keys of its registry tables, besides `use` and `params`; found in `instance.keys`.
        identity: `(spec, instance) -> mapping`, what belongs to the keys of results, besides kind, name,
            version, source, parameters and needs.
        grid: `(spec, instance) -> mapping`, of components with several settings (`Need(family=True)`): the
            values of each parameter to choose from; None where a kind has none.
        trial: how the conformance suite calls components; None if they are not called.
        rules: gives further rules that the suite judges components by.
        toy: gives the spec of a small, quick component, which others are tried with.
        example: gives the text of a small working plugin module: what `magdr plugins new` writes.
        learning_example: the same of one whose component has `fit` and `load`: `magdr plugins new --fit`.

    Raises:
        ValueError: the name or the plural cannot be one, they are the same, or the spec is of another kind.
    """

    name: str
    plural: str
    spec: type[ComponentSpec]
    guard: Callable[[Any, Any, str], Any]
    call: str = ""
    summary: str = ""
    protocol: type | None = None
    table: type[BaseModel] | None = None
    identity: Callable[[Any, Any], Mapping[str, Any]] = _nothing
    grid: Callable[[Any, Any], Mapping[str, Sequence[Any]]] | None = None
    trial: Trial | None = None
    rules: Callable[[], Sequence[Rule]] = tuple
    toy: Callable[[], ComponentSpec] | None = None
    example: Callable[[], str] | None = None
    learning_example: Callable[[], str] | None = None

    def __post_init__(self) -> None:
        for what in (self.name, self.plural):
            if not _NAME.fullmatch(what):
                raise ValueError(f"kind {self.name!r}: {what!r} is no name; use lower-case letters and _")
        if self.plural == self.name:
            raise ValueError(f"kind {self.name!r}: its plural must be another word, and is the same")
        if not (isinstance(self.spec, type) and issubclass(self.spec, ComponentSpec)):
            raise ValueError(f"kind {self.name!r}: spec must be a subclass of ComponentSpec")
        if self.spec.kind != self.name:
            raise ValueError(f"kind {self.name!r}: its spec says kind = {self.spec.kind!r}")

    @property
    def hook(self) -> str:
        """The hook that gives its components."""
        return f"magdr_{self.plural}"
