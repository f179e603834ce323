"""What generators make, pasted where they were asked to change something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from magdr_core.api import ForgerySpec, Need, hookimpl

from ._generated import Generated

MAGDR_API = 1

NEEDS: Mapping[str, Need] = {"generator": Need("generator")}


def editing(*, generator: Any, feather: float = 1.0) -> Generated:
    """One attribute edited: the edited parts of a generator's output, and what else plainly changed.

    Args:
        generator: generator that makes the editing.
        feather: standard deviation of the soft borders, in pixels of a picture of 64.
    """
    return Generated(generator, feather=feather, visible=True)


def reenactment(*, generator: Any, feather: float = 1.0) -> Generated:
    """Another expression: the moved parts of a generator's output.

    Args:
        generator: generator that makes the reenactment.
        feather: standard deviation of the soft borders, in pixels of a picture of 64.
    """
    return Generated(generator, feather=feather)


def replacement(*, generator: Any, feather: float = 1.0) -> Generated:
    """Another person: the face of a generator's output.

    All faces become the generator's one person, so who is shown tells the class. Report it beside others.

    Args:
        generator: generator that makes the replacement.
        feather: standard deviation of the soft borders, in pixels of a picture of 64.
    """
    return Generated(generator, feather=feather)


def _spec(build: Callable[..., Generated]) -> ForgerySpec:
    return ForgerySpec(name=build.__name__, build=build, needs=NEEDS, group="generators")


@hookimpl
def magdr_forgeries() -> list[ForgerySpec]:
    return [_spec(editing), _spec(reenactment), _spec(replacement)]
