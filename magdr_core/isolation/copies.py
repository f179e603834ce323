"""Private copies: what core hands to a component, and what it takes from one.

A component never holds a tensor that anybody else uses. It is given copies, so that what it keeps or edits is
its own, and what it returns is copied, so that it cannot edit that later. Gradients flow through both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor
from torch._C import DisableTorchFunctionSubclass
from torch.nn import Parameter

_PLAIN = (Tensor, Parameter)


def private(value: Any) -> Any:
    """A copy that shares no storage: of tensors, of the containers and data classes that hold them, and of
    whatever has a `private_copy` of its own (a generator's is a handle). Other objects are returned as they
    are; functions in a data class give private copies too.
    """
    if isinstance(value, Tensor):
        return value.clone() if type(value) in _PLAIN else _plain(value)
    if hasattr(type(value), "private_copy"):
        return value.private_copy()
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{f.name: _field(getattr(value, f.name)) for f in fields(value)})
    if isinstance(value, Mapping):
        return {name: private(one) for name, one in value.items()}
    if type(value) in (tuple, list):
        return type(value)(private(one) for one in value)
    return value


def _plain(value: Tensor) -> Tensor:
    """A copy without what a subclass does in torch's functions, which would run among core's own work. One
    that stands for a tensor (`__torch_dispatch__`) stays what it is."""
    with DisableTorchFunctionSubclass():
        copy = value.clone()
        own = type(copy).__torch_dispatch__ is not Tensor.__torch_dispatch__
        return copy if own else copy.as_subclass(Tensor)


def _field(value: Any) -> Any:
    return _giving_copies(value) if _is_function(value) else private(value)


def _is_function(value: Any) -> bool:
    return callable(value) and not hasattr(type(value), "private_copy") and not isinstance(value, Tensor)


def _giving_copies(function: Callable[..., Any]) -> Callable[..., Any]:
    def asked(*args: Any, **kwargs: Any) -> Any:
        return private(function(*args, **kwargs))

    return asked


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors, of any shape, that :func:`private` copies, always in the same order."""
    if isinstance(value, Tensor):
        yield value
    elif hasattr(type(value), "private_copy"):
        yield from value.tensors() if hasattr(type(value), "tensors") else ()
    elif is_dataclass(value) and not isinstance(value, type):
        for f in fields(value):
            yield from tensors_in(getattr(value, f.name))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from tensors_in(one)
    elif type(value) in (tuple, list):
        for one in value:
            yield from tensors_in(one)
