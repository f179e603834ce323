"""Gradient claims against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from magdr_core.components.trial import no_gradient
from magdr_core.testing.inputs import Inputs
from magdr_core.testing.rules import common
from magdr_core.testing.subject import Subject
from magdr_core.testing.watching import find_networks

DIRECTIONS = 3

# Steps of the central difference, and what it may be off by, as a share of the gradient's length. One step
# that agrees is enough: over a long one lie kinks (of an absolute value, say), a short one drowns
# in rounding.
Steps = tuple[float, ...]
DOUBLE = (torch.float64, (1e-5, 1e-4, 1e-3, 1e-6, 1e-7), 0.02)
SINGLE = (torch.float32, (1e-2, 2e-3, 5e-4), 0.1)


@common(
    "gradient",
    "an exact gradient agrees with finite differences; a straight-through one is there",
    lambda trial: trial.gradient is not no_gradient,
    after=("output", "finite", "inputs", "randomness", "repeats"),
)
def gradient(s: Subject) -> Iterator[str]:
    said = s.trial.gradient(s.spec)
    if said == "none":
        return
    whole = _unrounded(s.batch[[0] if s.trial.own_conditions else [0, 1]])
    with torch.random.fork_rng(devices=[]):
        yield from _judged(s, whole, said)


def _judged(s: Subject, inputs: Inputs, said: str) -> Iterator[str]:
    # Double precision where the component goes along with it, with its networks' weights: single precision
    # leaves little between the kinks of a deep network and rounding.
    for dtype, steps, slack in (DOUBLE, SINGLE):
        with _weights_in(s, dtype):
            given = inputs.to(dtype)
            try:
                value, g, v = _gradient(s, given)
            except Exception as e:
                if dtype is torch.float64:
                    continue
                yield f"claims a gradient ({said}), but: {type(e).__name__}: {' '.join(str(e).split())}"
                return
            if value.dtype == torch.float32 and dtype is torch.float64:
                continue  # it computes in single precision inside
            yield from _compared(s, given, said, g, v, steps, slack)
            return


@contextmanager
def _weights_in(s: Subject, dtype: torch.dtype) -> Iterator[None]:
    """The component's networks in another number type; single-precision ones only: nothing is lost."""
    floats = [
        network
        for network in find_networks([s.component])
        if all(t.dtype == torch.float32 for t in network.state_dict().values() if t.is_floating_point())
    ]
    for network in floats:
        network.to(dtype)
    try:
        yield
    finally:
        for network in floats:
            network.to(torch.float32)


def _gradient(s: Subject, given: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    """The result, the gradient of its sum weighed by v, and v."""
    with torch.enable_grad():
        leaf = _leaf(s, given).detach().clone().requires_grad_()
        value = s.compute(_at(s, given, leaf))
        v = torch.randn(value.shape, generator=torch.Generator().manual_seed(5)).to(value)
        (g,) = torch.autograd.grad((value * v).sum(), leaf)
    return value, g, v


def _compared(
    s: Subject, given: Inputs, said: str, g: Tensor, v: Tensor, steps: Steps, slack: float
) -> Iterator[str]:
    if not bool(torch.isfinite(g).all()):
        yield f"the gradient has {int((~torch.isfinite(g)).sum())} values that are not finite"
        return
    length = float(g.norm())
    if length == 0:
        yield f"claims a gradient ({said}), but it is 0 everywhere"
        return
    if said == "straight-through":
        if v.shape == g.shape:
            agreement = float((g * v).sum() / (length * v.norm()))
            if agreement < 0.1:
                yield f"a straight-through gradient resembles the identity's; their cosine is {agreement:.3g}"
        return

    def phi(x: Tensor) -> float:
        with torch.no_grad():
            return float((s.compute(_at(s, given, x)).double() * v.double()).sum())

    yield from _against_differences(phi, _leaf(s, given), g, steps, slack)


def _against_differences(
    phi: Callable[[Tensor], float], x: Tensor, g: Tensor, steps: Steps, slack: float
) -> Iterator[str]:
    length = float(g.norm())
    for i in range(DIRECTIONS):
        d = torch.randn(x.shape, generator=torch.Generator().manual_seed(i)).to(x)
        expected = float((g.double() * d.double()).sum())
        for step in steps:
            found = (phi(x + step * d) - phi(x - step * d)) / (2 * step)
            if abs(found - expected) <= slack * length:
                break
        else:
            yield (
                f"claims exact gradients: autograd says {expected:.4g} along a direction, "
                f"finite differences {found:.4g}"
            )
            return


def _unrounded(inputs: Inputs) -> Inputs:
    """Between the 8-bit levels: on them differences are exactly 0, where absolute values have no slope."""

    def moved(x: Tensor, seed: int) -> Tensor:
        u = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)).to(x)
        return (x + (u - 0.5) / 255).clamp(0.01, 0.99)

    return replace(inputs, images=moved(inputs.images, 1), others=moved(inputs.others, 2))


def _leaf(s: Subject, given: Inputs) -> Tensor:
    return given.others if s.trial.moved == "others" else given.images


def _at(s: Subject, given: Inputs, x: Tensor) -> Inputs:
    return replace(given, others=x) if s.trial.moved == "others" else replace(given, images=x)
