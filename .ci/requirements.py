"""Prints the requirements of an extra, as pyproject.toml has them, one a line: to install them without magdr.

python .ci/requirements.py EXTRA > requirements.txt
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

if __name__ == "__main__":
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8"))
    print("\n".join(project["project"]["optional-dependencies"][sys.argv[1]]))
