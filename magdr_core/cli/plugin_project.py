"""The project folder of a plugin package: what its pyproject.toml says."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magdr_core.errors import PluginError
from magdr_core.hosting.discovery import GROUP


@dataclass(frozen=True)
class PluginProject:
    """A project with one plugin.

    Attributes:
        folder: where pyproject.toml is.
        text: of pyproject.toml.
        data: the same, read.
        plugin: the name of its entry point, as registries say it.
        module: what that names: a module or a package.
    """

    folder: Path
    text: str
    data: dict[str, Any]
    plugin: str
    module: str

    @property
    def file(self) -> Path:
        return self.folder / "pyproject.toml"


def read_project(folder: Path) -> PluginProject:
    """Read a project folder.

    Raises:
        PluginError: the folder holds no pyproject.toml with exactly one entry point of the group `magdr`.
    """
    file = folder / "pyproject.toml"
    try:
        text = file.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise PluginError(
            f"{folder}: holds no pyproject.toml; name a plugin's file or project folder"
        ) from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise PluginError(f"{file}: cannot be read: {e}") from None
    points = data.get("project", {}).get("entry-points", {}).get(GROUP, {})
    if len(points) != 1:
        raise PluginError(
            f"{file}: has {len(points)} entry points in [project.entry-points.{GROUP}], needs one"
        )
    ((plugin, module),) = points.items()
    return PluginProject(folder, text, data, plugin, module)
