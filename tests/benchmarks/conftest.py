"""The scripts of benchmarks/speed, as its command finds them."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "speed"
NAMES = {file.stem for file in FOLDER.glob("*.py")}


@pytest.fixture
def speed(monkeypatch):
    """`speed("clock")`: one of its modules."""
    import importlib

    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module
    for name in NAMES & set(sys.modules):
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
