"""The plugin host: what is found, named, blocked and claimed, and plugins in a registry's own files."""

from __future__ import annotations

import sys
from functools import cache
from types import ModuleType

import pluggy
import pytest
import torch
from plugin_fakes import METRIC, FakeEntry, assert_clean, fault, names

from magdr_core.errors import PluginError
from magdr_core.functional import median_blur
from magdr_core.hosting import discovery, entries, manager
from magdr_core.hosting.hookspecs import hookimpl
from magdr_core.hosting.manager import PluginHost
from tests.edits import edited

# The design's example, to the letter.
MEDIAN = '''
"""Median-filter restoration."""
from typing import Annotated
from magdr_core.api import Field, RestorationSpec, hookimpl, stateless
from magdr_core.functional import median_blur

MAGDR_API = 1

def median(x, *, radius: Annotated[int, Field(ge=1, le=5)] = 1):
    """Median of each (2 radius + 1)^2 window. [B,3,H,W] -> same."""
    return median_blur(x, 2 * radius + 1)

@hookimpl
def magdr_restorations():
    return [RestorationSpec(name="median", build=stateless(median), stage="denoise", grid={"radius": [1, 2, 3]})]
'''  # noqa: E501


# -- discovery ------------------------------------------------------------------------------------------


def test_plugins_builtins_come_through_the_entry_point_only(installed):
    host = PluginHost()
    assert host.entries() == [], "nothing is loaded before it is named"
    host.load("builtin")
    assert not host.failures
    assert {"attack:pgd", "metric:l1", "restoration:median"} <= set(names(host))
    installed(builtin=False)
    bare = PluginHost()
    with pytest.raises(PluginError, match="no plugin named 'builtin'"):
        bare.find("attack", "pgd")
    assert_clean(bare)


def test_plugins_every_builtin_file_provides_a_component():
    host = PluginHost()
    host.load("builtin")
    modules = discovery.plugin_modules(sys.modules["magdr_plugins"], host.folders())
    assert {entry.origin.plugin for entry in host.entries()} == {f"builtin.{name}" for name in modules}
    for entry in host.entries():
        folder = entry.origin.plugin.split(".")[1]
        assert folder == host.kinds[entry.kind].plural, "one folder per kind"
        assert entry.spec.summary, f"{entry.name} has no docstring"


def test_plugins_order_is_stable(package, installed):
    package({"metrics/b.py": METRIC.format(name="z"), "metrics/a.py": METRIC.format(name="y")})
    hosts = []
    for order in (("builtin", "acme"), ("acme", "builtin")):
        host = PluginHost()
        for namespace in order:
            host.load(namespace)
        hosts.append(host)
    assert names(hosts[0]) == names(hosts[1])
    assert names(hosts[0], "metric") == sorted(names(hosts[0], "metric"))
    loaded = [plugin for plugin in hosts[0]._order if plugin.startswith("acme")]
    assert loaded == ["acme.metrics.a", "acme.metrics.b"]
    assert hosts[0]._order[:-2] == sorted(hosts[0]._order[:-2])


def test_plugins_loading_twice_is_loading_once():
    host = PluginHost()
    host.load("builtin")
    before = host.entries()
    host.load("builtin")
    assert host.entries() == before


def test_plugins_own_modules_that_are_there_are_not_imported_again(monkeypatch):
    """Each toolkit has a host, and the package a hundred modules."""
    PluginHost().load("builtin")
    monkeypatch.setattr(manager, "import_plugin", lambda *given: pytest.fail("imported again"))
    host = PluginHost()
    host.load("builtin")
    assert host.failures == []
    assert host.entries("attack")


def test_plugins_hooks_are_those_that_pluggy_finds():
    class Gives:
        @hookimpl(specname="magdr_attacks")
        def method(self):
            return []

    module = ModuleType("acme")
    given = {"function": hookimpl(specname="magdr_metrics")(lambda: []), "method": Gives().method}
    given["cached"] = hookimpl(specname="magdr_metrics")(cache(lambda: []))
    vars(module).update(given, plain=lambda: [], built_in=len, kind=Gives, constant=1)
    host = PluginHost()
    host.load("builtin")
    theirs = pluggy.PluginManager("magdr")
    for one in (module, *host.manager.get_plugins()):
        for name in dir(one):
            assert host.manager.parse_hookimpl_opts(one, name) == theirs.parse_hookimpl_opts(one, name), name
    found = {n for n in dir(module) if host.manager.parse_hookimpl_opts(module, n)}
    assert found - {"cached"} == {"function", "method"}, "the third is a hook to older pluggys alone"


