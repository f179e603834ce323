"""magdr plugins new: a package with one working component, its test and its README."""

from __future__ import annotations

import importlib.util
import json
import keyword
import re
import sys
from importlib.metadata import version
from pathlib import Path

from magdr_core.components.kind import Kind
from magdr_core.errors import MagdrError
from magdr_core.hosting.manager import PluginHost

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

PYPROJECT = """\
[build-system]
requires = ["setuptools>=69"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
description = "A {kind} for magdr"
readme = "README.md"
requires-python = ">=3.11"
dependencies = {dependencies}

[project.optional-dependencies]
test = ["pytest>=8"]

[project.entry-points.magdr]
{name} = "{module}"

[tool.setuptools]
py-modules = ["{module}"]
"""

TEST = """\
import pytest
from magdr_core.testing import conformance_checks


@pytest.mark.parametrize("check", conformance_checks("{name}"), ids=str)
def test_conformance(check):
    check()
"""

README = """\
# {name}

A {kind} for magdr, `{name}/{component}`.

```
pip install -e ".[test]"
magdr plugins list --kind {kind}
magdr plugins check {name}
pytest
```

In a registry:

```toml
[{kind}.mine]
use = "{name}/{component}"
```
"""


def write_package(name: str, kind: Kind, folder: Path, brought_by: str = "") -> tuple[Path, str]:
    """Write a package into `folder/name`.

    Args:
        brought_by: the distribution that brings the kind; empty of core's.

    Returns:
        (the new folder, the component's name as a registry says it).

    Raises:
        MagdrError: a bad or taken name, a kind without an example, or the folder is there already; nothing
            is written.
    """
    if kind.example is None:
        raise MagdrError(f"the kind {kind.name!r} brings no example of a plugin")
    module = checked_name(name)
    place = folder / name
    if place.exists() or place.is_symlink():
        raise MagdrError(f"{place} exists already")
    code = kind.example()
    found = re.search(r'Spec\(name="([^"]+)"', code)
    if found is None:
        raise MagdrError(f'the example of the kind {kind.name!r} has no Spec(name="...")')
    about = {"name": name, "module": module, "kind": kind.name, "component": found[1]}
    needed = [f"magdr>={version('magdr')}", *([brought_by] if brought_by else [])]
    about["dependencies"] = json.dumps(needed)
    files = {
        "pyproject.toml": PYPROJECT.format(**about),
        "README.md": README.format(**about),
        f"{module}.py": code,
        "tests/test_conformance.py": TEST.format(**about),
    }
    try:
        for file, text in files.items():
            path = place / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as e:
        raise MagdrError(f"{place} cannot be written: {e.strerror or e}") from None
    return place, f"{name}/{found[1]}"


def checked_name(name: str) -> str:
    """The module's name for a plugin's.

    Raises:
        MagdrError: it cannot be one, or something else has it.
    """
    if not _NAME.fullmatch(name):
        raise MagdrError(f"name {name!r}: use lower-case letters, digits and single hyphens, a letter first")
    module = name.replace("-", "_")
    if name in PluginHost().available():
        raise MagdrError(f"a plugin {name!r} is installed already; choose another name")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or importlib.util.find_spec(module):
        raise MagdrError(f"name {name!r}: Python has a module {module!r} already; choose another name")
    return module
