"""docs/writing-a-plugin.md: its plugins hold to the suite, its registries work, its table is the rules'."""

from __future__ import annotations

import unittest
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from magdr_core.cli.plugins import command
from magdr_core.components.specs import SPECS
from magdr_core.hosting.core import core_kinds
from magdr_core.hosting.manager import PluginHost
from magdr_core.testing import conformance_checks
from magdr_core.testing.checks import EVERY_RULE
from magdr_core.testing.examples import EXAMPLES

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
