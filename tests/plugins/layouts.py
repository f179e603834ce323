"""What the tests of published layouts share: a registry's generator, and values for published keys."""

from __future__ import annotations

import math

import torch

from magdr_core.components.batch import Batch, Condition
from magdr_core.components.rng import SampleRng


def table(kind, use, **params):
    """A registry's table of one component, `[kind.g]`."""
    lines = [f"{name} = {_toml(value)}" for name, value in params.items()]
    return "\n".join([f"[{kind}.g]", f'use = "{use}"', f"[{kind}.g.params]", *lines])


def _toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    return (
        str(list(value)).replace("'", '"')
        if isinstance(value, tuple | list)
        else f'"{value}"'
        if (isinstance(value, str))
        else str(value)
    )


def invented(shapes, seed=0):
    """Values for keys and shapes that keep activations near 1, so that nothing saturates or dies out."""
    g = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            state[name] = 0.5 + torch.rand(shape, generator=g)
        elif len(shape) > 1 and shape[0] > 1:
            state[name] = torch.randn(shape, generator=g) / math.sqrt(math.prod(shape[1:]))
        else:
            state[name] = 0.1 * torch.randn(shape, generator=g)
            if name.endswith("weight"):
                state[name] += 1
    return state


def norm_keys(name, width):
    """Keys and shapes of a batch norm."""
    keys = {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
    return keys | {f"{name}.num_batches_tracked": ()}


def pictures(count=2, height=32, width=32, seed=0):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def condition(rows, changed):
    """Conditions of `[B,C]` numbers and truths."""
    return Condition(torch.tensor(rows, dtype=torch.float32), torch.tensor(changed, dtype=torch.bool))


def faces(attributes, count=200, side=8):
    """A batch with random attributes of these names."""
    g = torch.Generator().manual_seed(0)
    values = {name: torch.randint(0, 2, (count,), generator=g).float() for name in attributes}
    return Batch(torch.zeros(count, 3, side, side), tuple(f"face-{i}" for i in range(count)), values)


def rng_of(batch, seed=0):
    return SampleRng(seed, "conditions", batch.ids)


def disturbed(G, x, c):
    """The gradient of an output's sum of squares with respect to the pictures."""
    leaf = x.clone().requires_grad_()
    G(leaf, c).square().sum().backward()
    return leaf.grad


def mirrored(x, n):
    """The border of width `n` filled by reflection, the edge itself not repeated."""
    for dim in (2, 3):
        size = x.shape[dim]
        index = torch.tensor([abs(i) if i < size else 2 * (size - 1) - i for i in range(-n, size + n)])
        x = x.index_select(dim, index)
    return x


def instance_normalised(x, eps=1e-5):
    """Zero mean, unit (biased) variance of each image's channels."""
    centred = x - x.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True) + eps).sqrt()


def batch_normalised(state, name, y, eps=1e-5):
    """By the running statistics of a state dict, written out."""
    mean, var, weight, bias = (
        state[f"{name}.{part}"].reshape(1, -1, *[1] * (y.ndim - 2))
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (y - mean) / (var + eps).sqrt() * weight + bias
