"""Procedural faces with exact masks, attributes, action units and identities."""

from .canvas import CLASSES
from .motion import in_motion
from .parameters import (
    ACTION_UNITS,
    ATTRIBUTES,
    FaceParameters,
    edited,
    with_action_units,
    with_face,
    with_identity,
)
from .render import render
from .sampling import sample_parameters

__all__ = [
    "ACTION_UNITS",
    "ATTRIBUTES",
    "CLASSES",
    "FaceParameters",
    "edited",
    "in_motion",
    "render",
    "sample_parameters",
    "with_action_units",
    "with_face",
    "with_identity",
]
