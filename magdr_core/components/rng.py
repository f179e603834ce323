"""Counter-based random numbers keyed per image.

A benchmark's results must not depend on the batch size, on the order of the images or on the device.
A global generator cannot give that, so every stochastic component draws from a :class:`SampleRng`: the
n-th draw for an image is a pure function of (seed, component, image id, n), computed with integer tensor
operations that give the same bits on a CPU and on CUDA.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MASK32 = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9


def _mix(h: Tensor) -> Tensor:
    """Avalanche the low 32 bits of int64 values (the `lowbias32` constants of C. Wellons' hash prospector).

    int64 products wrap around; their low 32 bits stay exact, and only those are kept.
    """
    h = h & _MASK32
    h = ((h ^ (h >> 16)) * 0x7FEB352D) & _MASK32
    h = ((h ^ (h >> 15)) * 0x846CA68B) & _MASK32
    return h ^ (h >> 16)


def stable_hash(text: str) -> int:
    """A 64-bit hash of a text that is the same in every process (Python's own is salted)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class SampleRng:
    """Independent random streams, one per image of a batch.

    Args:
        seed: the run's seed.
        component: name of the consumer; two components never share a stream.
        ids: one stable id per image.
        device: where the draws are made.
    """

    def __init__(
        self, seed: int, component: str, ids: Sequence[str], *, device: torch.device | str = "cpu"
    ) -> None:
        keys = [stable_hash(f"{seed}\x1f{component}\x1f{i}") for i in ids]
        halves = [[k & _MASK32, k >> 32] for k in keys]
        self._key = torch.tensor(halves, dtype=torch.int64).reshape(-1, 2).to(device, non_blocking=True)
        self._draws = 0

    def __len__(self) -> int:
        return self._key.shape[0]

    @property
    def device(self) -> torch.device:
        return self._key.device

    @classmethod
    def keyed(cls, key: Tensor) -> SampleRng:
        """Streams by their keys, `[B,2]` int64 of which the low 32 bits count."""
        return cls.__new__(cls)._clone(key & _MASK32, 0)

    def copy(self) -> SampleRng:
        """The same streams at the same position, which go on by themselves."""
        return self._clone(self._key, self._draws)

    def _clone(self, key: Tensor, draws: int) -> SampleRng:
        other = object.__new__(SampleRng)
        other._key, other._draws = key, draws
        return other

    def select(self, idx: Tensor | slice | list[int]) -> SampleRng:
        """The streams of some of the images, at the same position: `[n]` indices, `[B]` booleans, a slice or
        a list."""
        return self._clone(self._key[idx], self._draws)

    def repeat_interleave(self, n: int) -> SampleRng:
        """Each stream `n` times in a row, the copies independent of each other: `[B] -> [B*n]`."""
        key = self._key.repeat_interleave(n, 0)
        copy = torch.arange(n, device=self.device).repeat(self._key.shape[0])
        return self._clone(self._salted(key, copy + 1), self._draws)

    def fork(self, n: int) -> SampleRng:
        """A fresh family of streams, a pure function of these and of `n`; this object is left as it was."""
        salt = torch.full((len(self),), n + 0x51ED27, dtype=torch.int64, device=self.device)
        return self._clone(self._salted(self._key, salt), 0)

    @staticmethod
    def _salted(key: Tensor, salt: Tensor) -> Tensor:
        low = _mix(key[:, 0] + salt * _GOLDEN)
        return torch.stack([low, _mix(key[:, 1] ^ (low + salt))], 1)

    def bits(self, *shape: int) -> Tensor:
        """Uniform 32-bit integers as int64, `[B, *shape]`."""
        count = math.prod(shape)
        counter = torch.arange(self._draws, self._draws + count, dtype=torch.int64, device=self.device)
        self._draws += count
        h = _mix(counter[None, :] * _GOLDEN + self._key[:, :1])
        h = _mix(h ^ self._key[:, 1:])
        h = _mix(h + (counter[None, :] >> 16) + self._key[:, :1])
        return h.reshape(len(self), *shape)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform float32 in [low, high), `[B, *shape]` (24 random bits each; rounding may give `high`)."""
        unit = (self.bits(*shape) >> 8).to(torch.float32) * 2.0**-24
        return unit if (low, high) == (0.0, 1.0) else low + unit * (high - low)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal float32, `[B, *shape]` (Box-Muller)."""
        u = self.uniform(*shape, 2)
        radius = torch.sqrt(-2.0 * torch.log1p(-u[..., 0]))
        return radius * torch.cos(2.0 * math.pi * u[..., 1])

    def integers(self, *shape: int, low: int = 0, high: int) -> Tensor:
        """Integers in [low, high) as int64, `[B, *shape]`; the bias is below (high - low) / 2^32."""
        return low + (self.bits(*shape) * (high - low) >> 32)

    def sign(self, *shape: int) -> Tensor:
        """Fair +1 or -1 as float32, `[B, *shape]`."""
        return (self.bits(*shape) >> 31).to(torch.float32) * 2.0 - 1.0
