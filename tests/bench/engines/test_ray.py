"""A real Ray cluster of two workers: killed, crashing and broken, it gives what this process gives."""

import os
import secrets
import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests.edits import edited

ray = pytest.importorskip("ray", reason='needs the extra "ray"')

from magdr_core.bench.executors.ray import RayEngine, _connect, _ray  # noqa: E402
from magdr_core.errors import MagdrError  # noqa: E402
from magdr_core.hosting.hookspecs import hookimpl  # noqa: E402
from tests.bench.conftest import Workshop  # noqa: E402
from tests.bench.engines.test_engine import FITTED, LIGHT, files, same  # noqa: E402
from tests.bench.test_run import BROKEN  # noqa: E402

TWO = "\n[engine]\nworkers = 2\nretries = 1\n"

CRASHING = '''
"""A defense that takes its process with it, but for the one that started the benchmark."""
import os, signal
from magdr_core.api import DefenseSpec, hookimpl, stateless
MAGDR_API = 1

def fatal(x, c, G):
    if os.environ.get("NOT_ME") != str(os.getpid()):
        os.kill(os.getpid(), signal.SIGKILL)
    return x

@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="fatal", build=stateless(fatal))]
'''


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Small, on this machine, for all tests here."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray") as folder:
        patch.setenv("RAY_TMPDIR", folder)  # short, for sockets
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else ray leaves one in the home folder
        _connect(_ray(), None)
        yield
        ray.shutdown()


def busy_workers():
    """Process ids of this cluster's workers that are doing something: grandchildren with such a title."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            title = (process / "cmdline").read_bytes()
            if title.startswith(b"ray::Worker.do") and parent(parent(int(process.name))) == os.getpid():
                found.append(int(process.name))
        except (OSError, ValueError):
            continue
    return found


def parent(process):
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


class Killer:
    """Kills a busy worker when the first cell is there, and tells which."""

    def __init__(self):
        self.killed = None

    @hookimpl
    def magdr_cell_finished(self, cell):
        until = time.monotonic() + 20
        while self.killed is None and time.monotonic() < until:
            for process in busy_workers()[:1]:
                os.kill(process, signal.SIGKILL)
                self.killed = process
            time.sleep(0.01)


def test_a_run_with_a_killed_worker_gives_what_this_process_gives(fresh_shop, tmp_path_factory):
    shop = Workshop(tmp_path_factory.mktemp("local"))
    local = shop.run(FITTED, limit=3)
    bench = fresh_shop.bench(FITTED + TWO, engine=RayEngine(), limit=3)
    killer = Killer()
    bench.toolkit.host.add_observer(killer, "killer")
    run = bench.run()
    assert killer.killed is not None
    assert not Path(f"/proc/{killer.killed}").exists()
    lost = [m for m in fresh_shop.messages if m.startswith("lost a worker (")]
    assert len(lost) == 1
    assert lost[0].endswith("; the work goes to another")
    assert not run.failures
    assert run.computed == len(local.cells)
    same(run, local)
    assert files(fresh_shop.folder / "cache").keys() == files(shop.folder / "cache").keys()
    assert busy_workers() == []


def test_what_has_no_room_or_no_cluster_is_refused_before_anything_is_written(fresh_shop):
    bench = fresh_shop.bench(LIGHT + "\n[engine]\ncpus = 1000\n", engine=RayEngine())
    with pytest.raises(MagdrError, match=r"no machine .* has room for a worker, which takes 1000 CPU cores;"):
        bench.run()
    assert not bench.folder.exists()
    assert ray.is_initialized()  # it is not ours to end
    with pytest.raises(MagdrError, match="no Ray cluster at "):
        fresh_shop.run(LIGHT, engine=RayEngine("127.0.0.1:1"))  # this process has one already
    assert not bench.folder.exists()


def test_crashing_and_broken_plugins_fail_alone(fresh_shop, monkeypatch):
    (fresh_shop.folder / "fatal.py").write_text(CRASHING)
    (fresh_shop.folder / "bad.py").write_text(BROKEN)
    text = edited(LIGHT, ('defenses = ["jpeg"]', 'defenses = ["jpeg", "fatal", "broken"]'))
    text = edited(text, ('seeds = [0, 1]\nattacks = ["pgd", "noise"]\n', ""))
    text += '\n[plugins]\nlocal = { a = "./fatal.py", b = "./bad.py" }\n[defense.fatal]\nuse = "a/fatal"\n'
    text += '[defense.broken]\nuse = "b/bad"\n' + edited(TWO, ("retries = 1", "retries = 0"))
    run = fresh_shop.run(text, engine=RayEngine())
    errors = {c.facts.component: c.error for c in run.failures}
    assert errors.keys() == {"fatal", "broken"}
    assert errors["fatal"].startswith("tried once, and lost the worker: worker ")
    assert "b/bad" in errors["broken"]
    monkeypatch.setenv("NOT_ME", str(os.getpid()))
    local = fresh_shop.run(text, out="local")
    assert {c.facts.component for c in local.failures} == {"broken"}
    # What had failed is computed, all else is there.
    assert local.computed == 1
    kept = [c.key for c in run.cells if not c.failed]
    assert kept == [c.key for c in local.cells if c.reused]
