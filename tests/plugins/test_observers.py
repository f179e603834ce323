"""Observers that tell experiment trackers of a run: with the trackers where they are installed, else with
modules that record what they are told."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from magdr_plugins.observers import mlflow as to_mlflow
from magdr_plugins.observers import tensorboard as to_tensorboard
from magdr_plugins.observers import wandb as to_wandb
from magdr_plugins.observers._told import figures_of, files_of, params_of

from magdr_core.errors import PluginError
from magdr_core.hosting.manager import PluginHost
from magdr_core.hosting.named_observers import observer_named
from magdr_core.results.columns import COLUMNS

MANIFEST = {
    "registry": "small",
    "profile": "quick",
    "device": "cpu",
    "engine": "local",
    "commit": "",
    "settings": {"samples": 8, "attacks": ["pgd", "noise"], "threat": {"eps": 1}, "note": "x" * 400},
    "versions": {"torch": "2.14.1"},
}


def row(**named):
    usual = {
        **dict.fromkeys(COLUMNS, ""),
        **{"registry": "small", "task": "editing", "attack": "pgd", "eps": 6 / 255, "steps": 30},
        **{"knowledge": "adaptive", "role": "defense", "component": "magdr", "metric": "mse_o"},
        **{"value": 120.5, "ci_low": 100.0, "ci_high": 140.25, "n": 8, "seed": 0, "seconds": 1.5},
    }
    return {**usual, **named}


ROWS = [
    row(),
    row(variant="sweep 5", steps=5, value=10.0),
    row(variant="sweep 10", steps=10, value=20.0),
    row(attack="none", eps=0.0, steps=0, knowledge="none", value=1.0, ci_low=float("nan"), ci_high=""),
    row(role="detector", metric="tpr_at_1fpr", variant="5% of, 2", value=0.5),
    row(channel="webp", value=3.0, ci_low="", ci_high=""),
]

PLACE = "editing/defense/magdr/pgd 6 of 255 adaptive"


@pytest.fixture
def run(tmp_path):
    """A run folder with two of its files."""
    folder = tmp_path / "small-quick-1"
    folder.mkdir()
    (folder / "results.csv").write_text("a,b\n")
    (folder / "report.html").write_text("<p>")
    (folder / "values.safetensors").write_text("large")
    return folder


def told(observer, run):
    """As a host asks it, with its faults as errors."""
    host, said = PluginHost(), []
    host.add_observer(observer, "tracker")
    host.notify("magdr_run_finished", said.append, run=run, manifest=MANIFEST, rows=ROWS)
    assert said == []


# -- what is told -------------------------------------------------------------------------------------------


def test_figures_have_names_steps_and_intervals():
    found = {(t.name, t.step): t.value for t in figures_of(ROWS)}
    assert found[(f"{PLACE}/mse_o", 30)] == 120.5
    assert found[(f"{PLACE}/mse_o low", 30)] == 100.0
    assert found[(f"{PLACE}/mse_o high", 30)] == 140.25
    assert found[("editing/defense/magdr/clean none/mse_o", 0)] == 1.0
    assert ("editing/defense/magdr/clean none/mse_o low", 0) not in found
    assert found[(f"{PLACE} behind webp/mse_o", 30)] == 3.0
    assert found[("editing/detector/magdr/pgd 6 of 255 adaptive/tpr_at_1fpr 5_ of_ 2", 30)] == 0.5


def test_points_of_a_sweep_share_a_name():
    assert [t.step for t in figures_of(ROWS) if t.name == f"{PLACE}/mse_o sweep"] == [5, 10]


def test_parameters_are_short_texts():
    params = params_of(MANIFEST)
    assert params["settings.attacks"] == "pgd, noise"
    assert params["settings.samples"] == "8"
    assert params["versions.torch"] == "2.14.1"
    assert "commit" not in params
    assert "settings.threat" not in params
    assert len(params["settings.note"]) == 250


def test_files_are_those_that_are_there_and_small(run):
    assert [file.name for file in files_of(run)] == ["results.csv", "report.html"]


# -- the trackers themselves ------------------------------------------------------------------------------


def test_tensorboard_reads_what_was_written(run):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # the second takes the place of the first
        told(to_tensorboard, run)
    assert len(list((run / "tensorboard").iterdir())) == 1
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    curve = events.Scalars(f"{PLACE}/mse_o sweep")
    assert [(e.step, e.value) for e in curve] == [(5, 10.0), (10, 20.0)]


def test_mlflow_has_parameters_figures_and_files(run, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    told(to_mlflow, run)
    client = MlflowClient()
    (kept,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert kept.info.run_name == run.name
    assert kept.info.status == "FINISHED"
    assert kept.data.params["registry"] == "small"
    assert kept.data.metrics[f"{PLACE}/mse_o"] == 120.5
    curve = client.get_metric_history(kept.info.run_id, f"{PLACE}/mse_o sweep")
    assert sorted((m.step, m.value) for m in curve) == [(5, 10.0), (10, 20.0)]
    assert {f.path for f in client.list_artifacts(kept.info.run_id)} == {"results.csv", "report.html"}


@pytest.mark.slow
def test_wandb_keeps_a_run_offline(run, monkeypatch, tmp_path):
    """Its service takes half a minute to come and go where processors are few."""
    pytest.importorskip("wandb")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    told(to_wandb, run)
    (kept,) = (run / "wandb").glob("offline-run-*")
    record = next(kept.glob("run-*.wandb"))
    until = time.monotonic() + 60
    while record.stat().st_size < 1000 and time.monotonic() < until:
        time.sleep(0.2)  # its service writes it a moment after the run has ended
    assert record.stat().st_size > 1000
    files = {p.name for p in (kept / "files").iterdir()}
    assert {"results.csv", "report.html"} <= files


# -- their wiring, with modules in their place --------------------------------------------------------------


class FakeRun(SimpleNamespace):
    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.ended = True


def test_wandb_is_told_once_with_summary_table_and_files(run, tmp_path, monkeypatch):
    kept = FakeRun(dir=str(tmp_path / "kept"), summary={}, logged={}, ended=False)
    Path(kept.dir).mkdir()
    kept.log = kept.logged.update
    asked = []
    fake = ModuleType("wandb")
    fake.init = lambda **named: asked.append(named) or kept
    fake.Settings = lambda **named: named
    fake.Table = lambda columns, data: (columns, data)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    keys = tmp_path / "netrc"
    keys.write_text("machine elsewhere.example login me password p\n")
    monkeypatch.setenv("NETRC", str(keys))
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    to_wandb.magdr_run_finished(run, MANIFEST, ROWS)
    (named,) = asked
    assert (named["project"], named["name"], named["mode"]) == ("mine", run.name, "offline")
    assert named["config"]["profile"] == "quick"
    assert kept.summary[f"{PLACE}/mse_o"] == 120.5
    columns, data = kept.logged["results"]
    assert columns == list(COLUMNS)
    assert len(data) == len(ROWS)
    assert data[0][columns.index("variant")] is None
    assert {p.name for p in Path(kept.dir).iterdir()} == {"results.csv", "report.html"}
    assert kept.ended
    keys.write_text("machine api.wandb.ai login user password key\n")  # as `wandb login` leaves it
    to_wandb.magdr_run_finished(run, MANIFEST, ROWS)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    to_wandb.magdr_run_finished(run, MANIFEST, ROWS)
    assert [named["mode"] for named in asked] == ["offline", None, None]


class FakeClient:
    """Notes what it is asked; refuses files if `broken`."""

    asked: list
    broken = False

    def __getattr__(self, name):
        def ask(*given, **named):
            FakeClient.asked.append((name, given, named))
            if name == "log_artifact" and FakeClient.broken:
                raise OSError("disk full")
            if name == "create_run":
                return SimpleNamespace(info=SimpleNamespace(run_id="r1"))
            return None if name == "get_experiment_by_name" else "e1"

        return ask


@pytest.fixture
def fake_mlflow(monkeypatch):
    entities, tracking = ModuleType("mlflow.entities"), ModuleType("mlflow.tracking")
    entities.Metric = lambda *given: given
    entities.Param = lambda *given: given
    tracking.MlflowClient = FakeClient
    for name, module in (("mlflow.entities", entities), ("mlflow.tracking", tracking)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    monkeypatch.setattr(FakeClient, "asked", [], raising=False)
    monkeypatch.setattr(FakeClient, "broken", False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return FakeClient


def test_mlflow_is_told_in_batches(run, fake_mlflow, monkeypatch):
    monkeypatch.setattr(to_mlflow, "BATCH", 4)
    to_mlflow.magdr_run_finished(run, MANIFEST, ROWS)
    calls = [name for name, _, _ in fake_mlflow.asked]
    assert calls[:3] == ["get_experiment_by_name", "create_experiment", "create_run"]
    assert fake_mlflow.asked[1][1] == ("magdr",)
    batches = [named["metrics"] for _, _, named in fake_mlflow.asked if "metrics" in named]
    assert [len(b) for b in batches] == [4, 4, 4, 2]
    assert batches[0][0][:2] == (f"{PLACE}/mse_o", 120.5)
    assert batches[0][0][3] == 30
    assert fake_mlflow.asked[-1] == ("set_terminated", ("r1",), {})


def test_mlflow_is_told_that_it_failed(run, fake_mlflow, monkeypatch):
    monkeypatch.setattr(fake_mlflow, "broken", True)
    with pytest.raises(OSError, match="disk full"):
        to_mlflow.magdr_run_finished(run, MANIFEST, ROWS)
    assert fake_mlflow.asked[-1] == ("set_terminated", ("r1", "FAILED"), {})


def test_tensorboard_writes_into_the_run_folder(run, monkeypatch):
    written = []

    class Writer(SimpleNamespace):
        def __enter__(self):
            return self

        def __exit__(self, *error):
            written.append("closed")

        def add_scalar(self, *given):
            written.append(given)

        def add_text(self, name, text):
            written.append(text)

    fake = ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = lambda folder: written.append(folder) or Writer()
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    to_tensorboard.magdr_run_finished(run, MANIFEST, ROWS)
    assert written[0] == str(run / "tensorboard")
    assert written[1] == (f"{PLACE}/mse_o", 120.5, 30)
    assert '"registry": "small"' in written[-2]
    assert written[-1] == "closed"


# -- found by name ------------------------------------------------------------------------------------------


def test_a_bare_name_is_a_built_in_one(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    for name, module in (("mlflow", to_mlflow), ("tensorboard", to_tensorboard), ("wandb", to_wandb)):
        assert observer_named(name) is module
        assert observer_named(f"builtin/{name}") is module


def test_what_is_not_there_or_not_installed_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "old.py").write_text("MAGDR_API = 0\n")
    for name, words in (
        ("wandb", "observer 'wandb' needs wandb, which is not installed: pip install 'magdr[wandb]'"),
        ("wndb", "no observer 'wndb'; did you mean 'wandb'?"),
        ("acme/log", "no plugin 'acme' is installed"),
        ("missing.py", "observer 'missing.py' does not exist"),
        (str(tmp_path / "old.py"), "declares MAGDR_API = 0, this core speaks 1"),
    ):
        with pytest.raises(PluginError) as caught:
            observer_named(name)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_none_is_loaded_unless_it_is_asked_for():
    host = PluginHost()
    host.load_all(host.available())
    assert not any("observers" in plugin for plugin, _ in host.manager.list_name_plugin())
