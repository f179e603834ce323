"""Procedural faces with exact masks, attributes, action units and identities."""

from .canvas import CLASSES
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
    "render",
    "sample_parameters",
    "with_action_units",
    "with_face",
    "with_identity",
]
