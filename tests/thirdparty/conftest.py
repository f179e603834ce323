"""The package of a third party: on the path, and a registry that names it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from magdr_core.cli import main
from tests.bench.conftest import SMALL
from tests.edits import edited

PROJECT = Path(__file__).parent / "acme_quality"

PLUGIN = '[plugins]\nlocal = { acme = "acme_quality" }\n'
REGISTRY = (
    edited(
        SMALL,
        ('detectors = ["magdr", "distortion"]', "detectors = []"),
        ('defenses = ["magdr", "jpeg", "fixed-chain"]', 'defenses = ["jpeg"]'),
        ('ensemble = ["flip"]\n', ""),
        ('benign = ["jpeg"]\n', ""),
    )
    + 'qualities = ["sharp", "blocks"]\nblur = { sigmas = [1.0, 2.5] }\n'
    + PLUGIN
    + '[quality.sharp]\nuse = "acme/sharpness"\n[quality.blocks]\nuse = "acme/jpeg-quality"\n'
)


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def document(self):
        return json.loads(self.out)


@pytest.fixture(scope="session", autouse=True)
def _on_the_path():
    """For this process and for those that it starts."""
    before = os.environ.get("PYTHONPATH")
    sys.path.insert(0, str(PROJECT))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT), *([before] if before else [])])
    yield
    sys.path.remove(str(PROJECT))
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture
def magdr(monkeypatch, capsys, tmp_path) -> Callable[..., Done]:
    """`magdr("plugins", "list")` in `tmp_path`, where `registry.toml` names the package."""
    if not (tmp_path / "registry.toml").exists():
        (tmp_path / "registry.toml").write_text(REGISTRY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["magdr", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(ended.value.code, said.out, said.err)

    return run
