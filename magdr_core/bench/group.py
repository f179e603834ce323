"""Computing the cells of one task and seed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench import evaluate, growth, registered
from magdr_core.bench.growth import SomeRun
from magdr_core.bench.images import GroupImages, Workplace
from magdr_core.bench.plan import Group
from magdr_core.calibration import Calibrator, Progress
from magdr_core.components.batch import Samples
from magdr_core.components.cells import PlannedCell, Portion
from magdr_core.components.fingerprints import digest
from magdr_core.components.rng import SampleRng
from magdr_core.components.role import PictureName, Role, role_of
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import Measured
from magdr_core.components.task_run import SharedImages, TaskRun
from magdr_core.errors import ComponentError, MagdrError, one_line
from magdr_core.guards import GuardedGenerator
from magdr_core.isolation.containment import take_notices
from magdr_core.isolation.expectations import deferred
from magdr_core.measures.image_quality import Yardstick
from magdr_core.registry.settings import Profile
from magdr_core.results.cell import CellResult, Facts, check_cell


class GroupRun:
    """The cells of one task and seed: what roles and scenarios see as a
    :class:`~magdr_core.components.scenario.TaskRun`."""

    def __init__(self, work: Workplace, group: Group) -> None:
        # What makes passes faster changes their last digits: such results are kept apart.
        work = replace(work, environment={**work.environment, **work.toolkit.registry.speed.changes})
        self.work, self.group = work, group
        self.toolkit, self.store = work.toolkit, work.store
        self.roles = registered.roles(self.toolkit)
        self.scenarios = registered.scenarios(self.toolkit)
        self._broken: MagdrError | None = None
        self._ready: dict[tuple[str, str], Any] = {}
        self._cached: dict[Hashable, Any] = {}
        self._yardsticks: list[Yardstick] = []
        self._told: set[str] = set()
        self._some: dict[tuple[int, ...], SomeRun] = {}

    @property
    def task(self) -> str:
        return self.group.task

    @property
    def seed(self) -> int:
        return self.group.seed

    @property
    def profile(self) -> Profile:
        return self.work.profile

    @property
    def progress(self) -> Progress:
        return self.work.progress

    def role(self, cell: PlannedCell) -> Role:
        """Who computes a cell."""
        return role_of(self.roles, cell.role, cell.component)

    def scenario(self, cell: PlannedCell) -> Scenario:
        """Who makes a cell's images."""
        return self.scenarios[cell.slice.scenario]

    def cached(self, name: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once for all cells of this task and seed."""
        if name not in self._cached:
            self._cached[name] = make()
        return self._cached[name]

    # What all cells need is built when the first one asks for it: where that cannot be had the cells fail,
    # and those of other tasks do not.

    @cached_property
    def calibrator(self) -> Calibrator:
        """Raises MagdrError if the task's generator or dataset cannot be had."""
        if self._broken is not None:
            raise self._broken
        try:
            work, group = self.work, self.group
            return self.toolkit.calibrator(
                group.task, group.dataset, self.store, progress=work.progress, report=work.report
            )
        except MagdrError as e:
            self._broken = e
            raise

    @property
    def G(self) -> GuardedGenerator:
        return self.calibrator.generator

    @cached_property
    def images(self) -> GroupImages:
        return GroupImages(self.work, self.group.task, self.group.seed, self.calibrator)

    @cached_property
    def encoder(self) -> str | None:
        """The label of the parser whose features restored images are compared by; None without one."""
        return evaluate.encoder_label(self.toolkit, self.profile)

    @cached_property
    def yardsticks(self) -> evaluate.Yardsticks:
        """The clean inputs and the outputs on them, to measure restored ones against."""
        return self.yardsticks_of(self.images)

    def yardsticks_of(self, images: SharedImages) -> evaluate.Yardsticks:
        """Those of some images."""
        encoder = None if self.encoder is None else self.toolkit.build("parser", self.encoder)
        made = growth.yardsticks(images, encoder)
        self._yardsticks += [made.inputs, made.outputs]
        return made

    def run(self) -> Iterator[CellResult]:
        """Every cell, from the store or computed; a failed one has an `error`."""
        for cell in self.group.cells:
            yield self.cell(cell)

    def cell(self, cell: PlannedCell) -> CellResult:
        """What a cell has measured, from the store or computed; a failed one has an `error`."""
        role, scenario = self.role(cell), self.scenario(cell)
        facts = cell.facts(scenario)
        try:
            # Fitting comes first: the key holds the calibration that a component uses.
            images = self.images
            component = self.component(cell)
            key = self.key(cell)
            facts["seen_by_oracle"] = role.wants_masks(self, cell.component)
            facts["data"] = self._data  # runs are compared on the same pictures only
            facts["baseline"] = role.is_baseline(self, cell.component, component)
            stored = self._stored(cell, key)
            if stored is not None:
                return CellResult.from_json(stored | {"facts": facts, "reused": True})
            start = time.perf_counter()
            self._take_passes()
            self._share()
            if images.shared.restore():  # by somebody who was called between cells: no fault of this one
                self._distrust()
            with deferred():
                measured, before = self._measured(cell, component)
            _check_measured(measured, role, len(images.clean(False, cell.slice)))
            images.shared.check(f"{role.kind_of(self.toolkit, cell.component)} {cell.component}")
        except Exception as e:  # of any kind: the others go on
            changed = self._distrust()
            why = one_line(e) if isinstance(e, MagdrError) else f"unexpected: {one_line(e)}"
            why += f" (and changes what it shares with others: {', '.join(changed)})" if changed else ""
            self.work.report(f"failed: {cell}: {why}")
            return failed_cell(facts, why)
        finally:
            for notice in take_notices():
                if notice not in self._told:
                    self._told.add(notice)
                    self.work.report(notice)
        clean = images.clean(False, cell.slice)
        forwards = (self._take_passes() + sum(portion.passes for portion in before)) / len(clean)
        for name, kept in measured.pictures.items():
            self.store.put_images(f"{key}-{name}", kept)
        data = {
            "schema": role.schema,
            "key": key,
            "facts": facts,
            "ids": list(clean.ids),
            "identities": images.identities[: len(clean)],
            "values": measured.values,
            "forwards": forwards,
            **measured.extra,
            "seconds": round(time.perf_counter() - start + sum(p.seconds for p in before), 3),
        }
        self.store.put_json("cells", key, data)
        if self._grows(cell):
            growth.remember(self.store, self._about(cell), key, clean.ids)
        there = sum(len(portion.ids) for portion in before)
        return CellResult.from_json(data | ({growth.KEPT: there} if there else {}))

    def _share(self) -> None:
        """Watch what there is by now: networks of all components, what measures have kept, and all code."""
        shared = self.images.shared
        shared.add_code()
        for where, network in self.toolkit.networks():
            shared.add_networks(where, [network])
        for yardstick in self._yardsticks:
            for tensor in yardstick.tensors():
                shared.add("clean images, measured", tensor)

    def _distrust(self) -> list[str]:
        """After a component was at fault: nothing that it may have reached stays as it left it. What of that
        it had changed is returned."""
        if "images" not in self.__dict__:
            return []  # there is nothing yet
        changed = self.images.shared.restore()
        for yardstick in self._yardsticks:
            yardstick.forget()
        if self.G.memory is not None:
            self.G.memory.forget()
        return changed

    def _stored(self, cell: PlannedCell, key: str) -> dict[str, Any] | None:
        """A cell from the store with every picture that it was stored with, or None."""
        role = self.role(cell)
        stored = self.store.json("cells", key, lambda data: check_cell(data, key, role.schema))
        if stored is not None:
            shape = self.images.clean(False).images.shape[1:]
            for name, count in self.scenario(cell).kept(self, cell, role, stored).items():
                if self.store.images(f"{key}-{name}", (count, *shape)) is None:
                    return None
        return stored

    def _take_passes(self) -> int:
        """Images through the task's generator, and through such that a component has of its own."""
        return self.G.take_passes() + self.toolkit.take_inner_passes()

    def pictures(self, cells: Sequence[CellResult]) -> dict[PictureName, Tensor]:
        """What the report shows: clean images, and every defense's inputs and outputs on each slice,
        `[n,3,H,W]` in [0,1] each."""
        shown = self.profile.pictures
        if not shown or all(cell.failed for cell in cells):
            return {}
        pictures: dict[PictureName, Tensor] = {}
        for scenario in self.scenarios.values():
            pictures |= scenario.report_pictures(self.images, shown)
        for cell in cells:
            if not cell.failed:
                pictures |= self._asked(cell).report_pictures(self.store, cell.as_json(), shown)
        return pictures

    def worst_pictures(self, cells: Sequence[CellResult]) -> dict[PictureName, Tensor]:
        """The worst images, `[n,3,H,W]` in [0,1], as far as the report shows them; the store has those of
        all."""
        pictures: dict[PictureName, Tensor] = {}
        for cell in cells if self.profile.pictures else ():
            if not cell.failed:
                pictures |= self._asked(cell).worst_pictures(self.store, cell.as_json())
        return pictures

    def _asked(self, cell: CellResult) -> Role:
        """The role that has measured a cell."""
        return role_of(self.roles, cell.facts.role, cell.facts.component)

    # -- parts of the work that other processes do ------------------------------------------------------

    def fitted(self, cell: PlannedCell) -> str | None:
        """Build a cell's component, calibrated: what is wrong with it, if anything is."""
        try:
            self.component(cell)
        except MagdrError as e:
            return one_line(e)
        return None

    def known_to_fail(self, role: str, component: str, error: str) -> None:
        """Cells of this component fail so; it is not tried again."""
        self._ready.setdefault((role, component), MagdrError(error))

    def stored(self, cell: PlannedCell) -> bool:
        """Whether the store holds a cell, or nothing has to be computed since its component is broken."""
        try:
            self.component(cell)
            return self._stored(cell, self.key(cell)) is not None
        except MagdrError:
            return True

    # -- components -------------------------------------------------------------------------------------

    def component(self, cell: PlannedCell) -> Any:
        """A cell's component, calibrated; it is built once. Raises MagdrError if it cannot be had."""
        memo = (cell.role, cell.component)
        if memo not in self._ready:
            try:
                self._ready[memo] = self.role(cell).component(self, cell)
            except MagdrError as e:
                self._ready[memo] = e
        found = self._ready[memo]
        if isinstance(found, MagdrError):
            raise found
        return found

    @cached_property
    def _data(self) -> str:
        return self.calibrator.data.fingerprint()

    def key(self, cell: PlannedCell) -> str:
        """The key of a cell's result: a hash of everything that it depends on."""
        return digest(self._depends_on(cell, self.images.key(cell.slice)))

    def _about(self, cell: PlannedCell) -> Any:
        """What an index of a cell's results on any images is named by."""
        return ["cells", self._depends_on(cell, self.images.lasting_key(cell.slice))]

    def _depends_on(self, cell: PlannedCell, images: Mapping[str, Any]) -> dict[str, Any]:
        role, scenario = self.role(cell), self.scenario(cell)
        processed = () if scenario.per_cell else role.processed(self.profile)
        return {
            "schema": role.schema,
            "role": cell.role,
            "component": role.identity(self, cell),
            "calibration": role.calibration(self, cell.component),
            "images": images,
            "ensemble": [self.toolkit.resolve("augmentation", f).identity for f in processed],
            "environment": self.work.environment,
            **role.depends_on(self, cell),
            **scenario.cell_key(self, cell, role),
        }

    # -- computing --------------------------------------------------------------------------------------

    def _grows(self, cell: PlannedCell) -> bool:
        return self.role(cell).grows and self.scenario(cell).grows

    @torch.no_grad()
    def _measured(self, cell: PlannedCell, component: Any) -> tuple[Measured, list[Portion]]:
        """A cell's result, and the earlier ones that it contains."""
        role, scenario = self.role(cell), self.scenario(cell)
        scenario.prepare(self.images, cell.slice)
        ids = self.images.clean(False, cell.slice).ids
        before = self._portions(cell, ids)
        there = {name for portion in before for name in portion.ids}
        missing = [i for i, name in enumerate(ids) if name not in there]
        if not before or not role.combinable(ids, [*(p.ids for p in before), [ids[i] for i in missing]]):
            return self._measure(cell, component, self), []
        portions = list(before)
        if missing:
            run: Any = self._some_run(missing)
            new = self._measure(cell, component, run)
            own = tuple(ids[i] for i in missing)
            pictures = {name: images.cpu() for name, images in new.pictures.items()}
            portions.append(Portion(own, new.values, new.extra, pictures))
        return role.combined(ids, portions), before

    def _measure(self, cell: PlannedCell, component: Any, run: TaskRun) -> Measured:
        """What the component does on the images of a run."""
        role, scenario = self.role(cell), self.scenario(cell)
        _ = run.images.reference  # made now: no cost of the cell that comes first
        self.G.take_passes()
        name = f"{cell.role}/{digest(role.identity(self, cell))}"  # like the key, it knows no label

        def rng(batch: Samples) -> SampleRng:
            return self.toolkit.rng(name, batch.ids, self.seed)

        return scenario.measure(run, cell, role, component, rng)

    def _some_run(self, rows: Sequence[int]) -> SomeRun:
        wanted = tuple(rows)
        if wanted not in self._some:
            self._some[wanted] = SomeRun(self, self.images.some(rows))
        return self._some[wanted]

    def _portions(self, cell: PlannedCell, ids: Sequence[str]) -> list[Portion]:
        """What the store has of a cell on some of its images."""
        if not self._grows(cell):
            return []
        found = []
        for one in growth.disjoint(growth.known(self.store, self._about(cell)), ids):
            data = self._stored(cell, one.key)
            if data is None or tuple(data["ids"]) != one.ids:
                continue
            kept = self.scenario(cell).kept(self, cell, self.role(cell), data)
            pictures = {name: self.store.images(f"{one.key}-{name}") for name in kept}
            extra = {k: v for k, v in data.items() if k not in _OWN}
            there = {name: images for name, images in pictures.items() if images is not None}
            passes = data["forwards"] * len(one.ids)
            found.append(Portion(one.ids, data["values"], extra, there, passes, data["seconds"]))
        return found


_OWN = ("schema", "key", "facts", "ids", "identities", "values", "forwards", "seconds")
"""What a cell's data holds of every role."""


def _check_measured(measured: Any, role: Role, count: int) -> None:
    """Raises ComponentError unless a role gave one finite number per image under each name."""
    where = f"role {role.name!r}"
    if not isinstance(measured, Measured):
        raise ComponentError(f"{where}: measured a {type(measured).__name__}, expected Measured")
    for name, values in measured.values.items():
        told = f"{where}: values of {str(name)[:80]!r}"
        if not isinstance(values, list | tuple) or len(values) != count:
            size = f"{len(values)} of them" if isinstance(values, list | tuple) else type(values).__name__
            raise ComponentError(f"{told}: {size}, expected a list of {count}, one for each image")
        if not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
            raise ComponentError(f"{told}: not all are finite numbers")


def failed_cell(facts: Mapping[str, Any], error: str) -> CellResult:
    """A cell that could not be computed."""
    return CellResult(Facts.from_json(facts), error=error)
