from __future__ import annotations

import importlib
import sys

import pytest
import torch
from plugin_fakes import FakeEntry

from magdr_core.components.batch import Condition
from magdr_core.hosting import discovery
from magdr_core.hosting.manager import PluginHost


@pytest.fixture
def images():
    """`images(batch, side)`: random 8-bit images, the same for an index whatever the batch."""

    def make(batch, side=16, seed=0):
        pictures = [
            torch.randint(0, 256, (3, side, side), generator=torch.Generator().manual_seed(seed + i))
            for i in range(batch)
        ]
        return torch.stack(pictures).float() / 255

    return make


@pytest.fixture
def conditions():
    """`conditions(batch, width)`: alternating 0/1 values that change entry 0."""

    def make(batch, width=2):
        values = (torch.arange(batch)[:, None] + torch.arange(width)) % 2
        changed = torch.zeros(batch, width, dtype=torch.bool)
        changed[:, :1] = True
        return Condition(values.float(), changed)

    return make


@pytest.fixture
def installed(monkeypatch):
    """`installed(*entries)`: these besides the real ones."""
    real = list(discovery.entry_points(group="magdr"))

    def make(*entries, builtin=True):
        found = [*(real if builtin else []), *entries]
        monkeypatch.setattr(discovery, "entry_points", lambda group: found if group == "magdr" else [])

    return make


@pytest.fixture
def package(tmp_path, monkeypatch, installed):
    """`package(files)`: an installed package `acme_pkg` with these files, as the plugin `acme`."""

    def forget():
        for name in [n for n in sys.modules if n.partition(".")[0] == "acme_pkg"]:
            del sys.modules[name]

    def make(files):
        root = tmp_path / "site" / "acme_pkg"
        for name, text in {"__init__.py": "", **files}.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            if file.parent != root:
                (file.parent / "__init__.py").touch()
        importlib.invalidate_caches()
        installed(FakeEntry("acme", "acme_pkg", "acme-dist"))

    monkeypatch.syspath_prepend(tmp_path / "site")
    forget()
    yield make
    forget()


@pytest.fixture
def local(tmp_path):
    """`local(text)`: a host whose plugin `acme` is a local file with this text."""

    def make(text, **options):
        (tmp_path / "old.py").write_text(text)
        return PluginHost(local={"acme": "old.py"}, base=tmp_path, **options)

    return make
