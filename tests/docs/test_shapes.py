"""Every public function of core that takes or gives a tensor says which shapes."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "magdr_core"

SHAPE = re.compile(
    r"\[\]|\[(?:\.\.\.|[A-Z]\w?|[a-z]\b|\d+|count|size|rows)(?:[*+/ -][\w*+/ -]*)?(?:,[^\]`]*)?\]"
)
RANGE = re.compile(r"\[-?\d+, ?\d+\]")

BY_CLASS = {"__call__", "__init__", "__new__", "forward"}
"""Methods whose shapes may stand in the docstring of their class."""


def says_a_shape(text):
    told = RANGE.sub("", text or "")
    return bool(SHAPE.search(told)) or "any shape" in told.lower()


def takes_or_gives_tensors(function):
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [one for one in (arguments.vararg, arguments.kwarg) if one]
    annotations = [*(one.annotation for one in every), function.returns]
    return any(
        isinstance(node, ast.Name) and node.id == "Tensor"
        for annotation in annotations
        if annotation is not None
        for node in ast.walk(annotation)
    )


@cache
def parsed(file):
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def classes():
    """Classes of core by name."""
    return {
        node.name: node
        for file in CORE.rglob("*.py")
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.ClassDef)
    }


def inherited(owner, method):
    """Whether a class of core that this one is made from says the shapes of the method."""
    for base in owner.bases:
        name = ast.unparse(base).partition("[")[0].rpartition(".")[2]
        above = classes().get(name)
        if above is None or above is owner:
            continue
        own = [n for n in above.body if isinstance(n, ast.FunctionDef) and n.name == method]
        if any(says_a_shape(ast.get_docstring(n)) for n in own) or inherited(above, method):
            return True
    return False


def public(tree, owner=None):
    """(function, the class that it is a method of) of everything without an underscore."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node, node)
        if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name in BY_CLASS):
            yield node, owner


def silent(tree):
    """Names of public functions with tensors and without a shape."""
    for function, owner in public(tree):
        if not takes_or_gives_tensors(function) or says_a_shape(ast.get_docstring(function)):
            continue
        if owner is not None and (
            (function.name in BY_CLASS and says_a_shape(ast.get_docstring(owner)))
            or inherited(owner, function.name)
        ):
            continue
        yield f"{owner.name}.{function.name}" if owner else function.name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`[B,3,H,W]` in [0,1]", True),
        ("[B] scores", True),
        ("`[...]`, of any shape", True),
        ("`[3,S,S]`", True),
        ("`[n]`", True),
        ("`[k*n,3,S,S]`", True),
        ("`[]`", True),
        ("tensors of any shape", True),
        ("in [0,1] or [-1, 1]", False),
        ("a `[dataset.LABEL]` table", False),
        ("`[calibration]`", False),
        ("", False),
    ],
)
def test_a_shape_is_told_from_a_range_and_a_table(text, expected):
    assert says_a_shape(text) is expected


def test_what_says_nothing_is_found():
    tree = ast.parse(
        "def a(x: Tensor): ...\n"
        "def b(x: Tensor):\n    '''`[B]`.'''\n"
        "def _c(x: Tensor): ...\n"
        "def d(x: int) -> dict[str, Tensor] | None: ...\n"
        "class K:\n    '''`[B]`.'''\n"
        "    def __call__(self, x: Tensor): ...\n"
        "    def f(self, x: Tensor): ...\n"
    )
    assert list(silent(tree)) == ["a", "d", "K.f"]


@pytest.mark.parametrize(
    "file",
    sorted(CORE.rglob("*.py")),
    ids=lambda f: str(f.relative_to(CORE).with_suffix("")),
)
def test_public_functions_with_tensors_say_their_shapes(file):
    assert not list(silent(parsed(file)))
