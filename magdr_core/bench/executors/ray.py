"""Workers on a Ray cluster: one actor each, with a toolkit of its own, on the share of a GPU that it takes.

Needs the package ray (`pip install "magdr[ray]"`), which is imported when it is used. Nothing is reported to
anybody: usage statistics and the dashboard are off in a cluster that is started here.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magdr_core.bench.executors.coordinator import run_with
from magdr_core.bench.executors.local import GroupResult, Job
from magdr_core.bench.executors.scheduler import Crew, Done, Event, Lost, Ready
from magdr_core.bench.executors.store_proxy import StoreReader
from magdr_core.bench.executors.toolkit_snapshot import Parcel, parcel_of
from magdr_core.bench.executors.worker import Desk, Order, UnitResult
from magdr_core.errors import MagdrError, one_line
from magdr_core.files.disk import Content
from magdr_core.registry.settings import EngineSettings
from magdr_core.toolkit import Toolkit

OBJECTS = 256 * 2**20
"""Bytes of shared memory of a cluster that is started here; what workers exchange is small."""

PATIENCE = 1.0
"""Seconds between two looks at how far the workers are."""

ANSWER = 10.0
"""Seconds that a cluster may take to answer."""

LONELY = 60.0
"""Seconds without any worker until that is said."""

STARTS = 3
"""So often in a row may workers die while they start."""


class RayEngine:
    """Cells on a Ray cluster.

    Args:
        address: HOST:PORT of a running cluster, or "auto" for the one that this machine belongs to; None
            takes the one that this process is connected to, else it starts one on this machine, of all its
            cores and GPUs, for the time of the run. The files of that are in RAY_TMPDIR, by default /tmp/ray.

    Raises:
        MagdrError: ray is not installed.
    """

    name = "ray"

    def __init__(self, address: str | None = None) -> None:
        if address is not None and address.startswith("ray://"):
            raise MagdrError(
                f"address {address!r}: start the benchmark on a machine of the cluster, with HOST:PORT or "
                "auto; the store is written there"
            )
        self.address = address
        self._connected = False
        _ray()

    def check(self, toolkit: Toolkit) -> None:
        """Connect, for the run that follows.

        Raises:
            MagdrError: no cluster, no room in it, or components that cannot be sent.
        """
        parcel_of(toolkit)
        ray = _ray()
        if self.address is not None or not ray.is_initialized():
            _connect(ray, self.address)
            self._connected = True
        share = _share(toolkit.registry.engine, toolkit.device.type)
        if _room(ray.nodes(), share) == 0:
            self._leave()
            raise MagdrError(
                f"no machine of the Ray cluster has room for a worker, which takes {_said(share)}; "
                "see [engine] of the registry"
            )

    def _leave(self) -> None:
        if self._connected:
            _ray().shutdown()
        self._connected = False

    def threads(self, toolkit: Toolkit) -> int:
        return toolkit.registry.engine.cpus

    def run(self, job: Job) -> list[GroupResult]:
        try:
            return run_with(job, self._crew, retries=job.toolkit.registry.engine.retries)
        finally:
            self._leave()

    @contextmanager
    def _crew(self, job: Job) -> Iterator[Crew]:
        crew = RayCrew(_ray(), job)
        try:
            yield crew
        finally:
            crew.dismiss()


class RayCrew:
    """One actor per worker, and one beside the store that reads for them."""

    def __init__(self, ray: Any, job: Job) -> None:
        self.ray, self.job = ray, job
        settings = job.toolkit.registry.engine
        self._share = _share(settings, job.toolkit.device.type)
        wanted = min(_room(ray.nodes(), self._share), sum(len(group.cells) for group in job.groups))
        if settings.workers:
            wanted = min(wanted, settings.workers)
        # Started here, so that it stands beside the store; it reads, this process writes.
        here = ray.get_runtime_context().get_node_id()
        beside = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        self._reader = (
            ray.remote(StoreReader)
            .options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=beside)
            .remote(str(job.store.root.absolute()))
        )
        self._actor = ray.remote(Worker).options(**self._share)
        self._sent = ray.put(Sent(parcel_of(job.toolkit), job.profile, tuple(job.groups), settings.cpus))
        self._actors: dict[int, Any] = {}
        self._pending: dict[Any, tuple[int, bool]] = {}
        self._hired = self._died = 0
        self._alone = time.monotonic()
        for _ in range(wanted):
            self._hire()

    def _hire(self) -> None:
        number, self._hired = self._hired, self._hired + 1
        actor = self._actor.remote(number, self._reader, self._sent)
        self._actors[number] = actor
        self._pending[actor.open.remote()] = (number, True)

    def start(self, worker: int, order: Order) -> None:
        self._pending[self._actors[worker].do.remote(order)] = (worker, False)

    def wait(self) -> Sequence[Event]:
        found, _ = self.ray.wait(list(self._pending), num_returns=1, timeout=PATIENCE)
        if not all(opened for _, opened in self._pending.values()):
            self._alone = time.monotonic()
        elif time.monotonic() - self._alone > LONELY:
            self._alone = math.inf
            self.job.report(f"no Ray worker yet, each takes {_said(self._share)}; waiting")
        if not found:
            self._tell()
        return [self._event(ref, *self._pending.pop(ref)) for ref in found]

    def _event(self, ref: Any, worker: int, opened: bool) -> Event:
        errors = self.ray.exceptions
        try:
            value = self.ray.get(ref)
        except errors.RayTaskError:
            raise  # a fault of this program, as it would be here
        except errors.RayError as e:
            self.ray.kill(self._actors.pop(worker))  # it may only be out of reach, and hold its share
            why = f"worker {worker} is gone ({type(e).__name__})"
            self._died = self._died + 1 if opened else 0
            if self._died >= STARTS:
                raise MagdrError(f"Ray workers die while they start: {one_line(e)}") from e
            self._hire()
            return Lost(worker, why)
        if not opened:
            return Done(worker, value)
        if value is not None:
            raise MagdrError(value)
        self._died = 0
        return Ready(worker)

    def _tell(self) -> None:
        """Show how far one worker is: the first that has something to say."""
        try:
            said = self.ray.get(self._reader.heard.remote(), timeout=PATIENCE)
        except self.ray.exceptions.RayError:
            return
        for worker in sorted(said):
            if worker in self._actors:
                self.job.progress(*said[worker])
                return

    def dismiss(self) -> None:
        for actor in (*self._actors.values(), self._reader):
            self.ray.kill(actor)


# -- in the actors ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """What every worker gets once."""

    parcel: Parcel
    profile: Any
    groups: tuple[Any, ...]
    threads: int


class Worker:
    """A desk in a process of its own."""

    def __init__(self, number: int, reader: Any, sent: Sent) -> None:
        self._number, self._reader, self._sent = number, reader, sent
        self._at = 0.0
        self._folder = tempfile.TemporaryDirectory(prefix="magdr-")
        self._desk: Desk | None = None

    def open(self) -> str | None:
        """Get ready; what is wrong on this machine, or None."""
        import platform

        import torch

        torch.set_num_threads(self._sent.threads)
        try:
            toolkit = self._sent.parcel.unpack(Path(self._folder.name))
        except MagdrError as e:
            return f"the Ray worker on {platform.node()}: {one_line(e)}"
        self._desk = Desk(toolkit, self._sent.profile, self._sent.groups, self._fetch, self._tell)
        return None

    def do(self, order: Order) -> UnitResult:
        from magdr_core.isolation import interrupts

        assert self._desk is not None
        with interrupts.watched():
            return self._desk.do(order)

    def _fetch(self, name: str) -> Content:
        import ray

        content: Content = ray.get(self._reader.read.remote(name))
        return content

    def _tell(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._at >= PATIENCE / 2:
            self._at = now
            self._reader.hear.remote(self._number, what, done, total)


# -- the cluster -----------------------------------------------------------------------------------------


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise MagdrError('--engine ray needs the package ray: pip install "magdr[ray]"') from None
    return ray


def _connect(ray: Any, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is not None:
            _knock(address)
            ray.init(address=address, **quiet)
        else:
            ray.init(address="local", include_dashboard=False, object_store_memory=OBJECTS, **quiet)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as e:
        where = "on this machine" if address is None else f"at {address}"
        raise MagdrError(f"no Ray cluster {where}: {one_line(e)}") from e


def _knock(address: str) -> None:
    """Raises OSError or ValueError where nobody answers; Ray would go on trying for a quarter of an hour."""
    host, _, port = address.rpartition(":")
    if address != "auto":
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER).close()


def _share(settings: EngineSettings, device: str) -> dict[str, float]:
    """What a worker takes of the cluster, in Ray's words."""
    cpus: dict[str, float] = {"num_cpus": settings.cpus}
    return cpus | {"num_gpus": settings.gpus} if device == "cuda" else cpus


def _room(nodes: Sequence[Mapping[str, Any]], share: Mapping[str, float]) -> int:
    """How many workers fit; the whole of one is on one machine, and on one GPU."""
    count = 0
    for node in nodes:
        if not node["Alive"]:
            continue
        has = node["Resources"]
        here = int(has.get("CPU", 0) // share["num_cpus"])
        if "num_gpus" in share:
            here = min(here, int(has.get("GPU", 0)) * int(1 / share["num_gpus"] + 1e-9))
        count += here
    return count


def _said(share: Mapping[str, float]) -> str:
    cpus = f"{share['num_cpus']:g} CPU core" + ("s" if share["num_cpus"] != 1 else "")
    return cpus + (f" and {share['num_gpus']:g} of a GPU" if "num_gpus" in share else "")
