"""A component's factory signature is its parameter schema: there is no second list of parameters.

A factory is the component's class, or a function where there is something to decide or to read first.
`schema_of` reads its keyword-only, annotated, defaulted parameters (a class's: those of `__init__`) and makes
a pydantic model of them; `validate` turns the values of a registry table into keyword arguments, or into one
clear line.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from torch import nn

from magdr_core.errors import MagdrError, brief, suggestion

M = TypeVar("M")


@dataclass(frozen=True)
class WeightsFile:
    """Marks a parameter as a weight file; see :data:`Weights`.

    Attributes:
        within: names under which the published files of a layout hold the network's state dict, the first
            that is there counts: `Annotated[str, WeightsFile(within=("gen_test", "gen"))]`. A plain state
            dict is taken as well. The same names go to :func:`~magdr_core.components.weights.load_state`.
    """

    within: tuple[str, ...] = ()


Weights = Annotated[str, WeightsFile()]
"""A weight file: `builtin:NAME` (shipped with the plugin that declares it), a path (relative to the
registry), an address that ends with `#sha256=` and the file's hash, or `random` for an untrained network.
Core resolves it, checks that the file is there and whole before a run starts, puts its sha256 into every
result's key, and hands the factory a `Path`, or None for `random`. Only what a registry names is fetched, no
default."""


@dataclass(frozen=True)
class FromRegistry:
    """Marks a parameter as a place on disk; see :data:`DataPath`.

    Attributes:
        hub: the files of a folder that may also be named as `hf://ORG/NAME@REVISION#sha256=HEX`, a repository
            of the Hugging Face hub; core fetches and checks them, and the hash belongs to results' keys. No
            such address is taken where there are none.
    """

    hub: tuple[str, ...] = ()


DataPath = Annotated[str, FromRegistry()]
"""A file or folder of the user's, as text: relative to the registry, absolute, or with `~` and environment
variables. Core hands the factory where it is; empty stays empty."""


class WrittenInPython:
    """Marks a parameter as something written in Python; see :data:`Factory`."""


Factory = Annotated[str, WrittenInPython()]
"""A class or function of the user's: `"file.py:NAME"`, the file relative to the registry, or
`"package.module:NAME"`. Core finds the file before a run starts, puts the sha256 of its text into every
result's key (not what it imports), and hands the factory of the component a
:class:`~magdr_core.components.factories.NamedFactory`, whose `load()` imports it."""


_FRACTION = re.compile(r"([+-]?[0-9]{1,15})/([0-9]{1,15})")


def _number(text: str) -> float:
    """A decimal number or a fraction of two whole ones. `Fraction` would write out `1e999999999`."""
    parts = _FRACTION.fullmatch(text)
    return int(parts[1]) / int(parts[2]) if parts else float(text)


def _unit_interval(value: Any) -> Any:
    number = value
    if isinstance(value, str):
        try:
            number = _number(value.replace(" ", ""))
        except (ValueError, ZeroDivisionError):
            raise ValueError(f'{brief(value)} is not a number or a fraction such as "6/255"') from None
    if isinstance(number, int | float) and not 0.0 <= number <= 1.0:
        shown = brief(value) if isinstance(value, str) else f"{value:g}"
        steps = number is value and 1.0 < number <= 255.0
        hint = f'; strengths are in [0,1] units, write 8-bit steps as "{value:g}/255"' if steps else ""
        raise ValueError(f"{shown} is outside [0, 1]{hint}")
    return number


Eps = Annotated[float, BeforeValidator(_unit_interval)]
"""A perturbation bound or step in [0,1] units; a registry may write it as `"6/255"`."""


class ParameterError(MagdrError):
    """A parameter table that does not fit the signature; the message lacks the place, the caller adds it."""


def factory_parameters(
    build: Callable[..., Any], injected: Collection[str] = ()
) -> dict[str, inspect.Parameter]:
    """The parameters of a factory, a class or a function.

    Args:
        injected: names that core fills, by keyword; in a signature they may stand before the `*`.

    Raises:
        TypeError: a parameter that is not keyword-only, or `**kwargs`.
    """
    if isinstance(build, type) and _declared(build) is nn.Module.__init__:
        return {}  # torch declares anything there, and takes nothing
    parameters = inspect.signature(build).parameters
    for p in parameters.values():
        by_name = p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and p.name in injected
        if p.kind is not inspect.Parameter.KEYWORD_ONLY and not by_name:
            raise TypeError(f"parameter {p.name!r} of {build.__qualname__} must be keyword-only")
    return dict(parameters)


def _declared(build: Callable[..., Any]) -> Any:
    """Whose annotations are the parameters': a class's own are those of its attributes."""
    return inspect.getattr_static(build, "__init__") if isinstance(build, type) else build


def schema_of(build: Callable[..., Any], injected: frozenset[str], where: str) -> type[BaseModel]:
    """The pydantic model of a factory's parameters, without those that core injects.

    Raises:
        TypeError: a parameter without annotation or default.
    """
    hints = get_type_hints(_declared(build), include_extras=True)
    fields: dict[str, Any] = {}
    for name, p in factory_parameters(build, injected).items():
        if name in injected:
            continue
        if name not in hints:
            raise TypeError(f"parameter {name!r} of {build.__qualname__} has no annotation")
        if p.default is inspect.Parameter.empty:
            raise TypeError(f"parameter {name!r} of {build.__qualname__} has no default")
        fields[name] = (hints[name], p.default)
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, validate_default=True, strict=False)
    return create_model(f"{where} parameters", __config__=config, **fields)


def validate(
    schema: type[BaseModel], values: Mapping[str, Any], owner: str, noun: str = "parameter"
) -> dict[str, Any]:
    """Registry values -> keyword arguments with defaults filled in.

    Raises:
        ParameterError: unknown parameter (with a suggestion), wrong type, value out of range.
    """
    for name, value in values.items():
        if name not in schema.model_fields:
            known = suggestion(name, schema.model_fields)
            raise ParameterError(f"{owner} has no {noun} {brief(name)}{known}")
        # pydantic would read true as 1 and "3" as 3; in a registry both are slips.
        kind = schema.model_fields[name].annotation
        converted = any(isinstance(m, BeforeValidator) for m in schema.model_fields[name].metadata)
        if isinstance(value, bool) and kind in (int, float):
            raise ParameterError(f"{noun} {name!r} of {owner}: expected a number, got {value!r}")
        if isinstance(value, str) and kind in (int, float) and not converted:
            wanted = "an integer" if kind is int else "a number"
            raise ParameterError(f"{noun} {name!r} of {owner}: expected {wanted}, got {brief(value)}")
    try:
        model = schema(**values)
    except ValidationError as e:
        raise ParameterError(_first_fault(e, owner, noun)) from None
    return {name: getattr(model, name) for name in schema.model_fields}


def _first_fault(error: ValidationError, owner: str, noun: str) -> str:
    fault = error.errors()[0]
    name = ".".join(str(part) for part in fault["loc"]) or "?"
    message = fault["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:] if message[:1].isupper() else message
    given = fault.get("input")
    shown = "" if isinstance(given, Mapping) or brief(given) in message else f", got {brief(given)}"
    return f"{noun} {name!r} of {owner}: {message}{shown}"


def marked_parameters(schema: type[BaseModel], mark: type) -> list[str]:
    """Names of the parameters with a mark: `WeightsFile`, `FromRegistry` or `WrittenInPython`."""
    return [*marks(schema, mark)]


def marks(schema: type[BaseModel], mark: type[M]) -> dict[str, M]:
    """The marks of one class, by the names of the parameters that have them."""
    fields = schema.model_fields.items()
    return {name: m for name, info in fields for m in info.metadata if isinstance(m, mark)}


def describe(schema: type[BaseModel]) -> list[tuple[str, str, str]]:
    """(name, type and limits, default) of every parameter, for `magdr plugins show`."""
    rows = []
    for name, info in schema.model_fields.items():
        kind = getattr(info.annotation, "__name__", str(info.annotation))
        if info.annotation is not None and hasattr(info.annotation, "__args__"):
            kind = str(info.annotation).replace("typing.", "")
        limits = [
            f"{sign} {getattr(m, attr)}"
            for m in info.metadata
            for attr, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
            if hasattr(m, attr)
        ]
        default = str(info.default) if isinstance(info.default, Path) else repr(info.default)
        rows.append((name, " ".join([kind, *limits]), default))
    return rows
