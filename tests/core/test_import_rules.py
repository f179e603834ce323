"""Who may import whom: core never a plugin, plugins only the public door, and one direction inside core."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A module imports only from lines above its own (and from its own package).
ORDER = """
_version _moved printable short_repr functional
errors
isolation files
components media
guards hosting magdr
adaptive api registry
measures runtime
inference results
calibration
toolkit
forensics
bench train
evaluation export testing
compare
report
adapt leaderboard to_onnx web
cli
builtin
__main__
"""
RANK = {name: i for i, line in enumerate(ORDER.strip().splitlines()) for name in line.split()}

PURE = {
    "functional": set(),
    "printable": set(),
    "short_repr": set(),
    "errors": {"printable"},
    "files": {"errors"},
    "magdr": {"functional", "components", "errors", "short_repr"},
}


SHARED = "networks"
"""The folder of what components of several kinds are made of: each may import it, and it imports none."""


@cache
def sources():
    """Module name to file."""
    found = {}
    for folder, package in (("magdr_core", "magdr_core"), ("plugins", "magdr_plugins")):
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = [package, *file.relative_to(ROOT / folder).with_suffix("").parts]
            found[".".join(parts).removesuffix(".__init__")] = file
    return found


@cache
def imports(module):
    """Every module that `module` imports anywhere in its text, relative ones resolved."""
    file = sources()[module]
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
            # `from package import module` means the module.
            found |= {
                f"{base}.{alias.name}" if f"{base}.{alias.name}" in sources() else base
                for alias in node.names
            }
    return found


def part(module):
    """`magdr_core.bench.run` -> `bench`."""
    return module.split(".")[1] if "." in module else ""


CORE = [m for m in sources() if m.startswith("magdr_core.")]
PLUGINS = [m for m in sources() if m.startswith("magdr_plugins.")]


def test_imports_the_reader_sees_them():
    assert "magdr_core.functional" in imports("magdr_plugins.augmentations.geometric")
    assert "magdr_plugins.datasets.faces" in imports("magdr_plugins.datasets.procedural_faces")
    assert len(CORE) > 30
    assert len(PLUGINS) > 20


@pytest.mark.parametrize("module", ["magdr_core", *CORE])
def test_imports_core_never_imports_plugins(module):
    assert not [name for name in imports(module) if name.split(".")[0] == "magdr_plugins"]


@pytest.mark.parametrize("module", CORE)
def test_imports_inside_core_go_one_way(module):
    own = part(module)
    assert own in RANK, f"{module} has no place in ORDER of this test"
    wrong = [
        name
        for name in imports(module)
        if name.startswith("magdr_core.") and part(name) != own and RANK[part(name)] >= RANK[own]
    ]
    assert not wrong


@pytest.mark.parametrize("module", [m for m in CORE if part(m) in PURE])
def test_imports_pure_parts_stay_pure(module):
    used = {part(name) for name in imports(module) if name.startswith("magdr_core.")}
    assert used - {part(module)} <= PURE[part(module)]


@pytest.mark.parametrize("module", PLUGINS)
def test_imports_plugins_use_the_public_door(module):
    kind = ".".join(module.split(".")[:2])
    for name in imports(module):
        if name.split(".")[0] == "magdr_core":
            assert name in ("magdr_core.api", "magdr_core.functional")
        if name.split(".")[0] in ("magdr_plugins", "plugins") and part(name) != SHARED:
            assert f"{name}.".startswith(f"{kind}."), "kinds never import each other"


ROLES_AND_SCENARIOS = {
    *("attack", "detector", "defense", "oracle", "identity"),
    *("clean", "transfer", "sweep", "noise", "benign", "adaptive"),
}


def texts(module):
    """Every text in a module's code that is no docstring."""
    tree = ast.parse(sources()[module].read_text(encoding="utf-8"))
    told = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    }


WALKS = [m for m in CORE if m.rpartition(".")[0] in ("magdr_core.bench", "magdr_core.bench.executors")]
WALKS += ["magdr_core.bench.checks.suite", "magdr_core.results.rows", "magdr_core.results.measured"]


def test_texts_of_a_module_are_seen():
    assert "adaptive" in texts("magdr_core.bench.scenarios.adaptive")
    assert {"magdr_core.bench.group", "magdr_core.bench.plan", "magdr_core.bench.executors.worker"} <= {
        *WALKS
    }


@pytest.mark.parametrize("module", WALKS)
def test_the_benchmark_walks_over_roles_and_scenarios_and_asks_for_none(module):
    assert not texts(module) & ROLES_AND_SCENARIOS


@pytest.mark.parametrize("module", sources())
def test_imports_no_torchvision(module):
    assert not [name for name in imports(module) if name.split(".")[0] == "torchvision"]


def circles(arrows):
    """The sets of modules that import each other in a loop (Tarjan's strongly connected components)."""
    number, lowest, stack, found = {}, {}, [], []

    def visit(module):
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for other in arrows[module]:
            if other not in number:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], number[other])
        if lowest[module] == number[module]:
            place = stack.index(module)
            if len(stack) - place > 1 or module in arrows[module]:
                found.append(sorted(stack[place:]))
            del stack[place:]

    for module in arrows:
        if module not in number:
            visit(module)
    return found


def test_a_circle_is_seen():
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}, "e": set()}
    assert circles(arrows) == [["b", "c"], ["d"]]


def test_imports_make_no_circle_inside_rooms_either():
    arrows = {m: {name for name in imports(m) if name in sources()} for m in sources()}
    assert circles(arrows) == []


@pytest.mark.parametrize("module", CORE)
def test_imports_nobody_takes_the_package_s_face(module):
    assert "magdr_core" not in imports(module), "say where it stands: magdr_core._version, magdr_core.toolkit"


def public_classes(module):
    tree = ast.parse(sources()[module].read_text(encoding="utf-8"))
    return [n.name for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]


def test_names_no_two_public_classes_of_core_have_one():
    homes = {}
    for module in CORE:
        for name in public_classes(module):
            homes.setdefault(name, []).append(module)
    assert "Toolkit" in homes
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_imports_api_exports_what_it_says():
    import magdr_core.api as api

    assert sorted(api.__all__) == sorted(set(api.__all__))
    assert [name for name in api.__all__ if not hasattr(api, name)] == []
