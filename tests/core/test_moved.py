"""Module paths of 0.2 still lead to their modules, for one release."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from magdr_core._moved import MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_path_is_the_module_at_its_new_place(old):
    new = importlib.import_module(f"magdr_core.{MOVED[old]}")
    spec = new.__spec__
    sys.modules.pop(f"magdr_core.{old}", None)
    with pytest.warns(DeprecationWarning, match=f"magdr_core.{old} is called magdr_core.{MOVED[old]} now"):
        found = importlib.import_module(f"magdr_core.{old}")
    assert found is new
    assert found.__spec__ is spec
    assert found.__name__ == f"magdr_core.{MOVED[old]}"


def test_what_became_a_package_has_the_names_of_the_module():
    from magdr_core.files import write_atomically
    from magdr_core.registry import (
        Registry,
        default_registry,
        packaged_registry,
        parse_registry,
        read_registry,
    )

    assert all(
        (write_atomically, Registry, default_registry, packaged_registry, parse_registry, read_registry)
    )


def test_nothing_of_our_own_takes_an_old_path():
    code = "import magdr_core.cli.bench, magdr_core.cli.defend, magdr_core.testing.suite"
    done = subprocess.run(
        [sys.executable, "-W", "error:magdr_core.:DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
