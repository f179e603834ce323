"""The data that components exchange.

Images are `[B,3,H,W]` float32 RGB in [0,1] everywhere; a component that needs another range converts
inside. Masks are soft, `[B,N,H,W]`, N regions that sum to 1 at each pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from magdr_core.components.condition import Condition, Index, TensorCondition, VectorCondition
from magdr_core.functional import Work, batch_size
from magdr_core.short_repr import one_line_repr

__all__ = ["ATTRIBUTE", "Batch", "Condition", "Index", "Samples", "TensorCondition", "VectorCondition"]

ATTRIBUTE = "attribute:"
"""How the annotations that are attributes begin: `attribute:Smiling`."""

CLIPS, FRAMES = "clips", "frames"
"""The annotations that say which clip a picture is a frame of, and which one of it, `[B]` int64 each."""

OPENING = "opening:"
"""How the annotations begin that tell of the first frame of a picture's clip: `opening:action_units`."""


@dataclass(frozen=True, eq=False, init=False)
class Batch:
    """Images of a dataset with whatever the dataset knows about them.

    Args:
        images: `[B,3,H,W]`, 8-bit levels.
        ids: one stable id per image; random streams and results are keyed by it.
        attributes: name to `[B]` float32 of 0/1 (CelebA's names where they exist).
        masks: exact soft masks `[B,19,H,W]` in the face parser's class order, where the dataset has them.
        action_units: `[B,17]` in [0,1], in OpenFace's order, where the dataset has them.
        identities: `[B]` int64; intervals are over identities.
        annotations: anything else, by name: `[B, ...]` each. What stands under one of the names above, or
            under `attribute:NAME`, is the same as if it was given so. Where pictures are frames of clips,
            `clips` `[B]` int64 numbers the clips, no two of the dataset alike, and `frames` `[B]` int64
            counts the frames of each from 0; those of one clip are consecutive rows of a split.
            `opening:NAME` is what stands under NAME for the clip's first frame.

    Attributes:
        annotations: all that is known, by name; an attribute under `attribute:NAME`.

    Raises:
        TypeError: attributes or annotations are no mapping.
        ValueError: something is given twice.
    """

    images: Tensor
    ids: tuple[str, ...]
    annotations: Mapping[str, Tensor]

    __repr__ = one_line_repr

    def __init__(
        self,
        images: Tensor,
        ids: tuple[str, ...],
        attributes: Mapping[str, Tensor] = MappingProxyType({}),
        masks: Tensor | None = None,
        action_units: Tensor | None = None,
        identities: Tensor | None = None,
        annotations: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        for name, given in (("attributes", attributes), ("annotations", annotations)):
            if not isinstance(given, Mapping):
                raise TypeError(f"{name} are a {type(given).__name__}, expected a mapping")
        named = {"masks": masks, "action_units": action_units, "identities": identities}
        known = {name: value for name, value in named.items() if value is not None}
        known |= {f"{ATTRIBUTE}{name}": value for name, value in attributes.items()}
        twice = sorted(known.keys() & annotations.keys())
        if twice:
            raise ValueError(f"{twice[0]} is given twice, by its own name and among the annotations")
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "ids", ids)
        object.__setattr__(self, "annotations", {**annotations, **known})

    @property
    def attributes(self) -> Mapping[str, Tensor]:
        """By name whether each picture shows it, `[B]` float32 of 0/1 each; empty if nothing is known."""
        return {
            name.removeprefix(ATTRIBUTE): value
            for name, value in self.annotations.items()
            if name.startswith(ATTRIBUTE)
        }

    @property
    def masks(self) -> Tensor | None:
        """Exact soft masks, `[B,19,H,W]` in [0,1] in the face parser's class order; None if not known."""
        return self.annotations.get("masks")

    @property
    def action_units(self) -> Tensor | None:
        """Facial action units, `[B,17]` in [0,1] in OpenFace's order; None if not known."""
        return self.annotations.get("action_units")

    @property
    def identities(self) -> Tensor | None:
        """Who is shown, `[B]` int64, equal for the same person; None if not known."""
        return self.annotations.get("identities")

    @property
    def clips(self) -> Tensor | None:
        """Which clip each picture is a frame of, `[B]` int64; None of pictures that are none."""
        return self.annotations.get(CLIPS)

    @property
    def opening(self) -> Batch:
        """The same pictures with what is known of the first frames of their clips, as far as that is told.

        What a clip is asked for is drawn by this, or it would change with what each frame shows.
        """
        told = {n.removeprefix(OPENING): v for n, v in self.annotations.items() if n.startswith(OPENING)}
        return Batch(self.images, self.ids, annotations={**self.annotations, **told}) if told else self

    def __len__(self) -> int:
        return self.images.shape[0]

    def __getitem__(self, idx: Index) -> Batch:
        """Some of the images, with all that is known about those."""
        chosen = torch.arange(len(self.ids))[idx.cpu() if isinstance(idx, Tensor) else idx].tolist()
        known = {name: value[idx] for name, value in self.annotations.items()}
        return Batch(self.images[idx], tuple(self.ids[i] for i in chosen), annotations=known)

    def to(self, device: torch.device | str) -> Batch:
        known = {name: value.to(device) for name, value in self.annotations.items()}
        return Batch(self.images.to(device), self.ids, annotations=known)


@dataclass(frozen=True, eq=False)
class Samples:
    """Benchmark samples: images, each with a condition that really changes something.

    Attributes:
        images: `[n,3,H,W]`; clean, attacked or noisy.
        conditions: `n` of them.
        ids: `n` stable ids; an attacked image keeps the id of its clean one.
    """

    images: Tensor
    conditions: Condition
    ids: tuple[str, ...]

    __repr__ = one_line_repr

    def __len__(self) -> int:
        return self.images.shape[0]

    def __getitem__(self, idx: slice) -> Samples:
        return Samples(self.images[idx], self.conditions[idx], self.ids[idx])

    def batches(self, size: int | Work) -> Iterator[Samples]:
        """A few of them at a time: so many, or as many as fit where a kind of work is named."""
        if not isinstance(size, int):
            size = self.together(size)
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def together(self, work: Work) -> int:
        """How many of them go together for a kind of work, by their size and the memory there is."""
        return batch_size(self.images.shape, work, self.images.device)

    def with_images(self, images: Tensor) -> Samples:
        """The same samples seen through other images (attacked, defended), `[B,3,H,W]` in [0,1].

        Raises:
            ValueError: another shape.
        """
        if images.shape != self.images.shape:
            raise ValueError(f"expected images {tuple(self.images.shape)}, got {tuple(images.shape)}")
        return Samples(images, self.conditions, self.ids)
