"""The class is the factory: no plugin's function does nothing but hand its parameters on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edits import edited

PLUGINS = Path(__file__).parents[2] / "plugins"

FORWARDER = """
class Blur:
    def __init__(self, radius, mode): ...

def blur(*, radius: int = 1, mode: str = "flat") -> Blur:
    \"\"\"Blurs.\"\"\"
    return Blur(radius, mode=mode)

def magdr_restorations():
    return [RestorationSpec(name="blur", build=blur)]
"""


def factories(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """The functions of a module that a spec names as `build`."""
    named = {
        keyword.value.id
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "build" and isinstance(keyword.value, ast.Name)
    }
    yield from (f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name in named)


def forwards(function: ast.FunctionDef) -> bool:
    """Whether all it does is `return Class(...)` of its own parameters, each as it is."""
    body = [s for s in function.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    if len(body) != 1 or not isinstance(body[0], ast.Return) or not isinstance(body[0].value, ast.Call):
        return False
    call = body[0].value
    own = {argument.arg for argument in function.args.kwonlyargs}
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return all(isinstance(value, ast.Name) and value.id in own for value in given)


@pytest.mark.parametrize("file", sorted(PLUGINS.rglob("*.py")), ids=lambda p: str(p.relative_to(PLUGINS)))
def test_no_factory_only_forwards_to_a_class(file):
    found = [f.name for f in factories(ast.parse(file.read_text(encoding="utf-8"))) if forwards(f)]
    assert not found, f"build = the class itself, with the signature of {found[0]}"


def test_a_forwarder_would_be_found():
    (function,) = factories(ast.parse(FORWARDER))
    assert forwards(function)
    working = ast.parse(edited(FORWARDER, ("Blur(radius, mode=mode)", "Blur(radius + 1, mode)")))
    assert not any(forwards(f) for f in factories(working))
