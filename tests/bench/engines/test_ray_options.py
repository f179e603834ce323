"""What `magdr bench --engine ray` says where it cannot work; needs no ray."""

import sys

import pytest
from click.testing import CliRunner

from magdr_core.bench.executors import ray as crew_ray
from magdr_core.bench.executors.ray import RayEngine, _connect, _room, _share
from magdr_core.cli import cli
from magdr_core.errors import MagdrError, RegistryError
from magdr_core.registry.read import parse_registry, read_registry
from tests.bench.engines.test_engine import LIGHT


@pytest.fixture
def bench(tmp_path, monkeypatch):
    (tmp_path / "light.toml").write_text(LIGHT)
    monkeypatch.chdir(tmp_path)
    return lambda *options: CliRunner().invoke(cli, ["bench", "light.toml", *options])


def test_without_the_package_one_line_says_what_to_install(bench, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = bench("--engine", "ray")
    assert isinstance(done.exception, MagdrError)
    assert str(done.exception) == '--engine ray needs the package ray: pip install "magdr[ray]"'
    assert [p.name for p in tmp_path.iterdir()] == ["light.toml"]


def test_an_address_is_of_a_ray_cluster(bench):
    done = bench("--address", "localhost:6379")
    assert done.exit_code == 2
    assert "say --engine ray" in done.output
    done = bench("--engine", "dask")
    assert done.exit_code == 2


def test_a_client_of_a_cluster_elsewhere_is_refused(monkeypatch):
    monkeypatch.setattr(crew_ray, "_ray", lambda: None)
    with pytest.raises(MagdrError, match="start the benchmark on a machine of the cluster"):
        RayEngine("ray://somewhere:10001")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:port"])
def test_an_address_where_nobody_answers_is_refused_at_once(address):
    class Ray:
        class exceptions:
            RayError = RuntimeError

    with pytest.raises(MagdrError, match=f"no Ray cluster at {address}: "):
        _connect(Ray, address)


def test_workers_fit_on_whole_machines_and_gpus():
    def node(alive=True, **resources):
        return {"Alive": alive, "Resources": resources}

    nodes = [node(CPU=5.0), node(CPU=16.0, GPU=2.0), node(CPU=64.0, GPU=8.0, alive=False)]
    assert _room(nodes, {"num_cpus": 2}) == 2 + 8
    assert _room(nodes, {"num_cpus": 1, "num_gpus": 1.0}) == 2
    assert _room(nodes, {"num_cpus": 1, "num_gpus": 0.3}) == 6
    assert _room(nodes, {"num_cpus": 4, "num_gpus": 0.1}) == 4
    assert _room(nodes, {"num_cpus": 32}) == 0


def test_what_a_worker_takes_is_in_the_registry(tmp_path):
    (tmp_path / "a.toml").write_text("[engine]\ngpus = 0.25\ncpus = 4\nworkers = 8\nretries = 0\n")
    engine = read_registry(tmp_path / "a.toml").engine
    assert (engine.gpus, engine.cpus, engine.workers, engine.retries) == (0.25, 4, 8, 0)
    assert _share(engine, "cpu") == {"num_cpus": 4}
    assert _share(engine, "cuda") == {"num_cpus": 4, "num_gpus": 0.25}
    for wrong in ("gpus = 0", "gpus = 1.5", "cpus = 0", "retries = -1", "gpu = 1"):
        with pytest.raises(RegistryError, match=r"a\.toml \[engine\]"):
            parse_registry(f"[engine]\n{wrong}\n", tmp_path / "a.toml")
