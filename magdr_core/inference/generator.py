"""A network of one's own as a generator, without a plugin file."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from magdr_core.components.batch import Batch, VectorCondition
from magdr_core.components.objective import ObjectiveName
from magdr_core.components.rng import SampleRng
from magdr_core.components.specs import GeneratorSpec
from magdr_core.errors import DataError
from magdr_core.functional import PARTS, part_index
from magdr_core.inference.module import RANGES, ValueRange

FACE = ("skin", "brows", "eyes", "glasses", "nose", "mouth")


def generator_spec(
    net: nn.Module,
    *,
    name: str,
    size: int,
    conditions: Mapping[str, Sequence[str]] | None = None,
    region: Sequence[str] = FACE,
    value_range: ValueRange = "unit",
    objective: ObjectiveName = "untargeted",
) -> GeneratorSpec:
    """A component of any `nn.Module` that maps faces to faces.

    The network is copied as it is now and put into evaluation mode; yours is never touched. Results and
    calibrations are keyed by its class's source, its weights and everything below, so a network that was
    trained on is another one.

    Args:
        net: called as `net(x, values)` with `[B,3,S,S]` and `[B,C]`, or as `net(x)` if it has no conditions;
            returns `[B,3,S,S]`.
        name: the component's name, lower-case words joined by hyphens.
        size: S, its native side.
        conditions: the names of the C entries, in order, each with the face parts that it may change (of
            `magdr_core.functional.PARTS`). Of names that end in `_Hair` one is set at a time.
        region: without conditions, the parts that the network may change.
        value_range: of its images, "unit" for [0,1] or "symmetric" for [-1,1].
        objective: what disrupting it means, for attacks whose table does not say.

    Raises:
        DataError: no network, no conditions and no region, or an unknown face part or range.
    """
    if not isinstance(net, nn.Module):
        said = f"the class {net.__name__}" if isinstance(net, type) else f"a {type(net).__name__}"
        raise DataError(f"a generator is a torch.nn.Module, got {said}; a plugin takes any other form")
    conditions = {} if conditions is None else conditions
    if value_range not in RANGES:
        raise DataError(f"value_range = {value_range!r} is not one of {', '.join(RANGES)}")
    if not conditions and not region:
        raise DataError("say which face parts the network may change: region=[...]")
    try:
        targets = [_mask(parts) for parts in (list(conditions.values()) or [region])]
    except ValueError as e:
        raise DataError(str(e)) from None
    kept = deepcopy(net).eval()

    def build() -> OwnGenerator:
        return OwnGenerator(deepcopy(kept), size, tuple(conditions), torch.stack(targets), value_range)

    said = [size, {k: list(v) for k, v in conditions.items()}, list(region), value_range]
    # Core keys results by this where a component has no file of its own.
    build.fingerprint = _fingerprint(kept, said)  # type: ignore[attr-defined]
    return GeneratorSpec(
        name=name,
        build=build,
        summary=f"{type(net).__name__}, a network that was handed over in Python.",
        objective=objective,
    )


class OwnGenerator(nn.Module):
    """The network with what core asks of a generator.

    Args:
        net: `(x [B,3,S,S], values [B,C]) -> [B,3,S,S]`, or of `x` alone.
        size: S.
        names: of the C conditions.
        targets: bool `[C,N]`, the parts that each condition may change; `[1,N]` if there are none.
        value_range: of the network's images.
    """

    def __init__(
        self, net: nn.Module, size: int, names: tuple[str, ...], targets: Tensor, value_range: ValueRange
    ) -> None:
        super().__init__()
        self.net = net
        self.size = size
        self.condition_names = names
        self.symmetric = value_range == "symmetric"
        self.register_buffer("targets", targets, persistent=False)

    def forward(self, x: Tensor, c: VectorCondition) -> Tensor:
        """The output on images in [0,1], `[B,3,S,S]` and B conditions -> `[B,3,S,S]` in [0,1]."""
        x = 2 * x - 1 if self.symmetric else x
        y: Tensor = self.net(x, c.values) if self.condition_names else self.net(x)
        return (y + 1) / 2 if self.symmetric else y

    def edited(self, c: VectorCondition) -> Tensor:
        """Bool `[B,N]`: the parts that the changed conditions may change."""
        targets = self.targets
        assert isinstance(targets, Tensor)
        if not self.condition_names:
            return targets.expand(len(c), -1)
        return (c.changed[:, :, None] & targets).any(1)

    def draw(self, batch: Batch, rng: SampleRng) -> VectorCondition:
        """One edit per image: an entry that would change something, each equally likely; what the dataset
        does not know counts as 0."""
        count, device = len(batch), batch.images.device
        if not self.condition_names:
            nothing = torch.zeros(count, 0, device=device)
            return VectorCondition(nothing, nothing.bool())
        unknown = torch.zeros(count, device=device)
        source = torch.stack([batch.attributes.get(n, unknown) for n in self.condition_names], 1)
        hair = torch.tensor([n.endswith("_Hair") for n in self.condition_names], device=device)
        wish = torch.where(hair & (source > 0.5), -1.0, rng.uniform(source.shape[1]))
        entry = torch.zeros_like(source).scatter(1, wish.argmax(1, keepdim=True), 1.0).bool()
        recoloured = (entry & hair).any(1, keepdim=True) & hair
        values = torch.where(recoloured, entry.float(), torch.where(entry, 1 - source, source))
        return VectorCondition(values, values != source)


def _mask(parts: Sequence[str]) -> Tensor:
    mask = torch.zeros(len(PARTS), dtype=torch.bool)
    mask[[part_index(part) for part in ([parts] if isinstance(parts, str) else parts)]] = True
    return mask


def _fingerprint(net: nn.Module, said: Any) -> str:
    """sha256 of what determines the outputs: classes' source, structure, weights, and what was said."""
    told = hashlib.sha256(repr((said, str(net))).encode())
    for kind in sorted({type(m) for m in net.modules()}, key=lambda t: f"{t.__module__}.{t.__qualname__}"):
        told.update(f"{kind.__module__}.{kind.__qualname__}".encode())
        if not kind.__module__.startswith("torch."):
            told.update(_source(kind).encode())
    for name, value in [*net.named_parameters(), *net.named_buffers()]:
        told.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        told.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return told.hexdigest()


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # typed into a shell: the structure and the weights have to do
        return ""
