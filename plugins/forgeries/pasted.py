"""Forgeries that need nothing but drawn masks: other faces and their parts, the own face, parts painted out
or pulled out of shape."""

from __future__ import annotations

from magdr_core.api import ForgerySpec, hookimpl

from ._local import Inpainted, Warped
from ._self_blend import SelfBlended
from ._swap import Splice, Swap

MAGDR_API = 1


@hookimpl
def magdr_forgeries() -> list[ForgerySpec]:
    return [
        ForgerySpec(name="swap", build=Swap, donor=True, group="blends"),
        ForgerySpec(
            name="self-blended",
            build=SelfBlended,
            group="blends",
            cite="Shiohara, Yamasaki, Detecting Deepfakes with Self-Blended Images, CVPR 2022",
        ),
        ForgerySpec(name="splice", build=Splice, donor=True, group="local"),
        ForgerySpec(name="inpainted", build=Inpainted, group="local"),
        ForgerySpec(name="warped", build=Warped, group="local", definition="changed"),
    ]
