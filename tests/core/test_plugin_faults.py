"""Broken plugins are refused, rolled back and told; broken observers are reported."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from plugin_fakes import METRIC, FakeEntry, assert_clean, fault, names

from magdr_core.errors import BrokenPluginError, PluginError
from magdr_core.hosting.hookspecs import hookimpl
from magdr_core.hosting.manager import Origin, PluginHost
from magdr_core.measures import evasion
from tests.edits import edited

# -- broken plugins -------------------------------------------------------------------------------------

BROKEN = {
    "raises": ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
    "exits": ("import sys; sys.exit(3)", "cannot be imported: SystemExit: 3"),
    "syntax": ("def", "cannot be imported: SyntaxError: invalid syntax"),
    "missing": ("import no_such_thing", "No module named 'no_such_thing'"),
    "replaces": (
        "from magdr_core.measures import evasion\nevasion.undetected = abs",
        "cannot be imported: RuntimeError: changes code of magdr_core.measures.evasion",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_plugins_broken_module_of_a_package_is_recorded_and_the_others_work(package, case):
    text, message = BROKEN[case]
    package({"metrics/bad.py": text, "metrics/good.py": METRIC.format(name="good")})
    host = PluginHost()
    host.load("acme")
    assert names(host) == ["metric:acme/good"]
    [failure] = host.failures
    assert failure.plugin == "acme.metrics.bad"
    assert message in str(failure.error)
    assert str(failure.error).startswith("plugin 'acme.metrics.bad' (acme_pkg.metrics.bad): ")
    with pytest.raises(PluginError) as e:
        host.find("metric", "acme/bad")
    assert message in str(e.value), "asking for it says why it is not there"
    with pytest.raises(PluginError) as e:
        host.find("metric", "acme/other-name")
    assert "not loaded: acme.metrics.bad (broken)" in str(e.value)


def test_plugins_what_was_replaced_before_a_plugin_is_imported_is_not_its_fault(package, monkeypatch):
    package({"metrics/a.py": METRIC.format(name="a")})
    host = PluginHost(local={"own": "xml.dom"})  # any module will do
    with pytest.raises(PluginError, match="MAGDR_API"):
        host.load("own")
    monkeypatch.setattr(evasion, "undetected", abs)  # by a test of one's own, say
    host.load("acme")
    assert not host.failures
    assert evasion.undetected is abs


@pytest.mark.parametrize("case", BROKEN)
def test_plugins_broken_local_file(local, case):
    text, message = BROKEN[case]
    before, function = set(sys.modules), evasion.undetected
    host = local(text)
    said = fault(host)
    assert said.startswith("plugin 'acme' (old.py): ")
    assert message in said
    assert_clean(host)
    assert not [name for name in set(sys.modules) - before if name.startswith("magdr_local_acme")]
    assert evasion.undetected is function


def test_plugins_keyboard_interrupt_is_not_swallowed(local):
    host = local("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        host.load("acme")


SPEC = "[MetricSpec(name='a', build=stateless(f))]"
REFUSED = {
    "api missing": (
        "MAGDR_API = 1",
        "",
        "plugin 'acme' (old.py): does not declare MAGDR_API, this core speaks 1",
    ),
    "api old": (
        "MAGDR_API = 1",
        "MAGDR_API = 0",
        "plugin 'acme' (old.py): declares MAGDR_API = 0, this core speaks 1",
    ),
    "unknown hook": ("def magdr_metrics", "def magdr_metricz", "unknown hook 'magdr_metricz'"),
    "hook argument": ("def magdr_metrics()", "def magdr_metrics(host)", "host"),
    "not a list": (SPEC, "MetricSpec(name='a', build=stateless(f))", "must return a list of MetricSpec"),
    "nothing": (SPEC, "None", "plugin 'acme' (old.py): magdr_metrics must return a list of MetricSpec"),
    "wrong spec": (
        SPEC,
        "[AugmentationSpec(name='a', build=stateless(f))]",
        "plugin 'acme' (old.py): magdr_metrics returned a AugmentationSpec, expected MetricSpec",
    ),
    "not a spec": (SPEC, "['l1']", "magdr_metrics returned a str, expected MetricSpec"),
    "twice": (SPEC, f"{SPEC} * 2", "plugin 'acme' (old.py): metric 'acme/a' is already provided by acme"),
    "hook raises": (SPEC, "[1 / 0]", "plugin 'acme' (old.py): ZeroDivisionError: division by zero"),
    "bad name": ("name='a'", "name='A'", "name 'A': use lower-case letters, digits and single hyphens"),
    "untyped": ("masks):", "masks, *, p=1):", "TypeError: parameter 'p' of f has no annotation"),
    "unknown annotation": ("masks):", "masks, *, p: 'Nope' = 1):", "NameError: name 'Nope' is not defined"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_plugins_refused_plugin_is_rolled_back_entirely(local, case):
    old, new, message = REFUSED[case]
    text = (
        "from magdr_core.api import AugmentationSpec, MetricSpec, hookimpl, stateless\n"
        "MAGDR_API = 1\n"
        "def f(a, b, masks):\n    return 0\n"
        "@hookimpl\ndef magdr_augmentations():\n"
        "    return [AugmentationSpec(name='fine', build=stateless(f))]\n"
        f"@hookimpl\ndef magdr_metrics():\n    return {SPEC}\n"
    )
    assert old in text
    host = local(edited(text, (old, new)))
    said = fault(host)
    assert message in said
    assert "plugin 'acme' (old.py)" in said
    assert_clean(host)
    host.load("builtin")  # and the next plugin is not blamed for it
    assert not host.failures
    assert not [name for name in names(host) if "acme" in name]


def test_plugins_name_taken_within_a_package(package):
    package({"metrics/a.py": METRIC.format(name="same"), "metrics/b.py": METRIC.format(name="same")})
    host = PluginHost()
    host.load("acme")
    assert host.find("metric", "acme/same").origin.plugin == "acme.metrics.a"
    [failure] = host.failures
    assert str(failure.error) == (
        "plugin 'acme.metrics.b' (b.py): metric 'acme/same' is already provided by "
        "acme.metrics.a (acme-dist 1.0)"
    )
    assert host.manager.list_name_plugin()[-1][0] == "acme.metrics.a"


def test_plugins_entry_point_that_is_no_module(installed):
    entry = FakeEntry("acme", "sys", "acme-dist")
    entry.load = lambda: object()
    installed(entry)
    assert "a plugin is a module, this is a object" in fault(PluginHost())


# -- events ---------------------------------------------------------------------------------------------


class Observer:
    def __init__(self, name, calls):
        self.name = name
        self.calls = calls

    @hookimpl
    def magdr_cell_finished(self, cell):
        if cell is None:
            raise ValueError(f"{self.name}\nis tired")
        self.calls.append((self.name, cell))


def test_plugins_observers_are_called_in_order_and_failures_reported():
    calls, reports = [], []
    host = PluginHost()
    module = ModuleType("watcher")
    module.MAGDR_API = 1
    module.magdr_cell_finished = Observer("plugin", calls).magdr_cell_finished
    for name in ("b", "a", "c"):
        host.add_observer(Observer(name, calls), name)
    host.register(module, Origin("watcher", "watcher", "", "", "", None))
    host.notify("magdr_cell_finished", reports.append, run=None, cell={"k": 1})
    assert [name for name, _ in calls] == ["plugin", "b", "a", "c"]
    assert calls[0][1] == {"k": 1}
    host.notify("magdr_run_started", reports.append, run=None, manifest={}, cells=3)
    assert not reports, "nobody listens to that"


def test_plugins_failing_observer_is_reported_and_the_others_still_run():
    calls, reports = [], []
    host = PluginHost()
    tired, awake = Observer("tired", calls), Observer("awake", calls)
    tired.magdr_cell_finished = hookimpl(lambda cell: 1 / 0)
    host.add_observer(tired, "tired")
    host.add_observer(awake, "awake")
    host.notify("magdr_cell_finished", reports.append, run=None, cell={})
    assert calls == [("awake", {})]
    assert reports == ["observer 'tired' failed in magdr_cell_finished: ZeroDivisionError: division by zero"]


def test_plugins_observer_with_a_misspelt_hook_is_refused_at_once():
    host = PluginHost()
    with pytest.raises(Exception, match="magdr_cell_finishd"):
        host.add_observer(SimpleNamespace(magdr_cell_finishd=hookimpl(lambda cell: None)), "wrong")
    host.load("builtin")
    assert not host.failures
    assert host.entries()


@pytest.mark.parametrize(
    ("does", "named"),
    [
        ("torch.set_default_dtype(torch.float64)", "changes torch's default dtype"),
        ("os.chdir('/')", "changes the working directory"),
    ],
)
def test_plugin_that_changes_the_process_when_imported_is_broken(does, named, tmp_path):
    (tmp_path / "bad.py").write_text(f"import os, torch\nMAGDR_API = 1\n{does}\n")
    before = os.getcwd(), torch.get_default_dtype()
    with pytest.raises(BrokenPluginError, match=f"bad.py.*{named}"):
        PluginHost(local={"acme": "./bad.py"}, base=tmp_path).load("acme")
    assert (os.getcwd(), torch.get_default_dtype()) == before


def test_plugin_that_draws_when_imported_leaves_the_random_state(tmp_path):
    (tmp_path / "seeds.py").write_text("import torch\nMAGDR_API = 1\ntorch.manual_seed(5)\n")
    before = torch.get_rng_state()
    PluginHost(local={"acme": "./seeds.py"}, base=tmp_path).load("acme")
    assert torch.equal(torch.get_rng_state(), before)
