"""What a type checker is told of the library's front: no argument that may be anything."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints

import pytest

from magdr_core import Bench, MagDRModule, Photo, Pipeline, Toolkit, inference
from magdr_core.calibration import calibrate_on_pictures

FRONT = [Toolkit, Pipeline, MagDRModule, Bench, Photo, inference.Clip]
FUNCTIONS = [inference.generator_spec, calibrate_on_pictures]


def public(cls):
    """The class's own methods, `__init__` and `__call__` included."""
    for name, f in vars(cls).items():
        if inspect.isfunction(f := getattr(f, "__func__", f)) and (name[0] != "_" or name == "__call__"):
            yield inspect.unwrap(f)
    yield cls.__init__


def is_anything(hint):
    """Any, alone or as a choice; what a mapping of JSON holds is another matter."""
    return hint is Any or any(choice is Any for choice in get_args(hint) if "Union" in str(type(hint)))


@pytest.mark.parametrize(
    "f", [*(f for cls in FRONT for f in public(cls)), *FUNCTIONS], ids=lambda f: f.__qualname__
)
def test_no_argument_may_be_anything(f):
    hints = get_type_hints(f, include_extras=True)
    assert [name for name, hint in hints.items() if is_anything(hint)] == []
    assert set(inspect.signature(f).parameters) - {"self", "cls"} <= set(hints)
