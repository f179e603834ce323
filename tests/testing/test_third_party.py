"""A plugin by somebody who has read docs/writing-a-plugin.md and nothing else; one with three mistakes."""

from __future__ import annotations

import csv
import unittest
from contextlib import suppress

import pytest

from magdr_core.cli import main
from magdr_core.testing import conformance_checks
from tests.edits import edited
from tests.testing.test_hostile_bench import REGISTRY

SOUND = '''
"""A little noise of the image's own, then few grey levels."""
from typing import Annotated
from magdr_core.api import DefenseSpec, Eps, Field, hookimpl, stateless
from magdr_core.functional import bit_depth, straight_through

MAGDR_API = 1

def dither(x, c, G, *, rng, noise: Eps = 2 / 255, bits: Annotated[int, Field(ge=2, le=7)] = 5):
    """Noise that breaks up what rounding would leave. [B,3,H,W] -> same."""
    grain = noise * rng.uniform(*x.shape[1:], low=-1.0, high=1.0).to(x)
    y = (x + grain).clamp(0, 1)
    return straight_through(bit_depth(y, bits), y)

@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="dither", build=stateless(dither), stochastic=True, gradient="straight-through")]
'''

MISTAKEN = '''
from magdr_core.api import DefenseSpec, hookimpl, stateless

MAGDR_API = 1

def stretch(x, c, G):
    """More contrast."""
    x.sub_(0.01)                        # in the caller's tensor
    darkest = x.min()                   # of all images
    return (x - darkest) * 1.6          # beyond white

@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="stretch", build=stateless(stretch))]
'''


def judged(path):
    for check in conformance_checks(path):
        with suppress(unittest.SkipTest):
            yield from check.findings()


def test_third_party_defense_of_under_25_lines_holds_and_stands_in_the_tables(tmp_path, monkeypatch, capsys):
    assert len(SOUND.strip().splitlines()) < 25
    (tmp_path / "acme_dither.py").write_text(SOUND)
    assert list(judged(tmp_path / "acme_dither.py")) == []
    own = '[plugins]\nlocal = { acme = "./acme_dither.py" }\n[defense.dither]\nuse = "acme/dither"\n'
    text = edited(REGISTRY, ('defenses = ["jpeg", "bad"]', 'defenses = ["jpeg", "dither"]'))
    (tmp_path / "mine.toml").write_text(edited(text, ("[defense.identity]", f"{own}[defense.identity]")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["magdr", "bench", "mine.toml", "--out", "run", "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, capsys.readouterr().out
    assert "dither" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "run" / "results.csv").open()))
    assert {row["attack"] for row in rows if row["component"] == "dither"} == {"none", "pgd", "noise"}
    assert "dither" in (tmp_path / "run" / "report.html").read_text()


def test_third_party_defense_with_three_mistakes_gets_those_three_findings(tmp_path):
    (tmp_path / "acme_stretch.py").write_text(MISTAKEN)
    found = {finding.rule: finding for finding in judged(tmp_path / "acme_stretch.py")}
    assert set(found) == {"inputs", "range", "batch"}
    assert len(list(judged(tmp_path / "acme_stretch.py"))) == 3
    assert found["inputs"].message.startswith("edits its images in place: ")
    assert "expected [0, 1]" in found["range"].message
    assert "alone and in a batch of 5" in found["batch"].message
    for finding in found.values():
        assert str(finding).startswith(f"acme_stretch.py: defense acme_stretch/stretch [{finding.rule}] ")
