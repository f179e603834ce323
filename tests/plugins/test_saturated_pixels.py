"""Attacks see black and white pixels through every built-in filter: a photo has many of them."""

import pytest
import torch

from magdr_core.components.rng import SampleRng
from magdr_core.hosting.manager import PluginHost

KINDS = ("augmentation", "restoration", "defense")
OTHERS = {
    "deconvolve",  # multiplies, so that black stays black
    "magnet-reformer",  # learns first, and ends in a sigmoid
}


def differentiable():
    host = PluginHost()
    host.load("builtin")
    for kind in KINDS:
        for entry in host.entries(kind):
            spec = entry.spec
            if entry.name in OTHERS or spec.needs or "weights" in spec.schema.model_fields:
                continue
            if getattr(spec, "gradient", "none") != "none":
                yield pytest.param(kind, entry.name, spec.stochastic, id=f"{kind}-{entry.name}")


@pytest.mark.parametrize(("kind", "use", "stochastic"), list(differentiable()))
def test_saturated_pixels_have_a_gradient(toolkit_from, kind, use, stochastic):
    component = toolkit_from(f"[{kind}.x]\nuse = {use!r}\n").build(kind, "x")
    x = torch.zeros(1, 3, 32, 32)
    x[..., 16:] = 1.0
    x.requires_grad_()
    options = {"rng": SampleRng(0, "saturated", ["a"])} if stochastic else {}
    given = (x,) if kind != "defense" else (x, None, None)
    with torch.enable_grad():
        y = component(*given, **options)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    for side in (gradient[..., :16], gradient[..., 16:]):
        assert (side != 0).float().mean() > 0.4
