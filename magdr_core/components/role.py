"""A role: what a component is asked in a benchmark, and which figures follow from its answers."""

from __future__ import annotations

from typing import ClassVar

from magdr_core.components.figure import Figure


class Role:
    """What is measured of the components that a profile lists under `plural`.

    Attributes:
        name: as in the column `role` of results.csv.
        plural: the profile's key with labels.
        kind: of its components' registry tables.
        figures: every metric that its rows have.
        schema: raised where its cells hold other values than before.
    """

    name: ClassVar[str] = ""
    plural: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    figures: ClassVar[tuple[Figure, ...]] = ()
    schema: ClassVar[int] = 1
