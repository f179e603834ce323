"""Expressions to reenact: target action units that differ from those of the picture."""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.api import SampleRng
from magdr_core.functional import constant

ACTION_UNITS: tuple[str, ...] = tuple(
    f"AU{n:02d}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
)
"""OpenFace's intensities, in its order."""

GROUPS: dict[str, tuple[str, ...]] = {
    "brows": ("AU01", "AU02", "AU04"),
    "eyes": ("AU05", "AU06", "AU07", "AU45"),
    "mouth": ("AU09", "AU10", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26"),
}
"""Units that one part of the face shows; every unit is in one group."""

# What a group can do, at full intensity; units of the group that are not named are at rest.
MOVES: dict[str, tuple[dict[str, float], ...]] = {
    "brows": (
        {},
        {"AU01": 0.9, "AU02": 0.9},  # raised
        {"AU01": 0.9, "AU04": 0.6},  # sad
        {"AU04": 1.0},  # lowered
    ),
    "eyes": (
        {},
        {"AU05": 1.0},  # wide
        {"AU06": 0.8, "AU07": 0.9},  # squinting
        {"AU45": 1.0},  # shut
    ),
    "mouth": (
        {},
        {"AU12": 1.0, "AU25": 0.5},  # smile with teeth
        {"AU12": 0.9, "AU14": 0.4},  # smile with closed lips
        {"AU12": 0.8, "AU25": 0.9, "AU26": 0.6},  # laugh
        {"AU25": 0.9, "AU26": 0.8},  # open
        {"AU15": 0.9, "AU17": 0.6},  # corners down
        {"AU20": 0.9, "AU25": 0.6},  # stretched
        {"AU09": 0.7, "AU10": 0.9, "AU25": 0.5},  # snarl
        {"AU17": 0.5, "AU23": 1.0},  # pressed
    ),
}

FAINTEST = 0.7
"""Every named unit of a move is scaled by a factor from here to 1."""

FAR = 0.4
"""A move differs from what the picture shows if some unit of its group differs by this."""

JOINED = 0.5
"""The mouth always moves; brows and eyes each join in with this probability."""


def in_group(group: str, device: torch.device | None = None) -> Tensor:
    """The units of a group, `[17]` bool."""
    return constant([name in GROUPS[group] for name in ACTION_UNITS], device or torch.device("cpu"))


def draw_expression(source: Tensor, rng: SampleRng) -> Tensor:
    """Target action units, `[B,17]` in [0,1]; at least the mouth differs visibly from `source` `[B,17]`.

    Which move a group makes is drawn among those that are :data:`FAR` from what it shows (else the farthest
    is taken), all equally likely.
    """
    factor = rng.uniform(len(ACTION_UNITS), low=FAINTEST, high=1.0)
    joins = rng.uniform(len(GROUPS)) < JOINED
    target = source
    for i, (group, moves) in enumerate(MOVES.items()):
        mine = in_group(group, source.device)
        rows = [[move.get(name, 0.0) for name in ACTION_UNITS] for move in moves]
        values = constant(rows, source.device) * factor[:, None]
        distance = ((values - source[:, None]).abs() * mine).amax(2)
        wish = torch.where(distance >= FAR, 1 + rng.uniform(len(moves)), distance)
        chosen = values[torch.arange(len(values), device=source.device), wish.argmax(1)]
        moved = joins[:, i, None] | (group == "mouth")
        target = torch.where(moved & mine, chosen, target)
    return target
