"""Every built-in augmentation and restoration at every setting of its grid: what it does to pictures.

What it must not do, `test_conformance.py` tries.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from magdr_core.hosting.manager import PluginHost
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit


def settings():
    host = PluginHost()
    host.load("builtin")
    for entry in [*host.entries("augmentation"), *host.entries("restoration")]:
        if entry.spec.needs or "weights" in entry.spec.schema.model_fields:
            continue  # learned ones have their own tests
        if "degradation" in entry.spec.tags:
            continue  # after these the picture need not still be there: see test_degrading.py
        grid = getattr(entry.spec, "grid", {})
        for values in itertools.product(*grid.values()):
            params = dict(zip(grid, values, strict=True))
            name = ",".join([entry.name, *(f"{k}={v}" for k, v in params.items())])
            yield pytest.param((entry, params), id=f"{entry.kind}-{name}")


def claims_gradient(setting):
    (entry, _params), *_ = setting.values
    return getattr(entry.spec, "gradient", "none") != "none"


@pytest.fixture(scope="module", params=settings())
def component(request):
    entry, params = request.param
    text = "".join(f"{k} = {v!r}\n" for k, v in params.items())
    text = f"[{entry.kind}.x]\nuse = {entry.name!r}\n[{entry.kind}.x.params]\n{text}"
    return Toolkit(parse_registry(text, Path.cwd() / "x.toml"), device="cpu").build(entry.kind, "x")


@pytest.fixture(scope="module")
def pictures():
    """Smooth pictures with an edge and some grain, 8-bit, not square, [5,3,24,32]."""
    g = torch.Generator().manual_seed(0)
    coarse = torch.rand(5, 3, 5, 6, generator=g)
    x = torch.nn.functional.interpolate(coarse, (24, 32), mode="bicubic", align_corners=False)
    x[..., 10:20, 8:16] += 0.4
    x = (x + 0.03 * torch.randn(x.shape, generator=g)).clamp(0, 1)
    return (x * 255).round() / 255


def arguments(component, n):
    from magdr_core.components.rng import SampleRng

    return {"rng": SampleRng(0, "x", [f"{i}" for i in n])} if component.stochastic else {}


def test_image_map_does_something_and_the_picture_is_still_there(component, pictures):
    y = component(pictures, **arguments(component, range(5)))
    assert not torch.equal(y, pictures)
    aligned = component.undo(y) if component.geometric else y
    assert (aligned - pictures)[..., 3:-3, 3:-3].abs().mean() < 0.08


@pytest.mark.parametrize("level", [0.0, 1.0, 0.5])
def test_image_map_extreme_pictures(component, level):
    x = torch.full((1, 3, 16, 16), level)
    y = component(x, **arguments(component, [0]))
    assert (y - x).abs().max() < 0.05


@pytest.mark.parametrize("component", [p for p in settings() if claims_gradient(p)], indirect=True)
def test_image_map_declared_gradient_is_there(component, pictures):
    leaf = pictures[:1].clone().requires_grad_()
    component(leaf, **arguments(component, [0])).square().sum().backward()
    assert leaf.grad.isfinite().all()
    assert (leaf.grad != 0).float().mean() > 0.5


@pytest.mark.parametrize(
    ("use", "params", "border"),
    [("flip", {}, 0), *(("shift", {"dx": dx, "dy": dy}, 3) for dx, dy in [(2, 2), (-3, 1), (0, -2), (3, 0)])],
)
def test_image_map_undo_is_the_inverse_on_the_interior(toolkit_from, pictures, use, params, border):
    text = "".join(f"{k} = {v}\n" for k, v in params.items())
    f = toolkit_from(f"[augmentation.x]\nuse = '{use}'\n[augmentation.x.params]\n{text}").build(
        "augmentation", "x"
    )
    assert f.geometric
    back = f.undo(f(pictures))
    inside = (slice(border, 24 - border), slice(border, 32 - border))
    assert torch.equal(back[..., *inside], pictures[..., *inside])
    assert not torch.equal(f(pictures), pictures)


def test_image_map_undo_of_photometric_ones_changes_nothing(component, pictures):
    if not component.geometric:
        assert component.undo(pictures) is pictures