def test_plugins_own_hooks_of_the_package_are_asked_once_in_a_process(monkeypatch):
    asked = []

    def counted(action):
        asked.append(action)
        return imported(action)

    imported = entries.imported
    first = PluginHost()
    first.load("builtin")
    monkeypatch.setattr(entries, "imported", counted)
    again = PluginHost()
    again.load("builtin")
    assert asked == []
    assert [(e.kind, e.name) for e in again.entries()] == [(e.kind, e.name) for e in first.entries()]


def test_plugins_names_are_bare_for_builtins_only(package):
    package({"metrics/l1.py": METRIC.format(name="l1")})
    host = PluginHost()
    assert host.find("metric", "acme/l1").origin.distribution == "acme-dist"
    assert host.find("metric", "l1").origin.distribution == "magdr"
    assert str(host.find("metric", "acme/l1").origin) == "acme.metrics.l1 (acme-dist 1.0)"


def test_plugins_helpers_and_subpackages_are_no_plugins(package):
    package({"metrics/_help.py": "raise SystemExit", "metrics/good.py": METRIC.format(name="good")})
    host = PluginHost()
    host.load("acme")
    assert names(host) == ["metric:acme/good"]
    assert not host.failures


def test_plugins_unnamed_ones_are_not_imported(package, tmp_path):
    package({"__init__.py": f"open({str(tmp_path / 'mark')!r}, 'w')", "metrics/m.py": METRIC})
    host = PluginHost()
    host.find("metric", "l1")
    assert "acme" in host.available()
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("api_line", ["MAGDR_API = 1", ""])
def test_plugins_one_module_distribution(package, api_line):
    package({"__init__.py": edited(METRIC.format(name="one"), ("MAGDR_API = 1", api_line))})
    host = PluginHost()
    if api_line:
        host.load("acme")
        assert names(host) == ["metric:acme/one"]
    else:
        assert "does not declare MAGDR_API, this core speaks 1" in fault(host)
        assert_clean(host)


# -- blocking -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["argument", "environment", "registry"])
@pytest.mark.parametrize("pattern", ["acme.metrics.loud", "acme.*.loud", "*.lou?", "acme.metrics.[k-m]*"])
def test_plugins_blocked_module_is_never_imported(package, tmp_path, monkeypatch, toolkit_from, way, pattern):
    mark = tmp_path / "mark"
    package(
        {
            "metrics/loud.py": f"open({str(mark)!r}, 'w')\n" + METRIC.format(name="loud"),
            "metrics/quiet.py": METRIC.format(name="quiet"),
        }
    )
    if way == "environment":
        monkeypatch.setenv("MAGDR_BLOCK", f"other, {pattern}")
    if way == "registry":
        host = toolkit_from(f'[plugins]\nblock = ["{pattern}"]').host
    else:
        host = PluginHost(block=[pattern] if way == "argument" else [])
    host.load("acme")
    assert names(host) == ["metric:acme/quiet"]
    assert not mark.exists()
    assert "acme_pkg.metrics.loud" not in sys.modules
    with pytest.raises(PluginError, match=r"'acme/loud': its plugin 'acme.metrics.loud' is blocked"):
        host.find("metric", "acme/loud")


def test_plugins_blocked_as_a_whole(package, tmp_path):
    package({"__init__.py": f"open({str(tmp_path / 'mark')!r}, 'w')"})
    host = PluginHost(block=["ac*"])
    assert fault(host) == "plugin 'acme' is blocked"
    assert not (tmp_path / "mark").exists()


def test_plugins_blocked_local_file_is_never_imported(local, tmp_path):
    host = local(f"open({str(tmp_path / 'mark')!r}, 'w')", block=["acme"])
    assert fault(host) == "plugin 'acme' is blocked"
    assert not (tmp_path / "mark").exists()


def test_plugins_blocked_module_with_another_name_is_hinted_at():
    host = PluginHost(block=["builtin.restorations.compress"])
    with pytest.raises(PluginError) as e:
        host.find("restoration", "bit-depth")
    assert "not loaded: builtin.restorations.compress (blocked)" in str(e.value)
    with pytest.raises(PluginError) as e:
        host.find("attack", "pdg")
    assert str(e.value) == "no attack named 'pdg'; did you mean 'pgd'?"


# -- names that are claimed -----------------------------------------------------------------------------


def test_plugins_two_distributions_claim_one_name(installed):
    installed(FakeEntry("acme", "acme_a", "dist-b"), FakeEntry("acme", "acme_b", "dist-a"))
    host = PluginHost()
    said = "plugin name 'acme' is claimed by dist-a and dist-b; uninstall one of them"
    assert fault(host) == said
    assert fault(host) == said, "and again"
    host.load("builtin")
    assert not host.failures


