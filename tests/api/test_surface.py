"""The first use: a light import, documented examples that run."""

import doctest
import importlib
import subprocess
import sys

import pytest

DOCUMENTED = (
    "magdr_core",
    "magdr_core.toolkit",
    "magdr_core.inference.pipeline",
    "magdr_core.inference.module",
)


def test_importing_the_package_does_not_import_torch():
    code = "import sys, magdr_core; dir(magdr_core); sys.exit(bool({'torch', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_every_public_name_is_there():
    import magdr_core

    for name in magdr_core.__all__:
        assert getattr(magdr_core, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Tolkit'"):
        _ = magdr_core.Tolkit


@pytest.mark.parametrize("module", DOCUMENTED)
def test_documented_examples_run(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted
    assert not found.failed
