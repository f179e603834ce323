"""magdr plugins new --into: one more component in a package that is there."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from magdr_core.cli.plugin_project import PluginProject, read_project
from magdr_core.components.kind import Kind
from magdr_core.errors import MagdrError
from magdr_core.files.disk import write_atomically

_SPEC_NAME = r'(Spec\(\s*name=")([^"]+)"'


@dataclass(frozen=True)
class Added:
    """What was written.

    Attributes:
        file: the new module.
        component: its component, as a registry says it.
        moved: (old, new) of a single module that has become a package; None if it was one.
        installed_anew: whether an editable installation has to be made again to see it.
    """

    file: Path
    component: str
    moved: tuple[Path, Path] | None
    installed_anew: bool


def add_component(name: str, kind: Kind, code: str, folder: Path) -> Added:
    """Write a module with one component into the package of a plugin project.

    It goes into the package's folder for that kind (`detectors/`). A package that is a single module becomes
    a folder whose `__init__.py` that module is: its components and their names stay.

    Args:
        name: of the new component: lower-case words joined by hyphens.
        code: of a module with one spec, whose name is replaced.
        folder: of the project, with a pyproject.toml that has one entry point of the group `magdr`.

    Raises:
        PluginError: no such project.
        MagdrError: its package is not there, has such a component or module already, or is listed in
            pyproject.toml in a way that cannot be extended; nothing is written.
    """
    project = read_project(folder)
    package, single = _package(project)
    place = package / kind.plural
    file = place / f"{name.replace('-', '_')}.py"
    if file.exists():
        raise MagdrError(f"{file} exists already")
    taken = _with_component(name, [single] if single else sorted(package.rglob("*.py")))
    if taken is not None:
        raise MagdrError(f"{taken}: has a component {name!r} already")
    listed = _listed(project, project.module, f"{project.module}.{kind.plural}", single is not None)
    moved = None if single is None else (single, package / "__init__.py")
    code = re.sub(_SPEC_NAME, rf'\g<1>{name}"', code, count=1)
    try:
        place.mkdir(parents=True, exist_ok=True)
        if moved is not None:
            moved[0].rename(moved[1])
        if not (place / "__init__.py").exists():
            (place / "__init__.py").write_text("", encoding="utf-8")
        file.write_text(code, encoding="utf-8")
    except OSError as e:
        raise MagdrError(f"{file} cannot be written: {e.strerror or e}") from None
    if listed != project.text:
        write_atomically(project.file, lambda partial: partial.write_text(listed, encoding="utf-8"))
    return Added(file, f"{project.plugin}/{name}", moved, listed != project.text)


def _package(project: PluginProject) -> tuple[Path, Path | None]:
    """(the package's folder, the module that is all of it; None if the folder is there)."""
    parts = project.module.partition(":")[0].split(".")
    for root in (project.folder, project.folder / "src"):
        package = root.joinpath(*parts)
        if (package / "__init__.py").is_file():
            return package, None
        if (single := package.with_suffix(".py")).is_file():
            if package.exists():
                raise MagdrError(f"{package} is there beside {single.name}; only one of them is imported")
            return package, single
    raise MagdrError(f"{project.file}: names the module {project.module!r}, which is not in {project.folder}")


def _with_component(name: str, files: Iterable[Path]) -> Path | None:
    """The file that has a spec of this name; None if there is none."""
    for file in files:
        found = re.findall(_SPEC_NAME, file.read_text(encoding="utf-8", errors="replace"))
        if name in {said for _, said in found}:
            return file
    return None


def _listed(project: PluginProject, package: str, added: str, was_single: bool) -> str:
    """The text of pyproject.toml with the new package in setuptools' lists, where it has such lists.

    Raises:
        MagdrError: a list that cannot be extended as text.
    """
    tool = project.data.get("tool", {}).get("setuptools", {})
    modules, packages = tool.get("py-modules"), tool.get("packages")
    if was_single:
        text = re.sub(
            r"^py-modules\s*=\s*\[[^\]]*\]",
            f"packages = {json.dumps([package, added])}",
            project.text,
            count=1,
            flags=re.M,
        )
        fits = modules == [package] and packages is None
        wanted = [package, added]
    elif not isinstance(packages, list) or added in packages:
        return project.text  # found by setuptools, or built by something else
    else:
        text = re.sub(r"^(packages\s*=\s*\[)", rf'\g<1>"{added}", ', project.text, count=1, flags=re.M)
        fits, wanted = True, [added, *packages]
    if fits and _packages(text) == wanted:
        return text
    package_first = f"make it a package {package}/ with that module as its __init__.py first"
    so = package_first if was_single else "add it there"
    raise MagdrError(f"{project.file}: {added!r} cannot be added to what [tool.setuptools] lists; {so}")


def _packages(text: str) -> object:
    try:
        return tomllib.loads(text).get("tool", {}).get("setuptools", {}).get("packages")
    except tomllib.TOMLDecodeError:
        return None
