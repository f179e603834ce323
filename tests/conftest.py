"""Shared by all tests: one thread, registries from a text, and a toy generator as a local plugin."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from magdr_core.registry.read import read_registry
from magdr_core.toolkit import Toolkit

TOY = '''
"""A deterministic toy generator with two conditions, in a local plugin file."""
import torch
from magdr_core.api import Condition, GeneratorSpec, hookimpl
from magdr_core.functional import PARTS, part_index

MAGDR_API = 1


class ToyGenerator(torch.nn.Module):
    size = 16
    condition_names = ("Blond_Hair", "Smiling")

    def __init__(self, gain):
        super().__init__()
        self.gain = gain
        self.conv = torch.nn.Conv2d(5, 3, 3, padding=1)
        weight = torch.linspace(-1, 1, self.conv.weight.numel()).mul(7).sin()
        bias = torch.tensor([0.1, 0.0, -0.1])
        self.conv.load_state_dict({"weight": weight.reshape(3, 5, 3, 3), "bias": bias})

    def forward(self, x, c):
        planes = c.values[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return torch.sigmoid(self.gain * self.conv(torch.cat([2 * x - 1, planes], 1)))

    def edited(self, c):
        target = torch.zeros(len(c), len(PARTS), dtype=torch.bool, device=c.values.device)
        target[:, part_index("hair")] = c.changed[:, 0]
        target[:, part_index("mouth")] = c.changed[:, 1]
        return target

    def draw(self, batch, rng):
        changed = torch.arange(2) == rng.integers(1, high=2)
        source = torch.stack([batch.attributes[name] for name in self.condition_names], 1)
        return Condition(torch.where(changed, 1 - source, source), changed)


def net(*, gain: float = 1.0):
    """Toy generator."""
    return ToyGenerator(gain)


@hookimpl
def magdr_generators():
    return [GeneratorSpec(name="net", build=net)]
'''

TOY_REGISTRY = """
[plugins]
local = { toy = "./toy.py" }

[generator.toy]
use = "toy/net"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names with an address in them: workers of pytest-xdist would differ in them."""
    named = [item.nodeid for item in items if re.search(r" at 0x[0-9a-f]+>", item.nodeid)]
    if named:
        raise pytest.UsageError(f"give these parameters an id: {named[0]} (and {len(named) - 1} more)")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors: a second thread makes the tests slower, not faster."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def toolkit_from(tmp_path: Path) -> Callable[..., Toolkit]:
    """`toolkit_from(text, path=None, **options)`: a CPU toolkit of a registry text, by default `bad.toml`
    in `tmp_path`, where files that the registry names may be put beforehand."""

    def make(text: str = "", path: Path | None = None, **options) -> Toolkit:
        path = path or tmp_path / "bad.toml"
        path.write_text(text, encoding="utf-8")
        return Toolkit(read_registry(path), **{"device": "cpu", **options})

    return make


@pytest.fixture
def toy(tmp_path: Path, toolkit_from: Callable[..., Toolkit]) -> Callable[..., Toolkit]:
    """`toy(more)`: a toolkit with the generator `toy` and whatever tables `more` adds."""

    def make(more: str = "", **options) -> Toolkit:
        (tmp_path / "toy.py").write_text(TOY, encoding="utf-8")
        return toolkit_from(TOY_REGISTRY + more, **options)

    return make
