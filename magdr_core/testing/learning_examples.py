"""Small plugins that learn from calibration data: what `magdr plugins new --fit` writes."""

from __future__ import annotations

DETECTOR = '''\
"""Suspicious is fine detail unlike that of clean faces, which is learned from calibration faces."""
from typing import Annotated
import torch
from magdr_core.api import DetectorSpec, Field, hookimpl
from magdr_core.functional import constant, gaussian_blur

MAGDR_API = 1

class Unusual:
    """How far the detail at a few scales is from that of clean faces, in their spreads."""
    def __init__(self, *, scales: Annotated[int, Field(ge=1, le=4)] = 3):
        self.sigmas = [0.5 * 2**k for k in range(scales)]

    def detail(self, x):
        """Log energy of what each blur takes away. [B,3,H,W] -> [B,S]."""
        lost = [(x - gaussian_blur(x, s)).square().mean((1, 2, 3)) for s in self.sigmas]
        return (torch.stack(lost, 1) + 1e-6).log()

    def fit(self, data, G):
        """The state as JSON-able data; `self` stays as it is, since core loads what it keeps."""
        clean = torch.cat([self.detail(b.images) for b in data.clean.batches(32)])
        return {"mean": clean.mean(0).tolist(), "spread": (clean.std(0) + 1e-3).tolist()}

    def load(self, state):
        self.mean, self.spread = state["mean"], state["spread"]

    def __call__(self, x, c, G):
        """[B,3,H,W], B conditions -> [B], higher is more suspicious; called after `load` alone."""
        mean, spread = constant(self.mean, x.device), constant(self.spread, x.device)
        return ((self.detail(x) - mean) / spread).abs().mean(1)

@hookimpl
def magdr_detectors():
    return [DetectorSpec(name="unusual", build=Unusual, gradient="exact")]
'''

LEARNING_EXAMPLES = {"detector": DETECTOR}
"""By kind, the text of a module whose component has `fit` and `load`."""
