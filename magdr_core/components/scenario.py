"""A scenario: which images components are run on, and what whoever made them knew."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel


class Scenario:
    """One way to make images out of a profile: clean ones, attacked ones, a sweep, benign edits ...

    Attributes:
        name: as in a cell's facts (`slice_role`).
        key: of the profile's entry that asks for it; empty if nothing has to.
        settings: the model that *is* the profile's table under `key`; None where it is a list of labels.
    """

    name: ClassVar[str] = ""
    key: ClassVar[str] = ""
    settings: ClassVar[type[BaseModel] | None] = None
