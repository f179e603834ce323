"""A generator with low-rank patches, which were trained to make it stand still under attack.

Qu, Guo, Hu and Lu, LoRA Patching: Exposing the Fragility of Proactive Defenses against Deepfakes, 2025 (arXiv
2510.03747; github.com/ZOMIN28/LoRA-Patching), which breaks disruptors from the side of the generator: every
convolution and linear layer W becomes W + s B A, where A is a layer of W's shape with r outputs, B one of 1x1
from r channels, and s = sigmoid(g) a / sqrt(r) with a learned gate g that starts at -1 (r = 8, a = 2). Norms
and W itself stay as they are, so what is trained, kept and shipped is A, B and g: a fraction of the
generator.

Adapted: B starts at zero, as in LoRA itself (Hu et al., ICLR 2022, arXiv 2106.09685), so that training starts
at the generator and not near it. The branches are linear, so they are merged into the weights, where they
cost nothing; `unmerge` gives the first generator back bit by bit.

As a defense it is the `twin` (or `adversarial-training` with `sigma = 0`) of the generator that it patches.
"""

from __future__ import annotations

import copy
import math
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from magdr_core.api import (
    AnyCondition,
    ComponentError,
    Field,
    Generator,
    GeneratorSpec,
    Need,
    Weights,
    hookimpl,
    load_state,
)

MAGDR_API = 1

GATE = -1.0
"""Where gates start: a sigmoid of .27."""

ALPHA = 2.0

_PASSED = (
    *("size", "condition_names", "edited", "draw", "classes", "features", "heads"),
    *("regions", "additive", "whole_target"),
)
"""What is the first generator's; of its features and heads the patched weights are used."""


class Adapter(nn.Module):
    """A, B and the gate of one weight.

    Args:
        weight: what is patched, of a convolution or of a linear layer.
        rank: of the patch.
        transposed: its inputs come first, as transposed convolutions have it.
    """

    def __init__(self, weight: Tensor, rank: int, *, transposed: bool = False) -> None:
        super().__init__()
        self.transposed = transposed
        first, second, *kernel = weight.shape
        inputs, outputs = (first, second) if transposed else (second, first)
        self.a = nn.Parameter(torch.empty(*((inputs, rank) if transposed else (rank, inputs)), *kernel))
        nn.init.kaiming_uniform_(self.a, math.sqrt(5))
        self.b = nn.Parameter(torch.zeros(outputs, rank))
        self.gate = nn.Parameter(torch.tensor(GATE))
        self.scale = ALPHA / math.sqrt(rank)

    def change(self) -> Tensor:
        """What is added to the weight, in its shape."""
        rank = self.b.shape[1]
        if self.transposed:
            inputs, _, *kernel = self.a.shape
            product = self.b @ self.a.transpose(0, 1).reshape(rank, -1)
            change = product.reshape(len(self.b), inputs, *kernel).transpose(0, 1)
        else:
            change = (self.b @ self.a.reshape(rank, -1)).reshape(len(self.b), *self.a.shape[1:])
        return self.gate.sigmoid() * self.scale * change


class LoraPatch(nn.Module):
    """A copy of a generator whose layers have low-rank patches; its state is that of the patches alone.

    Training computes through the patches; otherwise they are merged into the copy's weights.

    Args:
        generator: what is patched; it stays as it is.
        rank: of the patches.
    """

    def __init__(self, generator: nn.Module, rank: int) -> None:
        super().__init__()
        base = copy.deepcopy(generator).requires_grad_(False).eval()
        found = {
            f"{prefix}.{name}" if prefix else name: (weight, isinstance(layer, nn.ConvTranspose2d))
            for prefix, layer in base.named_modules()
            for name, weight in layer.named_parameters(recurse=False)
            if weight.ndim in (2, 4)
        }
        if not found:
            raise ComponentError("the generator has no convolution and no linear layer to patch")
        self._outside = (base,)  # no submodule: its weights are not this network's
        self._names = tuple(found)
        self.adapters = nn.ModuleDict(
            {
                _key(name): Adapter(weight, rank, transposed=t).to(weight.device)
                for name, (weight, t) in found.items()
            }
        )
        self._first: dict[str, Tensor] = {}
        self.register_load_state_dict_post_hook(lambda module, keys: module._remerge())

    @property
    def base(self) -> nn.Module:
        """The copy that computes."""
        return self._outside[0]

    @property
    def merged(self) -> bool:
        """Whether the patches are in the copy's weights."""
        return bool(self._first)

    def merge(self) -> None:
        """Add the patches to the copy's weights; nothing happens if they are there."""
        if self.merged:
            return
        with torch.no_grad():
            for name, weight in self.patched().items():
                own = _named(self.base, name)
                self._first[name] = own.detach().clone()
                own.copy_(weight)

    def unmerge(self) -> None:
        """Give the copy the first generator's weights back, to the last bit."""
        with torch.no_grad():
            for name, weight in self._first.items():
                _named(self.base, name).copy_(weight)
        self._first = {}

    def patched(self) -> dict[str, Tensor]:
        """The weights with their patches, by name, differentiable in the patches."""
        found = {}
        for name in self._names:
            weight = self._first.get(name, _named(self.base, name))
            found[name] = weight + self.adapters[_key(name)].change()  # type: ignore[operator]
        return found

    def forward(self, x: Tensor, c: AnyCondition) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> same."""
        if self.merged:
            y: Tensor = self.base(x, c)
            return y
        return functional_call(self.base, self.patched(), (x, c))

    def train(self, mode: bool = True) -> LoraPatch:
        """Through the patches while training, merged else. The copy itself never trains."""
        super().train(mode)
        self.unmerge() if mode else self.merge()
        return self

    def _remerge(self) -> None:
        if self.merged:
            self.unmerge()
            self.merge()

    def _apply(self, fn: Any, recurse: bool = True) -> LoraPatch:
        super()._apply(fn, recurse)
        self.base._apply(fn)
        self._first = {name: fn(weight) for name, weight in self._first.items()}
        return self

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in _PASSED:
                return getattr(self._outside[0], name)
            raise


def _named(module: nn.Module, name: str) -> Tensor:
    """A module's weight by its name."""
    place, _, own = name.rpartition(".")
    found: Tensor = getattr(module.get_submodule(place), own)
    return found


def _key(weight: str) -> str:
    return weight.replace(".", "-")


def lora_patch(
    *,
    generator: Generator,
    weights: Weights = "random",
    rank: Annotated[int, Field(ge=1, le=256)] = 8,
) -> LoraPatch:
    """A generator with low-rank patches, which training makes stand still under attack (`lora-editing64`).

    Without `weights` the patches are untrained and change nothing. Weights fit the generator that they were
    trained for and no other.

    Args:
        generator: generator that is patched; it stays as it is.
        weights: weight file of the patches; `random` ones change nothing.
        rank: rank of the patches, as in the weight file.
    """
    network = getattr(generator, "component", generator)
    if not isinstance(network, nn.Module):
        raise ComponentError(f"only a torch network can be patched, not a {type(network).__name__}")
    net = LoraPatch(network, rank)
    load_state(net, weights)
    net.eval()
    return net


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(
            name="lora-patch",
            build=lora_patch,
            needs={"generator": Need("generator")},
            cite="Qu et al., LoRA Patching, 2025 (arXiv 2510.03747)",
            tags=("editing",),
        )
    ]
