"""The control of localization: one mask for every picture, where forgeries usually are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from magdr_core.api import DataError, ForensicData, ForensicSpec, hookimpl, pack_tensors, unpack_tensors
from magdr_core.functional import resize

MAGDR_API = 1

CUTS = 50
"""Thresholds that are tried."""


class ConstantMask:
    """The share of training forgeries that cover a pixel, cut where that overlaps most with them.

    It looks at no picture, so its verdict is the same of all.
    """

    def __init__(self) -> None:
        self.mask = torch.zeros(1, 1, 1, 1)

    def score(self, x: Tensor) -> Tensor:
        """0 of every picture `[B,3,H,W]`: `[B]`."""
        return torch.zeros(len(x), dtype=x.dtype, device=x.device)

    def locate(self, x: Tensor) -> Tensor:
        """The mask, for each picture `[B,3,H,W]`: `[B,1,H,W]`."""
        mask = self.mask.to(x)
        if mask.shape[2:] != x.shape[2:]:
            mask = resize(mask, (x.shape[2], x.shape[3])).clamp(0, 1)
        return mask.expand(len(x), -1, -1, -1).contiguous()

    def fit(self, data: ForensicData) -> dict[str, Any]:
        """The mean mask, scaled so that the cut with the largest mean IoU is at 1/2; JSON-able.

        Raises:
            DataError: no mask of any forgery is known.
        """
        masks = data.masks[data.masks.flatten(1).any(1)]
        if not len(masks):
            raise DataError("constant-mask learns from masks, and of these forgeries nobody knows any")
        prior = masks.mean(0, keepdim=True)
        best, cut = -1.0, 0.5
        for candidate in (torch.arange(CUTS) + 0.5) / CUTS * float(prior.max().clamp_min(1e-6)):
            inside = prior > candidate
            both = (inside & (masks > 0.5)).flatten(1).sum(1)
            either = (inside | (masks > 0.5)).flatten(1).sum(1)
            iou = float((both / either.clamp_min(1)).mean())
            if iou > best:
                best, cut = iou, float(candidate)
        return {"mask": pack_tensors({"mask": (prior / cut / 2).clamp(0, 1)})}

    def load(self, state: Mapping[str, Any]) -> None:
        self.mask = unpack_tensors(state["mask"])["mask"]


@hookimpl
def magdr_forensics() -> list[ForensicSpec]:
    return [ForensicSpec(name="constant-mask", build=ConstantMask, tags=("control",))]
