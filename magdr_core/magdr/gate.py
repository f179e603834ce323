"""The gate: the score from which on reconstruction pays.

A verdict has to be safe, so it is given at a fixed rate of false alarms. Reconstruction is another matter:
where it hardly harms clean images, it pays on weak suspicions already, and where it harms them it does not.
So the gate is the one with the least output error on calibration images that nothing was fitted on.
"""

from __future__ import annotations

import numpy as np

from magdr_core.magdr.ranker import Array

CLEAN_COST = 3.0 / 255**2
"""Mean output error that clean images may be given."""


def choose_gate(scores: Array, kept: Array, restored: Array, attacked: Array, ceiling: float) -> float:
    """Choose the gate.

    Args:
        scores: `[M]`, of the detector.
        kept: `[M]`, true errors (MSE in [0,1] units) of the images as they were received.
        restored: `[M]`, true errors after reconstruction.
        attacked: bool `[M]`; clean images as a whole weigh as much as attacked ones.
        ceiling: the verdict's threshold; the gate is never higher.

    Returns:
        A score; images above it are to be reconstructed. Of several that are equally good the highest, which
        spares generator passes.
    """
    values = np.unique(scores)
    cuts = np.concatenate([[values[0] - 1.0], (values[1:] + values[:-1]) / 2])
    cuts = np.unique(np.append(cuts[cuts < ceiling], ceiling))
    errors = np.where(scores[None] > cuts[:, None], restored[None], kept[None])  # [cuts,M]
    clean = errors[:, ~attacked].mean(1)
    total = errors[:, attacked].mean(1) + clean
    allowed = clean <= CLEAN_COST
    if not allowed.any():
        return float(ceiling)
    return float(cuts[allowed & (total <= total[allowed].min())].max())