def test_plugins_foreign_claim_of_builtin_is_ignored(package, installed):
    package({"metrics/l1.py": "raise SystemExit"})
    installed(FakeEntry("builtin", "acme_pkg", "evil"))
    host = PluginHost()
    assert host.find("metric", "l1").origin.distribution == "magdr"
    assert "acme_pkg" not in sys.modules
    installed(FakeEntry("builtin", "acme_pkg", "evil"), builtin=False)
    assert "no plugin named 'builtin'" in fault(PluginHost(), "builtin")


def test_plugins_unknown_plugin_is_told_with_a_suggestion(package):
    package({})
    assert fault(PluginHost(), "acmee") == "no plugin named 'acmee'; did you mean 'acme'?"
    with pytest.raises(PluginError, match="no plugin named 'built'; did you mean 'builtin'"):
        PluginHost().find("metric", "built/l1")


# -- local plugins --------------------------------------------------------------------------------------


def test_plugins_design_example_works_as_it_stands(tmp_path, toolkit_from):
    (tmp_path / "acme_median.py").write_text(MEDIAN)
    text = """
[plugins]
local = { acme = "./acme_median.py" }
[restoration.median]
use = "acme/median"
params = { radius = 2 }
"""
    kit = toolkit_from(text)
    x = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(kit.build("restoration", "median")(x), median_blur(x, 5))
    origin = kit.resolve("restoration", "median").entry.origin
    assert str(origin) == "acme (acme_median.py)"
    with pytest.raises(Exception, match="radious") as e:
        toolkit_from(edited(text, ("radius", "radious"))).resolve("restoration", "median")
    assert str(e.value) == (
        "bad.toml [restoration.median]: acme/median has no parameter 'radious'; did you mean 'radius'?"
    )


def test_plugins_local_dotted_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "acme_pkg_dotted").mkdir()
    (tmp_path / "acme_pkg_dotted" / "mine.py").write_text(METRIC.format(name="mine"))
    dotted = "acme_pkg_dotted.mine"
    host = PluginHost(local={"acme": dotted, "twin": dotted})
    entry = host.find("metric", "acme/mine")
    assert len(entry.origin.source_hash) == 64, "its source is part of result keys"
    assert entry.origin.package == "acme_pkg_dotted"
    assert "plugin 'twin' (mine.py)" in fault(host, "twin"), "one module under two names"
    assert names(host) == ["metric:acme/mine"]


def test_plugins_local_module_or_file_missing(tmp_path):
    host = PluginHost(local={"file": "./nope.py", "module": "no_such_thing.mine"}, base=tmp_path)
    assert fault(host, "file") == "plugin 'file': local file './nope.py' does not exist"
    assert "No module named 'no_such_thing'" in fault(host, "module")


def test_plugins_local_path_may_start_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.py").write_text(METRIC.format(name="mine"))
    host = PluginHost(local={"acme": "~/mine.py"}, base=tmp_path / "elsewhere")
    assert host.find("metric", "acme/mine")


def test_plugins_local_builtin_is_refused(toolkit_from):
    with pytest.raises(Exception, match="cannot be called 'builtin'") as e:
        toolkit_from('[plugins]\nlocal = { builtin = "x.py" }')
    assert str(e.value).startswith("bad.toml [plugins]: ")


def test_plugins_local_wins_over_an_installed_one(package, tmp_path):
    package({"metrics/m.py": METRIC.format(name="m")})
    (tmp_path / "mine.py").write_text(METRIC.format(name="mine"))
    host = PluginHost(local={"acme": "mine.py"}, base=tmp_path)
    host.load("acme")
    assert names(host) == ["metric:acme/mine"]


def test_plugins_two_toolkits_with_files_of_one_name_do_not_see_each_other(tmp_path, toolkit_from):
    kits = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(METRIC.format(name=folder) + f"WHO = {folder!r}\n")
        text = '[plugins]\nlocal = { acme = "mine.py" }\nuse = ["acme"]'
        kits.append(toolkit_from(text, path=tmp_path / folder / "registry.toml"))
    assert [names(kit.host) for kit in kits] == [["metric:acme/one"], ["metric:acme/two"]]
    assert [kit.host.manager.get_plugin("acme").WHO for kit in kits] == ["one", "two"]
    for kit in kits:
        module = kit.host.manager.get_plugin("acme")
        assert sys.modules[module.__name__] is module, "neither took the other's place"
    keys = [kit.host.entries()[0].origin.source_hash for kit in kits]
    assert keys[0] != keys[1]
