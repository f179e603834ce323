"""The scripts of benchmarks and benchmarks/speed, as their commands find them."""

import contextlib
import io
import runpy
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
FOLDER = SCRIPTS / "speed"
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


@pytest.fixture
def printed(monkeypatch):
    """`printed("tables", path, ...)`: what a script prints that is run with these arguments, in this process:
    one of its own would import torch."""

    def run(script, *arguments):
        path, there = SCRIPTS / f"{script}.py", set(sys.modules)
        said = io.StringIO()
        with monkeypatch.context() as patch, contextlib.redirect_stdout(said):
            patch.setattr(sys, "argv", [str(path), *map(str, arguments)])
            patch.syspath_prepend(SCRIPTS)
            try:
                runpy.run_path(str(path), run_name="__main__")
            finally:
                for name in set(sys.modules) - there:
                    if Path(str(getattr(sys.modules[name], "__file__", ""))).parent == SCRIPTS:
                        del sys.modules[name]
        return said.getvalue()

    return run
