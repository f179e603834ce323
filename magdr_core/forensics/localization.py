"""How well pixels were found, picture by picture."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from magdr_core.measures.statistics import auroc

KNOWN = "mask_known"
"""The value that says whether a fake's mask is known, 1 or 0."""

CUT = 0.5
"""Above it a pixel counts as located. It is fixed, so that no test picture ever chooses it."""

REGION = 0.01
"""Share of its pixels above which a picture counts as one in which something was located."""


def overlap(located: Tensor, masks: Tensor) -> dict[str, list[float]]:
    """IoU, F1, share of pixels judged rightly, and AUC of the pixels, a number per picture each, with
    whether its mask is known.

    Args:
        located: `[B,1,H,W]` in [0,1].
        masks: `[B,1,H,W]` of 0 and 1. An empty one is not known, and the picture's numbers are 0, to be left
            out; where none is known nothing is given. Where a picture is forged everywhere there is no AUC of
            its pixels, so none is given at all.
    """
    known = (masks > CUT).flatten(1).any(1).tolist()
    if not any(known):
        return {}
    found, there = (located > CUT).flatten(1), (masks > CUT).flatten(1)
    both, either = (found & there).sum(1).double(), (found | there).sum(1).double()
    values = {
        KNOWN: [float(yes) for yes in known],
        "iou": (both / either.clamp_min(1)).tolist(),
        "pixel_f1": (2 * both / (found.sum(1) + there.sum(1)).clamp_min(1)).tolist(),
        "pbca": (found == there).double().mean(1).tolist(),
    }
    if not bool(there.all(1).any()):
        weights = located.flatten(1).double().cpu().numpy()
        of_mask = there.cpu().numpy()
        values["pixel_auc"] = [
            float(auroc(w[~m], w[m])) if m.any() else 0.0
            for w, m in zip(weights, np.asarray(of_mask), strict=True)
        ]
    return {
        name: [value if yes else 0.0 for value, yes in zip(listed, known, strict=True)]
        for name, listed in values.items()
    }


def alarms(located: Tensor) -> dict[str, list[float]]:
    """Of real pictures, `[B,1,H,W]`: the share of pixels located, and whether that is a region."""
    share = (located > CUT).double().mean((1, 2, 3))
    return {"alarm_pixels": share.tolist(), "alarm_region": (share > REGION).double().tolist()}
