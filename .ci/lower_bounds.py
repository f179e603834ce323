"""Prints the oldest release of every dependency that pyproject.toml allows, one `name==version` a line.

python .ci/lower_bounds.py [EXTRA ...] > requirements.txt
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[(?P<extras>[\w, -]+)\])?\s*(?:>=\s*(?P<version>[\w.]+))?")


def lower_bounds(extras: Iterable[str] = ()) -> dict[str, str]:
    """Versions by name: of the dependencies, and of those of the extras.

    Raises:
        ValueError: a requirement is not of the form `name>=version`.
    """
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(r for extra in extras for r in optional[extra])]
    return dict(_bounds(wanted, project["name"], optional))


def _bounds(
    requirements: Iterable[str], own: str, optional: dict[str, list[str]]
) -> Iterator[tuple[str, str]]:
    for requirement in requirements:
        found = _REQUIREMENT.fullmatch(requirement)
        if found is not None and found["name"] == own and found["extras"]:
            for extra in found["extras"].split(","):
                yield from _bounds(optional[extra.strip()], own, optional)
        elif found is not None and found["version"] and not found["extras"]:
            yield found["name"], found["version"]
        else:
            raise ValueError(f"{PYPROJECT.name}: {requirement!r} is not of the form name>=version")


if __name__ == "__main__":
    for name, version in lower_bounds(sys.argv[1:]).items():
        print(f"{name}=={version}")
