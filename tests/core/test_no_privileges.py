"""MagDR has no privileges: core asks what a component can do, and never whether it is MagDR."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "magdr_core"
CLASSES = {"MagDR", "MagDRDetector"}
CORE = sorted(file.relative_to(ROOT).as_posix() for file in ROOT.rglob("*.py") if file.parent.name != "magdr")


def names(node: ast.AST) -> set[str]:
    """The names of classes in an expression, however they are reached."""
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return found | {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}


def asked(text: str) -> list[int]:
    """Lines that ask whether something is a MagDR, by `isinstance`, by comparing types or by matching."""
    lines = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and names(node.func) & {"isinstance", "issubclass"}:
            asks = any(names(argument) & CLASSES for argument in node.args[1:])
        elif isinstance(node, ast.Compare):
            asks = any(names(side) & CLASSES for side in (node.left, *node.comparators))
        elif isinstance(node, ast.MatchClass):
            asks = bool(names(node.cls) & CLASSES)
        else:
            continue
        if asks:
            lines.append(node.lineno)
    return lines


def test_nobody_asks_whether_a_component_is_magdr():
    found = {file: asked((ROOT / file).read_text(encoding="utf-8")) for file in CORE}
    assert {file: lines for file, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "text",
    [
        "isinstance(x, MagDR)",
        "isinstance(x, (Other, magdr_core.magdr.MagDRDetector))",
        "type(x) is MagDR",
        "match x:\n    case MagDR(): pass",
    ],
)
def test_every_way_to_ask_is_seen(text):
    assert asked(text)


def test_the_rule_looks_at_all_of_core():
    assert {"toolkit.py", "adaptive/victim.py", "guards/choosing.py"} <= set(CORE)
    assert not any(file.startswith("magdr/") for file in CORE)
