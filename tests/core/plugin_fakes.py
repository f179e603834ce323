"""Plugins for tests of the host: a text, an installed distribution, and how faults are told."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from magdr_core.errors import PluginError
from magdr_core.hosting.core import core_kinds, core_modules

METRIC = """
from magdr_core.api import MetricSpec, hookimpl, stateless
MAGDR_API = 1
def f(a, b, masks):
    return masks.mean((2, 3))
@hookimpl
def magdr_metrics():
    return [MetricSpec(name="{name}", build=stateless(f))]
"""
KIND = """
from dataclasses import dataclass
from typing import ClassVar
from magdr_core.api import ComponentSpec, Guard, Kind, hookimpl, stateless
MAGDR_API = 1

@dataclass(frozen=True, kw_only=True)
class QualitySpec(ComponentSpec):
    kind: ClassVar[str] = "quality"

class GuardedQuality(Guard):
    def __call__(self, x):
        return self.scores(self.call(self.component, x), (len(x),))

QUALITY = Kind(
    name="quality", plural="qualities", spec=QualitySpec,
    guard=lambda resolved, component, where: GuardedQuality(component, where),
)

@hookimpl
def magdr_kinds():
    return [QUALITY]
"""
COMPONENT = '''
def contrast(x):
    """Standard deviation of grey levels."""
    return x.mean(1).flatten(1).std(1)

@hookimpl
def magdr_qualities():
    return [QualitySpec(name="contrast", build=stateless(contrast))]
'''
VALUES = """
import click
from magdr_core.api import Figure, Recipe, Role, Scenario, hookimpl
MAGDR_API = 1

class Quality(Role):
    name, plural, kind = "quality", "qualities", "quality"
    figures = (Figure(name="sharpness", role="quality", needs=("sharpness",)),)

    def measure(self, run, cell, seen, component, rng):
        raise AssertionError("nobody runs it")

class Blur(Scenario):
    name, key = "blur", "blur"

    def slices(self, plan, earlier):
        return ()

    def make(self, images, part, clean):
        return {}

@hookimpl
def magdr_roles():
    return [Quality()]

@hookimpl
def magdr_scenarios():
    return [Blur()]

@hookimpl
def magdr_commands():
    return [click.Command("shout")]

@hookimpl
def magdr_recipes():
    return [Recipe(name="tiny", kind="parser", use="unet", trainer="acme:train", steps=1, pool=1)]
"""


@dataclass
class FakeEntry:
    """An installed distribution's entry point."""

    name: str
    value: str
    distribution: str

    @property
    def dist(self):
        return SimpleNamespace(name=self.distribution, version="1.0")

    def load(self):
        return importlib.import_module(self.value)


def names(host, kind=None):
    return [f"{entry.kind}:{entry.name}" for entry in host.entries(kind)]


def assert_clean(host):
    """Nothing of a refused plugin is left."""
    assert host.entries() == []
    assert {name for name, _ in host.manager.list_name_plugin()} == set(core_modules())
    assert host._order == []
    assert dict(host.kinds) == core_kinds()
    for hook in vars(host.manager.hook).values():
        if hasattr(hook, "get_hookimpls"):
            assert [i for i in hook.get_hookimpls() if i.plugin_name not in core_modules()] == []


def fault(host, namespace="acme"):
    with pytest.raises(PluginError) as e:
        host.load(namespace)
    assert "\n" not in str(e.value)
    return str(e.value)
