"""The finder that needs nothing but scikit-image, which is there anyway: the default."""

from __future__ import annotations

from magdr_core.api import Cascade, FinderSpec, hookimpl

MAGDR_API = 1


@hookimpl
def magdr_finders() -> list[FinderSpec]:
    return [
        FinderSpec(
            name="cascade",
            build=Cascade,
            cite="Viola and Jones, CVPR 2001; Liao et al., ICB 2007; scikit-image",
        )
    ]
