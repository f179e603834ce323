"""MagDR as a defense: detect; if disrupted, reconstruct with Rec-Net, replace, repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from magdr_core.api import (
    CalibratedDetector,
    DefenseSpec,
    Family,
    Field,
    FixedChain,
    ImageMap,
    MagDR,
    Need,
    hookimpl,
)

MAGDR_API = 1


def magdr(
    *,
    detector: CalibratedDetector,
    layers: Sequence[Sequence[Family]],
    candidate_augmentations: Sequence[ImageMap],
    form: Literal["learned", "standardised", "literal"] = "learned",
    gate: Literal["error", "fpr", "f1"] = "error",
    rounds: Annotated[int, Field(ge=1, le=10)] = 2,
    regional: bool = False,
    candidates: Annotated[int, Field(ge=1, le=512)] = 8,
    finalists: Annotated[int, Field(ge=1, le=512)] = 4,
    min_gain: Annotated[float, Field(ge=0, le=100)] = 0.25,
) -> MagDR:
    """The loop of the paper's Fig. 2 with Rec-Net (Algorithm 1)."""
    return MagDR(
        detector,
        layers,
        candidate_augmentations,
        form=form,
        gate=gate,
        rounds=rounds,
        regional=regional,
        candidates=candidates,
        finalists=finalists,
        min_gain=min_gain,
    )


def fixed_chain(*, layers: Sequence[Sequence[Family]]) -> FixedChain:
    """The best single chain of Rec-Net's grid on calibration faces, applied to every image."""
    return FixedChain(layers)


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="magdr",
            build=magdr,
            version=2,
            cite="Chen et al., MagDR, CVPR 2021, Algorithm 1 and Fig. 2",
            needs={
                "detector": Need("detector", calibrated=True),
                "layers": Need("restoration", depth=2, family=True),
                "candidate_augmentations": Need("augmentation", depth=1),
            },
        ),
        DefenseSpec(
            name="fixed-chain",
            build=fixed_chain,
            needs={"layers": Need("restoration", depth=2, family=True)},
        ),
    ]
