"""Classical edits of photographs of faces, with exact results: what an editor of photographs learns from."""

from .edits import EDITS, HAIR, edited
from .parts import part_masks
from .scenes import Scene, varied

__all__ = ["EDITS", "HAIR", "Scene", "edited", "part_masks", "varied"]
