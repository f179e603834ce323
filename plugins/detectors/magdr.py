"""MagDR's detector as a plugin: distortion, consistency, second opinions, calibrated or as printed."""

from __future__ import annotations

from magdr_core.api import DetectorSpec, MagDRDetector, Need, hookimpl

MAGDR_API = 1


@hookimpl
def magdr_detectors() -> list[DetectorSpec]:
    return [
        DetectorSpec(
            name="magdr",
            build=MagDRDetector,
            cite="Chen et al., MagDR, CVPR 2021, Eq. 4-7 and 9",
            composed=True,
            gradient="straight-through",  # JPEG among the f_k rounds; counted votes have none, and say so
            needs={
                "parser": Need("parser"),
                "criteria": Need("metric", depth=1),
                "augmentations": Need("augmentation", depth=1),
                "twins": Need("generator", depth=1, optional=True, later=True),
                "opinion": Need("restoration", optional=True, later=True),
            },
        )
    ]
