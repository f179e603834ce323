"""MagDR as a defense: detect; if disrupted, reconstruct with Rec-Net, replace, repeat."""

from __future__ import annotations

from magdr_core.api import DefenseSpec, FixedChain, MagDR, Need, hookimpl

MAGDR_API = 1


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [
        DefenseSpec(
            name="magdr",
            build=MagDR,
            version=2,
            composed=True,
            cite="Chen et al., MagDR, CVPR 2021, Algorithm 1 and Fig. 2",
            needs={
                "detector": Need("detector", calibrated=True),
                "layers": Need("restoration", depth=2, family=True),
                "candidate_augmentations": Need("augmentation", depth=1),
            },
        ),
        DefenseSpec(
            name="fixed-chain",
            build=FixedChain,
            needs={"layers": Need("restoration", depth=2, family=True)},
        ),
    ]
