"""MagDR as a defense: detect; if disrupted, reconstruct with Rec-Net, replace, repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from magdr_core.api import CalibratedDetector, DefenseSpec, Family, Field, ImageMap, MagDR, Need, hookimpl

MAGDR_API = 1


def magdr(
    *,
    detector: CalibratedDetector,
    layers: Sequence[Sequence[Family]],
    candidate_augmentations: Sequence[ImageMap],
    rounds: Annotated[int, Field(ge=1, le=10)] = 2,
    min_gain: Annotated[float, Field(ge=0, le=100)] = 0.25,
    regional: bool = False,
    literal: bool = False,
) -> MagDR:
    """The loop of the paper's Fig. 2 with Rec-Net (Algorithm 1)."""
    return MagDR(
        detector,
        layers,
        candidate_augmentations,
        rounds=rounds,
        min_gain=min_gain,
        regional=regional,
        literal=literal,
    )


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="magdr",
            build=magdr,
            cite="Chen et al., MagDR, CVPR 2021, Algorithm 1 and Fig. 2",
            needs={
                "detector": Need("detector", calibrated=True),
                "layers": Need("restoration", depth=2, family=True),
                "candidate_augmentations": Need("augmentation", depth=1),
            },
        )
    ]
