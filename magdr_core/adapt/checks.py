"""Whether a generator can be adapted to, and whether it can have a twin: told before anything is trained."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from magdr_core.adapt.tables import component_table
from magdr_core.components.batch import Samples, VectorCondition
from magdr_core.components.objective import symmetric_mse
from magdr_core.components.protocols import Split
from magdr_core.errors import MagdrError, one_line
from magdr_core.files.toml_text import to_toml
from magdr_core.guards import GuardedGenerator
from magdr_core.runtime.samples import attack_samples, draw_samples
from magdr_core.toolkit import Toolkit

TRIED = 4
"""Pictures that the checks look at."""

WEIGHTS = "weights"
"""The parameter by which a component is told its weights."""

COPY = "magdr-adapt-copy"
"""The label of the network that is rebuilt."""

SAME = 1e-3
"""How far the outputs of a rebuilt network may be from the generator's, in [0,1]: rounding alone."""


class AdaptError(MagdrError):
    """A generator that cannot be adapted to; the message names it and says why."""


@dataclass(frozen=True)
class Suitability:
    """What the checks found.

    Attributes:
        disrupted: mean output MSE in [-1,1] units that PGD (6/255) causes on the pictures that were tried.
        half: the network may compute in bfloat16: its outputs and gradients are finite then.
        no_twin: why no twin can be made; empty if one can.
    """

    disrupted: float
    half: bool
    no_twin: str


def check_generator(toolkit: Toolkit, task: str, split: Split) -> Suitability:
    """Try a generator on a few pictures: shape, range, gradient, repeatability.

    Args:
        split: pictures of the generator's size.

    Raises:
        AdaptError: it cannot be adapted to.
        ComponentError: it fails, or its output has another shape or range.
        DataError: conditions cannot be drawn for these pictures.
    """
    G = toolkit.generator(task)
    where = f"[generator.{task}]"
    if G.stochastic:
        raise AdaptError(f"{where} is random: `magdr adapt` takes generators with one output for an input")
    samples = draw_samples(split, G, first=0, count=min(TRIED, len(split)), seed=0)[0]
    if not isinstance(samples.conditions, VectorCondition):
        kind = type(samples.conditions).__name__
        raise AdaptError(
            f"{where} takes a {kind}: `magdr adapt` takes generators whose conditions are vectors"
        )
    with torch.no_grad():
        y = G(samples.images, samples.conditions)
        if not torch.equal(y, G(samples.images, samples.conditions)):
            raise AdaptError(f"{where} gives another output each time: no purifier can learn from it")
    gradient = _gradient(G, samples, where)
    if not gradient.isfinite().all():
        raise AdaptError(
            f"{where} has a gradient that is not finite: no attack and no purifier learns from it"
        )
    if not gradient.any():
        raise AdaptError(f"{where} has a gradient of 0 everywhere: its output does not depend on its input")
    pgd = toolkit.sibling("attack", "pgd", eps=6 / 255, steps=10)
    attacked = attack_samples(samples, pgd, G, name="pgd", seed=0)
    with torch.no_grad():
        disrupted = float(symmetric_mse(G(attacked, samples.conditions), y).mean())
    return Suitability(disrupted, _half(G, samples), why_no_twin(toolkit, task, samples, y))


def _gradient(G: GuardedGenerator, samples: Samples, where: str) -> Tensor:
    x = samples.images.clone().requires_grad_(True)
    try:
        y = G(x, samples.conditions)
        (gradient,) = torch.autograd.grad(y.square().sum(), x)
    except RuntimeError as e:
        raise AdaptError(f"{where} is not differentiable: {one_line(e)}") from e
    found: Tensor = gradient
    return found


def _half(G: GuardedGenerator, samples: Samples) -> bool:
    """Whether outputs and gradients are finite in bfloat16."""
    x = samples.images.clone().requires_grad_(True)
    try:
        with torch.autocast(x.device.type, torch.bfloat16):
            y = G.component(x, samples.conditions).float()
        (gradient,) = torch.autograd.grad(y.square().sum(), x)
    except Exception:  # whatever it is that some layer does not have
        return False
    return bool(y.isfinite().all() and gradient.isfinite().all())


def why_no_twin(toolkit: Toolkit, task: str, samples: Samples, y: Tensor) -> str:
    """Why a second network of the generator's kind cannot be trained and loaded; empty if it can.

    Args:
        y: `[B,3,S,S]`, the generator's outputs on the samples.
    """
    resolved = toolkit.resolve("generator", task)
    component: Any = toolkit.build("generator", task).component
    if not isinstance(component, nn.Module):
        return f"{resolved.instance.use} is no torch module, so there is nothing to copy"
    if not any(p.is_floating_point() for p in component.parameters()):
        return f"{resolved.instance.use} has no weights that could be trained"
    if WEIGHTS not in resolved.params:
        return f"{resolved.instance.use} has no parameter `{WEIGHTS}`, so nobody could load a twin's weights"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.safetensors"
        try:
            save_file({k: v.detach().cpu().clone() for k, v in component.state_dict().items()}, path)
            table = {**component_table(toolkit.registry.instance("generator", task)), "dataset": ""}
            table["params"] = {**table.get("params", {}), WEIGHTS: str(path)}
            copy = toolkit.extended(to_toml({"generator": {COPY: table}})).generator(COPY)
            with torch.no_grad():
                apart = float((copy(samples.images, samples.conditions) - y).abs().max())
        except Exception as e:  # its loader is somebody else's
            return (
                f"{resolved.instance.use} does not load its own weights as a safetensors file: {one_line(e)}"
            )
    if not apart <= SAME:
        return (
            f"{resolved.instance.use} loads its own weights as another network: outputs are {apart:.3f} apart"
        )
    return ""
