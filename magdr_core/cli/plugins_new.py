"""magdr plugins new: a package with one working component, its test and its README."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import keyword
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
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


def code_of(kind: Kind, *, fit: bool = False) -> str:
    """The text of a small working module with a component of a kind.

    Args:
        fit: of one that learns from calibration data.

    Raises:
        MagdrError: the kind has no such example.
    """
    if fit and kind.learning_example is None:
        raise MagdrError(f"the kind {kind.name!r} brings no example of a component that learns")
    if kind.example is None:
        raise MagdrError(f"the kind {kind.name!r} brings no example of a plugin")
    code = kind.example() if not fit or kind.learning_example is None else kind.learning_example()
    if re.search(r'Spec\(name="([^"]+)"', code) is None:
        raise MagdrError(f'the example of the kind {kind.name!r} has no Spec(name="...")')
    return code


def write_package(name: str, kind: Kind, code: str, folder: Path, brought_by: str = "") -> tuple[Path, str]:
    """Write a package into `folder/name`.

    Args:
        code: of its module, with one `Spec(name="...")`.
        brought_by: the distribution that brings the kind; empty of core's.

    Returns:
        (the new folder, the component's name as a registry says it).

    Raises:
        MagdrError: a bad or taken name, or the folder is there already; nothing is written.
    """
    module = checked_name(name)
    place = folder / name
    if place.exists() or place.is_symlink():
        raise MagdrError(f"{place} exists already; --into {place} adds a component to a package")
    found = re.search(r'Spec\(name="([^"]+)"', code)
    assert found is not None, "code_of has looked"
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
    checked_word(name)
    module = name.replace("-", "_")
    if name in PluginHost().available():
        raise MagdrError(f"a plugin {name!r} is installed already; choose another name")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or importlib.util.find_spec(module):
        raise MagdrError(f"name {name!r}: Python has a module {module!r} already; choose another name")
    with contextlib.suppress(PackageNotFoundError):  # whose module may have another name: pillow's is PIL
        distribution(name)
        raise MagdrError(f"a package {name!r} is installed, which this would replace; choose another name")
    return module


def checked_word(name: str) -> str:
    """The name, which can be that of a plugin or component.

    Raises:
        MagdrError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise MagdrError(f"name {name!r}: use lower-case letters, digits and single hyphens, a letter first")
    return name
