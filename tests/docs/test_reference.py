"""The reference pages say what the code says: hooks, specs, keys, columns, metrics, files."""

import dataclasses
import importlib.util
import inspect
import re
import sys
from pathlib import Path

import pytest

from magdr_core.components.kind import Kind
from magdr_core.components.recipe import Recipe
from magdr_core.components.specs import SPECS, ComponentSpec, Need
from magdr_core.components.trial import Rule, Trial
from magdr_core.hosting import hookspecs
from magdr_core.hosting.core import core_kinds
from magdr_core.hosting.manager import BUILTIN, PluginHost
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.results.columns import COLUMNS

DOCS = Path(__file__).parents[2] / "docs"
HOOKS = (DOCS / "hooks.md").read_text(encoding="utf-8")
RESULTS = (DOCS / "results.md").read_text(encoding="utf-8")


def section(text, title):
    """What stands below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, title
    return found[1]


def first_cells(text):
    """The names in back quotes in the first cell of every row of a section's table."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    return [name for cell in rows for name in re.findall(r"`([^`]+)`", cell)]


def hooks():
    fixed = {
        name: list(inspect.signature(f).parameters)
        for name, f in vars(hookspecs).items()
        if name.startswith("magdr_") and callable(f)
    }
    return {kind.hook: [] for kind in core_kinds().values()} | fixed


SECTIONS = ("Component hooks", "Hooks that add to magdr itself", "Event hooks")


def test_every_hook_is_documented_with_its_arguments():
    documented = [name for title in SECTIONS for name in first_cells(section(HOOKS, title))]
    assert documented == [f"{name}({', '.join(args)})" for name, args in hooks().items()]


def test_component_hooks_name_their_specs():
    rows = [r for r in section(HOOKS, "Component hooks").splitlines() if r.startswith("| `magdr_")]
    named = {r.split("`")[1].removesuffix("()"): r.split("`")[3] for r in rows}
    assert named == {kind.hook: kind.spec.__name__ for kind in core_kinds().values()}


@pytest.mark.parametrize("value", [Kind, Trial, Rule, Recipe], ids=lambda s: s.__name__)
def test_every_field_of_a_kind_is_documented(value):
    fields = [f.name for f in dataclasses.fields(value)]
    assert first_cells(section(HOOKS, value.__name__)) == fields


@pytest.mark.parametrize("spec", [ComponentSpec, Need, *SPECS.values()], ids=lambda s: s.__name__)
def test_every_field_of_a_spec_is_documented(spec):
    fields = [f.name for f in dataclasses.fields(spec)]
    if spec not in (ComponentSpec, Need):
        common = {f.name for f in dataclasses.fields(ComponentSpec)}
        fields = [name for name in fields if name not in common]
    assert first_cells(section(HOOKS, spec.__name__)) == fields


def test_the_registry_reference_is_up_to_date():
    place = DOCS / "make_registry_reference.py"
    spec = importlib.util.spec_from_file_location("make_registry_reference", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        page = module.reference()
    finally:
        del sys.modules[spec.name]
    written = (DOCS / "registry.md").read_text(encoding="utf-8")
    assert written == page, "run: python docs/make_registry_reference.py"


@pytest.fixture(scope="module")
def builtin():
    host = PluginHost()
    host.load(BUILTIN)
    return [e for kind in core_kinds() for e in host.entries(kind) if e.origin.namespace == BUILTIN]


def test_every_parameter_of_every_component_has_a_meaning(builtin):
    parameters = [(e, n) for e in builtin for n in (*e.spec.schema.model_fields, *e.spec.needs)]
    assert len(parameters) > 300
    assert [f"{e.kind} {e.name}: {n}" for e, n in parameters if not e.spec.meanings.get(n)] == []


UNIT = re.compile(
    r"pixel|multiplied by|\[0,1\]|\[-1,1\]|255|ratio|share|degrees|magnification|colourfulness|spread", re.I
)
"""Units in which built-in components measure."""

MEASURES = {
    *("eps", "step", "sigma", "sigma_color", "sigma_space", "size", "kernel", "radius", "degrees", "feather"),
    *("strength", "patch", "search", "nlm_search", "nlm_patch", "nlm_strengths", "window", "scale", "kappa"),
    *("factor", "threshold", "working_size", "canvas", "smallest", "fill", "tau", "dx", "dy", "block"),
}
"""Names of parameters that have a unit."""


def test_a_parameter_with_a_unit_says_which(builtin):
    told = [
        (e, n, e.spec.meanings.get(n, ""))
        for e in builtin
        for n in e.spec.schema.model_fields
        if n in MEASURES
    ]
    assert len(told) > 100
    assert [f"{e.kind} {e.name}: {n}: {text}" for e, n, text in told if not UNIT.search(text)] == []


def test_a_meaning_is_a_sentence_and_names_no_place_in_the_code(builtin):
    told = {f"{e.kind} {e.name}: {n}": m for e in builtin for n, m in e.spec.meanings.items()}
    broken = ("  ", "\n", ":class:", ":func:", ":data:", ":meth:")
    assert {k: m for k, m in told.items() if len(m.split()) < 2 or any(b in m for b in broken)} == {}
    assert {k: m for k, m in told.items() if m.startswith(("Of ", "As of ", "See "))} == {}


def test_the_registry_reference_shows_no_backslash_inside_backticks():
    lines = (DOCS / "registry.md").read_text(encoding="utf-8").splitlines()
    prose = [line for line in lines if not line.startswith("|")]  # in a table `\\|` is how to write `|`
    assert [line for line in prose if any("\\" in code for code in line.split("`")[1::2])] == []


def test_every_column_of_the_results_is_documented():
    assert tuple(first_cells(section(RESULTS, "results.csv"))) == COLUMNS


METRICS = {
    "attack": "Of attacks (`role = attack`)",
    "detector": "Of detectors (`role = detector`)",
    "defense": "Of defenses (`role = defense`)",
}
BOTH = "Of detectors and defenses"


def units(text):
    """Units by the names in back quotes of a table."""
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    return {name: unit.strip() for names, unit in rows for name in re.findall(r"`([^`]+)`", names)}


@pytest.mark.parametrize("role", METRICS)
def test_every_figure_is_documented_with_its_unit(role):
    documented = units(section(RESULTS, METRICS[role]))
    if role != "attack":
        documented |= units(section(RESULTS, BOTH))
    figures = {f.name: f.unit for f in DEFINITIONS.of(role) if not f.name.startswith("median_")}
    assert documented == figures


@pytest.mark.parametrize("role", METRICS)
def test_every_metric_of_a_run_is_documented(shop, role):
    there = {row["metric"].removeprefix("median_") for row in shop.first.rows if row["role"] == role}
    documented = units(section(RESULTS, METRICS[role])) | units(section(RESULTS, BOTH))
    assert there
    assert there <= set(documented)


def test_the_columns_of_a_run_are_those(shop):
    header = (shop.folder / "run" / "results.csv").read_text().splitlines()[0]
    assert tuple(header.split(",")) == COLUMNS


def test_every_file_of_a_run_is_documented(shop):
    there = {p.name for p in (shop.folder / "run").iterdir()}
    documented = set(first_cells(section(RESULTS, "The run folder")))
    assert there <= documented
    assert documented - there <= {"report.html"}  # an observer of the command line writes it
    kinds = {f"{p.name}/" for p in (shop.folder / "cache").iterdir()}
    assert kinds <= set(first_cells(section(RESULTS, "The store")))
