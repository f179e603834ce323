"""Something written in Python that a registry names: found before a run starts, loaded when it is built."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magdr_core.errors import DataError, MagdrError, RegistryError, brief, one_line
from magdr_core.files.python_files import file_of_module, import_file
from magdr_core.files.user_files import open_regular, user_path

LARGEST = 2**24
"""Bytes of a Python file."""


@dataclass(frozen=True)
class NamedFactory:
    """A class or function by where it is.

    Attributes:
        text: as the registry has it.
        name: in its module; `Outer.inner` for something inside a class.
        module: dotted name; empty of a file.
        file: that it is in.
        sha256: of that file.
    """

    text: str
    name: str
    module: str
    file: Path
    sha256: str

    @property
    def identity(self) -> str:
        """What results depend on: the name, and the text of the file wherever it lies."""
        return f"{self.name}@{self.sha256}"

    def load(self) -> Any:
        """The class or function itself; its file is imported, which runs it.

        Raises:
            MagdrError: the file fails, or has nothing callable of that name.
        """
        try:
            if self.module:
                found: Any = importlib.import_module(self.module)
            else:
                place = hashlib.sha256(str(self.file.resolve()).encode()).hexdigest()[:8]
                found = import_file(f"magdr_factory_{place}_{self.sha256[:8]}", self.file)
        except Exception as e:
            raise MagdrError(f"{brief(self.text)} cannot be imported: {one_line(e)}") from e
        for part in self.name.split("."):
            found = getattr(found, part, None)
        if not callable(found):
            raise MagdrError(f"{brief(self.text)}: there is no class or function of that name")
        return found


def find_factory(text: str, base: Path, what: str = "factory") -> NamedFactory:
    """`package.module:NAME` or `path/to/file.py:NAME` -> where it is. Nothing is run.

    Args:
        base: folder that relative paths start from (the registry's).
        what: how errors begin, such as the parameter's name.

    Raises:
        DataError: nothing is named.
        RegistryError: it is not of that form, or there is no such file or module.
    """
    if not text:
        raise DataError(f'{what} is something of your own: params = {{ {what} = "FILE.py:NAME" }}')
    place, _, name = text.rpartition(":")
    if not place or not all(part.isidentifier() for part in name.split(".")):
        raise RegistryError(f'{what} {brief(text)}: expected "file.py:NAME" or "package.module:NAME"')
    module = ""
    if place.endswith(".py"):
        file = user_path(place, base, error=RegistryError, what=what)
    else:
        module, found = place, None
        if all(part.isidentifier() for part in place.split(".")):
            found = file_of_module(place)
        if found is None:
            raise RegistryError(
                f"{what} {brief(text)}: there is no Python module {brief(place)}; a file's name ends with .py"
            )
        file = found
    subject = f"{what}: Python file {brief(place)}"
    with open_regular(file, error=RegistryError, subject=subject, most=LARGEST) as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    return NamedFactory(text, name, module, file, digest)
