"""docs/writing-a-plugin.md: its plugins hold to the suite, its registries work, its table is the rules'."""

from __future__ import annotations

import json
import re
import unittest
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from magdr_core.api import Condition, FitData, Samples
from magdr_core.cli.plugins import command
from magdr_core.components.specs import SPECS
from magdr_core.functional import gaussian_blur
from magdr_core.hosting.core import core_kinds
from magdr_core.hosting.manager import PluginHost
from magdr_core.testing import conformance_checks
from magdr_core.testing.checks import EVERY_RULE
from magdr_core.testing.examples import EXAMPLES
from magdr_core.testing.learning_examples import LEARNING_EXAMPLES

DOC = (Path(__file__).parents[2] / "docs" / "writing-a-plugin.md").read_text(encoding="utf-8")
BLOCKS = DOC.split("```")[1::2]


def blocks(language: str) -> list[str]:
    return [b.removeprefix(f"{language}\n") for b in BLOCKS if b.startswith(f"{language}\n")]


PLUGINS = {
    name: next(b for b in blocks("python") if f"def {kind.hook}(" in b) for name, kind in core_kinds().items()
}


@pytest.mark.parametrize("kind", SPECS)
def test_doc_example_is_what_the_command_writes_and_is_short(kind):
    assert PLUGINS[kind] == EXAMPLES[kind], "and those pass: tests/cli/test_plugins_new.py"
    lines = [line for line in PLUGINS[kind].splitlines() if line.strip()]
    assert len(lines) <= (40 if kind == "dataset" else 32)
    heading = DOC.partition("## The kinds")[2].partition(f": `{kind}`, `")
    assert heading[2]


def test_doc_detector_that_learns_is_what_the_command_writes():
    (text,) = (b for b in blocks("python") if "def fit(" in b and "def magdr_detectors" in b)
    assert text == LEARNING_EXAMPLES["detector"], "and that passes: tests/cli/test_plugins_new_into.py"


def test_doc_detector_that_learns_is_fitted_and_compared(tmp_path):
    """Blurred pictures are then less like clean ones than clean ones are."""
    (text,) = (b for b in blocks("python") if "def fit(" in b and "def magdr_detectors" in b)
    (tmp_path / "acme.py").write_text(text)
    detector = (
        PluginHost(local={"acme": "acme.py"}, base=tmp_path).find("detector", "acme/unusual").spec.build()
    )
    x = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    c = Condition(torch.ones(24, 1), torch.ones(24, 1, dtype=torch.bool))
    state = detector.fit(FitData(Samples(x[:16], c[:16], tuple(map(str, range(16)))), {}), None)
    detector.load(json.loads(json.dumps(state)))
    lost = (x - gaussian_blur(x, 0.5)).square().mean((1, 2, 3)).add(1e-6).log()[:16]
    assert state["mean"][0] == pytest.approx(float(lost.mean()), rel=1e-5)
    assert state["spread"][0] == pytest.approx(float(lost.std()) + 1e-3, rel=1e-4)
    clean, blurred = detector(x[16:], c[16:], None), detector(gaussian_blur(x[16:], 1.0), c[16:], None)
    assert clean.max() < 5 < blurred.min()


def test_doc_names_what_data_holds():
    """The table of `data` has the fields of FitData that are offered to detectors."""
    section = DOC.partition("### A detector that learns")[2].partition("### A defense")[0]
    named = set(re.findall(r"^\| `(\w+)", section, re.M))
    assert named == {f.name for f in fields(FitData)} - {"held_out", "objective", "on"}


def test_doc_registry_uses_the_first_plugin(tmp_path, toolkit_from):
    (tmp_path / "acme_median.py").write_text(PLUGINS["restoration"])
    (text,) = blocks("toml")
    kit = toolkit_from(text)
    x = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    assert kit.build("restoration", "mine")(x).shape == x.shape
    assert kit.resolve("restoration", "mine").params == {"radius": 2}


def test_doc_kind_of_ones_own_is_a_kind_and_its_component_is_judged(tmp_path):
    (text,) = (b for b in blocks("python") if "def magdr_kinds" in b)
    (tmp_path / "acme.py").write_text(text)
    host = PluginHost(local={"acme": "acme.py"}, base=tmp_path)
    host.load("acme")
    assert host.kinds["quality"].spec is type(host.find("quality", "acme/contrast").spec)
    checks = conformance_checks(tmp_path / "acme.py")
    assert {"output", "batch", "sizes", "crowd"} <= {check.rule for check in checks}
    for check in checks:
        check()


def test_doc_test_of_ones_own_runs(tmp_path, monkeypatch):
    (tmp_path / "acme_median.py").write_text(PLUGINS["restoration"])
    monkeypatch.chdir(tmp_path)
    (text,) = (b for b in blocks("python") if "conformance_checks" in b)
    made: dict = {}
    exec(compile(text, "doc", "exec"), made)
    (mark,) = made["test_conformance"].pytestmark
    assert mark.args[0] == "check"
    assert len(mark.args[1]) > 10
    for check in mark.args[1]:
        with suppress(unittest.SkipTest):
            made["test_conformance"](check)


def test_doc_table_is_the_rules():
    table = DOC.partition("## What is checked")[2]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert [[cell.strip() for cell in row.split("|")[1:3]] for row in rows] == [
        [rule.name, rule.promise] for rule in EVERY_RULE
    ]


def test_doc_commands_exist():
    lines = [line for b in BLOCKS if b.startswith("\n") for line in b.strip().splitlines()]
    said = [line.split()[2] for line in lines if line.startswith("magdr plugins ")]
    assert len(said) >= 4
    assert set(said) <= set(command.commands)


def test_doc_parameters_reach_the_component(tmp_path):
    (tmp_path / "acme.py").write_text(PLUGINS["dataset"])
    checks = conformance_checks(tmp_path / "acme.py", params={("dataset", "acme/discs"): {"size": 8}})
    with pytest.raises(AssertionError, match="size"):
        checks[0]()
