"""The library's front: MagDR before a generator, for tensors, pictures, folders, clips and models of others.

The command line's `detect` and `defend` go through the same code.
"""

from magdr_core.inference.generator import generator_spec
from magdr_core.inference.module import MagDRModule
from magdr_core.inference.photos import Photo
from magdr_core.inference.pipeline import Pipeline
from magdr_core.inference.sources import Input
from magdr_core.inference.transform import MagDRTransform
from magdr_core.inference.videos import Clip, ClipFrame

__all__ = [
    "Clip",
    "ClipFrame",
    "Input",
    "MagDRModule",
    "MagDRTransform",
    "Photo",
    "Pipeline",
    "generator_spec",
]
