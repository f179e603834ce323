"""A generator as components are given it: everything that they may ask of one, and nothing to change."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.isolation import interpreter_state

_ASKED = (
    "size",
    "condition_names",
    "objective",
    "passes",
    "label",
    "where",
    "stochastic",
    "regions",
    "edited",
    "draw",
    "classes",
    "features",
    "redraw",
    "takes_source",
    "takes_text",
    "with_source",
    "with_text",
)
"""What a handle passes on to the guarded generator."""


class _Fixed(type):
    """A class whose attributes cannot be set either."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise AttributeError(f"a generator cannot be changed: {name}")

    def __delattr__(cls, name: str) -> None:
        raise AttributeError(f"a generator cannot be changed: {name}")


class GeneratorHandle(metaclass=_Fixed):
    """G for a component. Calls and questions go to core's guarded generator; setting anything is refused."""

    __slots__ = ("__ask",)

    def __init__(self, guarded: Any) -> None:
        def ask(name: str) -> Any:
            return guarded if name == "__call__" else getattr(guarded, name)

        object.__setattr__(self, "_GeneratorHandle__ask", ask)

    def __call__(self, x: Tensor, c: Condition) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> `[B,3,H,W]` in [0,1], differentiable in x."""
        y: Tensor = self.__ask("__call__")(x, c)
        return y

    def __getattr__(self, name: str) -> Any:
        if name not in _ASKED:
            raise AttributeError(f"a generator has no {name!r}; it has {', '.join(_ASKED)}")
        return self.__ask(name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a generator cannot be changed: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a generator cannot be changed: {name}")

    def private_copy(self) -> GeneratorHandle:
        """Itself: it holds nothing that could be changed."""
        return self


# `type.__setattr__` gets past the metaclass; what it leaves is found and undone after the call.
interpreter_state.watch(GeneratorHandle, ("__call__", "__getattr__", "__setattr__", "private_copy"))
