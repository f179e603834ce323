"""MagDR has no privileges: core asks what a component can do, and never whether it is MagDR."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from magdr_core.errors import RegistryError
from magdr_core.toolkit import Toolkit
from tests.edits import edited

ROOT = Path(__file__).parents[2] / "magdr_core"
CLASSES = {"MagDR", "MagDRDetector"}
CORE = sorted(file.relative_to(ROOT).as_posix() for file in ROOT.rglob("*.py") if file.parent.name != "magdr")


def names(node: ast.AST) -> set[str]:
    """The names of classes in an expression, however they are reached."""
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return found | {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}


def asked(text: str) -> list[int]:
    """Lines that ask whether something is a MagDR: by `isinstance`, comparing types or names, or matching."""
    lines = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and names(node.func) & {"isinstance", "issubclass"}:
            asks = any(names(argument) & CLASSES for argument in node.args[1:])
        elif isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            named = any(isinstance(side, ast.Constant) and side.value == "magdr" for side in sides)
            asks = any(names(side) & CLASSES for side in sides) or (
                named and any("use" in names(side) for side in sides)
            )
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
        'instance.use == "magdr"',
        "match x:\n    case MagDR(): pass",
    ],
)
def test_every_way_to_ask_is_seen(text):
    assert asked(text)


def test_the_rule_looks_at_all_of_core():
    assert {"toolkit.py", "adaptive/victim.py", "guards/choosing.py"} <= set(CORE)
    assert not any(file.startswith("magdr/") for file in CORE)


OWN = '''
from magdr_core.api import DefenseSpec, hookimpl

MAGDR_API = 1

def gate(*, bound: float = 0.5):
    """Leaves what is below a bound."""
    return lambda x, c, G: x.clamp(max=bound)

@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="gate", build=gate, composed=COMPOSED)]
'''


@pytest.mark.parametrize("composed", [True, False])
def test_any_component_that_says_so_has_its_defaults_in_the_table_of_magdr(tmp_path, composed):
    (tmp_path / "own.py").write_text(edited(OWN, ("COMPOSED", str(composed))))
    text = '[plugins]\nlocal = { own = "./own.py" }\n[magdr]\nbound = 0.25\n[defense.g]\nuse = "own/gate"\n'
    (tmp_path / "own.toml").write_text(text)
    toolkit = Toolkit.from_registry(tmp_path / "own.toml", device="cpu")
    resolved = toolkit.resolve("defense", "g")
    assert resolved.params["bound"] == (0.25 if composed else 0.5)


def test_a_key_that_no_such_component_knows_is_refused(tmp_path):
    (tmp_path / "own.py").write_text(edited(OWN, ("COMPOSED", "True")))
    text = '[plugins]\nlocal = { own = "./own.py" }\n[magdr]\nbond = 0.25\n[defense.g]\nuse = "own/gate"\n'
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(RegistryError, match="no key 'bond'; did you mean 'bound'"):
        Toolkit.from_registry(tmp_path / "own.toml", device="cpu").resolve("defense", "g")
