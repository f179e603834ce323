"""What a generator is told: a row for each image, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from magdr_core.short_repr import one_line_repr

Index = Tensor | slice | list[int]


@runtime_checkable
class Condition(Protocol):
    """What a generator is told, for a batch of images: anything that has a row for each and these methods.

    Core hands out copies of what components share: a class of one's own is a dataclass of tensors (most
    easily a :class:`TensorCondition`), or has a `private_copy()`. A plugin finds this as `AnyCondition`; its
    `Condition` is :class:`VectorCondition`, which is also what a call of this name makes.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return VectorCondition(*args, **kwargs) if cls is Condition else super().__new__(cls)

    def __len__(self) -> int: ...

    def __getitem__(self, idx: Index) -> Self: ...

    def repeat(self, n: int) -> Self:
        """The whole batch `n` times over."""

    def to(self, device: torch.device | str) -> Self: ...

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Several batches one after the other, all of one class."""
        return type(parts[0]).cat(parts)

    def key(self) -> tuple[Tensor | None, ...]:
        """All that it says, `[B, ...]` each: rows that hold the same tell a generator the same. Outputs are
        remembered and random streams are made by it."""

    def differs(self, other: Self) -> Tensor:
        """bool `[B]`: where the generator is told something else."""


@dataclass(frozen=True, eq=False)
class TensorCondition:
    """A condition made of tensors: the fields of a dataclass, `[B, ...]` each, or None.

    >>> @dataclass(frozen=True, eq=False)
    ... class Prompt(TensorCondition):
    ...     embedding: Tensor
    >>> c = Prompt(torch.zeros(2, 77, 768))
    >>> len(c), c[[0]].repeat(3).embedding.shape
    (2, torch.Size([3, 77, 768]))
    """

    def __len__(self) -> int:
        return next(t.shape[0] for t in self.key() if t is not None)

    def _each(self, f: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(*(None if t is None else f(t) for t in self.key()))

    def __getitem__(self, idx: Index) -> Self:
        return self._each(lambda t: t[idx])

    def repeat(self, n: int) -> Self:
        """The whole batch `n` times over: `[B, ...] -> [n*B, ...]`."""
        return self._each(lambda t: t.repeat(n, *[1] * (t.ndim - 1)))

    def to(self, device: torch.device | str) -> Self:
        return self._each(lambda t: t.to(device))

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Several batches one after the other, all of one class; what one of them lacks, all lack."""
        made = type(parts[0])
        columns = zip(*(part.key() for part in parts), strict=True)
        joined = [[t for t in column if t is not None] for column in columns]
        return made(*(torch.cat(column) if len(column) == len(parts) else None for column in joined))

    def key(self) -> tuple[Tensor | None, ...]:
        """The fields in order, `[B, ...]` each, or None."""
        return tuple(getattr(self, f.name) for f in fields(self))

    def differs(self, other: Self) -> Tensor:
        """Bool `[B]`: where any entry of any field is another."""
        mine = [t for t in self.key() if t is not None]
        theirs = [t for t in other.key() if t is not None]
        return torch.stack([(a != b).flatten(1).any(1) for a, b in zip(mine, theirs, strict=True)]).any(0)


@dataclass(frozen=True, eq=False)
class VectorCondition(TensorCondition):
    """A vector for each image, whose entries have names (`Generator.condition_names`).

    Attributes:
        values: `[B,C]` float32, the vector that enters the network (attributes, action units; C may be 0).
        changed: `[B,C]` bool, the entries that this edit changes. The defender runs the generator, so it
            knows them; the target region M_c follows from them.
        oracle_masks: `[B,N,H,W]` exact masks over `PARTS`. A benchmark attaches them when a component was
            registered with the `oracle` option, which its tables then say; nobody else has them.
    """

    values: Tensor
    changed: Tensor
    oracle_masks: Tensor | None = None

    __repr__ = one_line_repr

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape != self.changed.shape:
            raise ValueError(
                f"a Condition takes two [B,C] tensors, got {tuple(self.values.shape)} "
                f"and {tuple(self.changed.shape)}"
            )

    def differs(self, other: Self) -> Tensor:
        """Bool `[B]`, by the values alone: from the same image, they say what is changed."""
        return (self.values != other.values).any(1)

    def with_oracle(self, masks: Tensor) -> VectorCondition:
        """The same condition with exact masks, `[B,N,H,W]` over `PARTS`, that sum to 1 at each pixel."""
        return replace(self, oracle_masks=masks)


@dataclass(frozen=True, eq=False)
class CodedCondition(VectorCondition):
    """A vector with named entries, and what no name tells: a style, a person or a text, as networks take it.

    Attributes:
        code: `[B, ...]` float32, such as the identity of another face; None where nobody gave one.
    """

    code: Tensor | None = None

    def differs(self, other: Self) -> Tensor:
        """Bool `[B]`: where the values or the code are others."""
        told = super().differs(other)
        if self.code is None or other.code is None:
            return told if self.code is other.code else torch.ones_like(told)
        return told | (self.code != other.code).flatten(1).any(1)


def code_of(c: Condition) -> Tensor | None:
    """The code `[B, ...]` of a condition that has one."""
    return c.code if isinstance(c, CodedCondition) else None
