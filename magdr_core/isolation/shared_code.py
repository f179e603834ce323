"""Functions, classes and constants that cells share: verified before anything computed beside them is stored.

:mod:`magdr_core.isolation.process_state` looks at the few functions that everybody calls, around every call
of a component. Here it is everything that magdr's modules hold, and what torch and numpy offer: some 25,000
names, too many for each call, few enough for each cell.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from importlib import import_module
from itertools import chain
from operator import attrgetter, eq, is_, itemgetter
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

_PACKAGES = ("magdr_core", "magdr_plugins")

_LIBRARIES = (
    *("torch", "torch.nn", "torch.nn.functional", "torch.nn.init"),
    *("torch.fft", "torch.linalg", "torch.special", "torch.autograd"),
    *("numpy", "numpy.fft", "numpy.linalg"),
)

_REPLACED_BY_TORCH: dict[Any, tuple[str, ...]] = {
    torch: ("manual_seed",),
    nn.Module: ("__init__", "__setstate__"),
}
"""What torch itself replaces when it first compiles something."""

_CODE = (FunctionType, BuiltinFunctionType, staticmethod, classmethod, property, type)
_CONSTANTS = (bool, int, float, str, bytes, tuple, frozenset)

_PARTS = ("__code__", "__defaults__", "__kwdefaults__")
_READ = tuple(attrgetter(part) for part in _PARTS)
"""The insides of a function."""


class SharedCode:
    """What functions, classes and constants were when they were first looked at.

    Args:
        libraries: those of torch and numpy too. A library may replace some when it is imported, so who
            watches an import leaves them out.
    """

    def __init__(self, *, libraries: bool = True) -> None:
        self.libraries = libraries
        self._kept: dict[int, _Names] = {}
        self._together = _Together(())
        self._modules = 0

    def add(self) -> None:
        """Watch what was imported since the last time; what is watched already stays as it was kept."""
        if len(sys.modules) == self._modules:
            return
        self._modules = len(sys.modules)
        for name, owner in (*_own(), *(_of_libraries() if self.libraries else ())):
            if id(owner) not in self._kept:
                self._kept[id(owner)] = _Names(name, owner)
        self._together = _Together(self._kept.values())

    def restore(self) -> list[str]:
        """Put back what was replaced; whose it is, a text each (empty if nothing was)."""
        if self._together.is_intact():
            return []
        changed = [kept.name for kept in self._kept.values() if not kept.restore()]
        self._together.look_at_classes()
        return list(dict.fromkeys(changed))


class _Names:
    """What the names of a module or class stand for, and the insides of the functions among them."""

    def __init__(self, name: str, owner: Any) -> None:
        self.name, self.owner = name, owner
        skipped = _REPLACED_BY_TORCH.get(owner, ())
        kept = {n: v for n, v in vars(owner).items() if _is_kept(n, v) and n not in skipped}
        self.names, self.values = tuple(kept), tuple(kept.values())
        # Of a class a new name may hide one that is inherited; in a module it hides nothing of anybody's.
        self.all = frozenset(vars(owner)) if isinstance(owner, type) else None
        plain = (_function(v) for v in self.values)
        self.functions = [f for f in plain if f is not None and f.__module__.startswith(_PACKAGES)]
        self.parts = [tuple(map(read, self.functions)) for read in _READ]

    def restore(self) -> bool:
        """Whether everything was as it had been; if not, it is afterwards."""
        now, same = vars(self.owner), True
        for name, value in zip(self.names, self.values, strict=True):
            if now.get(name) is not value:
                same = False
                self._set(name, value)
        for name in [n for n, v in now.items() if self.all and n not in self.all and _is(v, _CODE)]:
            same = False
            type.__delattr__(self.owner, name)
        for part, read, kept in zip(_PARTS, _READ, self.parts, strict=True):
            for function, value in zip(self.functions, kept, strict=True):
                if read(function) is not value:
                    same = False
                    setattr(function, part, value)
        return same

    def _set(self, name: str, value: Any) -> None:
        if isinstance(self.owner, type):
            type.__setattr__(self.owner, name, value)
        else:
            vars(self.owner)[name] = value


class _Together:
    """All that was kept, side by side: whether nothing of it can be wrong is told without a loop in Python
    over the names, since each cell asks."""

    def __init__(self, kept: Collection[_Names]) -> None:
        named = [one for one in kept if one.names]
        # The first name twice: what looks up a single one gives no tuple.
        self._look_up = [(itemgetter(*one.names, one.names[0]), vars(one.owner)) for one in named]
        self._values = [value for one in named for value in (*one.values, one.values[0])]
        classes = [one for one in kept if one.all is not None]
        self._classes = [vars(one.owner).keys() for one in classes]
        self._known = [one.all for one in classes]
        functions: dict[int, tuple[Any, ...]] = {}  # each once: modules hold those that they import, too
        for one in kept:
            for found in zip(one.functions, *one.parts, strict=True):
                functions.setdefault(id(found[0]), found)
        self._functions = [function for function, *_ in functions.values()]
        self._parts = [[found[i] for found in functions.values()] for i in range(1, 1 + len(_READ))]

    def look_at_classes(self) -> None:
        """Take the names of classes to be those that they have now: what they were given was looked at."""
        self._known = list(map(frozenset, self._classes))

    def is_intact(self) -> bool:
        """Whether every name stands for what it stood for, and classes and functions are as they were."""
        try:
            now = chain.from_iterable([look_up(names) for look_up, names in self._look_up])
        except KeyError:  # a name is gone
            return False
        return (
            all(map(is_, now, self._values))
            and all(map(eq, self._classes, self._known))
            and all(
                all(map(is_, map(read, self._functions), kept))
                for read, kept in zip(_READ, self._parts, strict=True)
            )
        )


def _is(value: Any, kinds: type | tuple[type, ...]) -> bool:
    """As `isinstance`, but nothing of the value is asked: one that stands for another, such as flask's
    `request`, would look for that."""
    return issubclass(type(value), kinds)


def _is_kept(name: str, value: Any) -> bool:
    return callable(value) or _is(value, _CODE) or (name.isupper() and type(value) in _CONSTANTS)


def _function(value: Any) -> FunctionType | None:
    found = value
    if _is(value, property):
        found = value.fget
    elif _is(value, (staticmethod, classmethod)):
        found = value.__func__
    return found if type(found) is FunctionType and isinstance(found.__module__, str) else None


def _own() -> Iterator[tuple[str, Any]]:
    """magdr's modules and the classes that they define, each with what it is called."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and name.split(".", 1)[0] in _PACKAGES:
            said = f"code of {name}"
            yield said, module
            yield from ((said, one) for one in _classes(module) if one.__module__ == name)


def _of_libraries() -> Iterator[tuple[str, Any]]:
    for name in _LIBRARIES:
        module = import_module(name)  # numpy loads some of its parts when they are asked for
        yield f"functions of {name}", module
    yield "methods of torch.Tensor", Tensor
    yield from (("layers of torch.nn", one) for one in _classes(nn))


def _classes(module: ModuleType) -> list[type]:
    return [one for one in vars(module).values() if _is(one, type)]
