"""The library's front: MagDR before a generator, for tensors, pictures, folders and models of others.

The command line's `detect` and `defend` go through the same code.
"""

from magdr_core.front.inputs import Input
from magdr_core.front.module import MagDRModule
from magdr_core.front.pictures import Photo
from magdr_core.front.pipeline import Pipeline
from magdr_core.front.wrapped import generator_spec

__all__ = ["Input", "MagDRModule", "Photo", "Pipeline", "generator_spec"]
