"""What components are run on in a benchmark, and what comes of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from magdr_core.short_repr import one_line_repr

CLEAN = "none"
"""What the column `attack` says where nobody attacked."""


@dataclass(frozen=True)
class Slice:
    """Images that components are run on: clean ones, or those of an attack, or benign edits of clean ones.

    Attributes:
        name: as in the table's `attack` column.
        scenario: name of the one that makes them.
        label: of the component that makes them, in the registry; empty where none does.
        component: that component's registry name.
        eps, steps: of the attack; 0 where there is none. `eps` in [0,1] units.
        samples: the first so many of the profile's images; all if None.
        channel: label of the channel that the images went through after they were made; empty of none.
        settings: whatever else the scenario has to know, such as the table of a transfer. Other processes are
            handed it before they have any plugin, so a plugin's scenario keeps plain values here.
    """

    name: str
    scenario: str
    label: str = ""
    component: str = ""
    eps: float = 0.0
    steps: int = 0
    samples: int | None = None
    channel: str = ""
    settings: Hashable = None

    @property
    def is_noise(self) -> bool:
        """Whether it is random noise, which aims at nothing."""
        return self.component == "noise"


@dataclass(frozen=True)
class Measured:
    """What a component did on the images of a slice.

    Attributes:
        values: by name one number per sample, in the order of the samples.
        extra: whatever else is kept with the cell, as JSON.
        pictures: images `[n,3,H,W]` in [0,1] that are kept beside the cell, by name.
    """

    values: Mapping[str, list[float]]
    extra: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, Tensor] = field(default_factory=dict)

    __repr__ = one_line_repr
