"""A crew in this process: what travels is pickled, and workers die when they are told to."""

from __future__ import annotations

import pickle
from collections import Counter
from contextlib import contextmanager

from magdr_core.bench.executors.coordinator import run_with
from magdr_core.bench.executors.scheduler import Done, Lost, Ready
from magdr_core.bench.executors.toolkit_snapshot import parcel_of
from magdr_core.bench.executors.worker import Desk


class InlineEngine:
    """Workers that take turns.

    Args:
        folder: of plugin files.
        dies: told (unit, worker's number), before a unit is done; whether the worker is lost over it.
    """

    name = "inline"

    def __init__(self, folder, workers=2, retries=2, dies=lambda unit, worker: False):
        self.folder, self.workers, self.retries, self.dies = folder, workers, retries, dies
        self.made = Counter()
        self.done = []
        self.dismissed = False

    def check(self, toolkit):
        parcel_of(toolkit)

    def threads(self, toolkit):
        return 1

    def run(self, job):
        return run_with(job, self._crew, retries=self.retries)

    @contextmanager
    def _crew(self, job):
        try:
            yield InlineCrew(self, job)
        finally:
            self.dismissed = True


class InlineCrew:
    def __init__(self, engine, job):
        self.engine, self.job = engine, job
        self.sent = pickle.dumps((parcel_of(job.toolkit), job.profile, tuple(job.groups)))
        self.desks = {}
        self.orders = {}
        self.events = []
        for _ in range(engine.workers):
            self._hire()

    def _hire(self):
        number = len(self.desks)
        parcel, profile, groups = pickle.loads(self.sent)
        toolkit = parcel.unpack(self.engine.folder / f"worker{number}")
        self.desks[number] = Desk(toolkit, profile, groups, self.job.store.read, self.job.progress)
        self.events.append(Ready(number))

    def start(self, worker, order):
        assert worker not in self.orders, "a worker does one thing at a time"
        self.orders[worker] = pickle.dumps(order)

    def wait(self):
        if self.events:
            events, self.events = self.events, []
            return events
        assert self.orders, "nobody has anything to do, and the run is not over"
        # The latest first: nothing may depend on the order in which workers are done.
        worker = max(self.orders)
        order = pickle.loads(self.orders.pop(worker))
        if self.engine.dies(order.unit, worker):
            self._hire()
            return [Lost(worker, f"worker {worker} is gone")]
        outcome = pickle.loads(pickle.dumps(self.desks[worker].do(order)))
        self.engine.made.update(outcome.made.keys())
        self.engine.done.append((order.unit.kind, order.unit.title))
        return [Done(worker, outcome)]
