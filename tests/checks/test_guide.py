"""The defense author's guide: its code runs, and it names every check."""

import re
from pathlib import Path

from magdr_core.bench.checks.planted import magdr_defenses, magdr_detectors
from magdr_core.registry.read import parse_registry

GUIDE = (Path(__file__).parents[2] / "docs" / "defense-authors-guide.md").read_text(encoding="utf-8")


def test_guide_code_runs():
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "guide", "exec"), {})


def test_guide_registry_is_valid(tmp_path):
    (block,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.S)
    assert parse_registry(block, tmp_path / "g.toml").profile("mine").checked.draws == 4


def test_guide_names_the_planted_components():
    for spec in [*magdr_defenses(), *magdr_detectors()]:
        assert f'"planted/{spec.name}"' in GUIDE
