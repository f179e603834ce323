"""Computing the cells of one task and seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench import evaluate
from magdr_core.bench.adaptive import AdaptiveCells, Defended
from magdr_core.bench.images import GroupImages, Workplace
from magdr_core.bench.plan import CLEAN, ORACLE, Cell, Group, is_restoration
from magdr_core.calibration import Calibrator
from magdr_core.components.batch import Samples
from magdr_core.components.fingerprints import digest
from magdr_core.components.protocols import ImageMap
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError, one_line
from magdr_core.guards import GuardedDefense, GuardedGenerator, GuardedImageMap
from magdr_core.isolation.containment import take_notices
from magdr_core.isolation.expectations import deferred
from magdr_core.measures.image_quality import Yardstick
from magdr_core.results.cell import check_cell
from magdr_core.results.pictures import BESIDE, split_sides, worst_of, worst_side
from magdr_core.runtime.choosing import choices_of, is_ours

SCHEMA = 1
SCHEMAS = {"defense": 2}
"""Raised where a role's cells hold other values than before: 2 has `fsim` and `featsim`."""

MOST_PICTURES = 16
"""Kept with every defense's cell, whatever a profile shows; a profile cannot ask for more."""


class GroupRun:
    """The cells of one task and seed."""

    def __init__(self, work: Workplace, group: Group) -> None:
        # What makes passes faster changes their last digits: such results are kept apart.
        work = replace(work, environment={**work.environment, **work.toolkit.registry.speed.changes})
        self.work, self.group = work, group
        self.toolkit, self.store = work.toolkit, work.store
        self._broken: MagdrError | None = None
        self._ready: dict[tuple[str, str], Any] = {}
        defenses = [
            *work.profile.defenses,
            *(work.profile.adaptive.defenses if work.profile.adaptive else ()),
        ]
        restorations = [d for d in defenses if is_restoration(self.toolkit, d)]
        self._plain = {ORACLE, *restorations}
        self._measured = bool(defenses)

    # What all cells need is built when the first one asks for it: where that cannot be had the cells fail,
    # and those of other tasks do not.

    @cached_property
    def calibrator(self) -> Calibrator:
        """Raises MagdrError if the task's generator or dataset cannot be had."""
        if self._broken is not None:
            raise self._broken
        try:
            work, group = self.work, self.group
            return self.toolkit.calibrator(group.task, group.dataset, self.store, progress=work.progress)
        except MagdrError as e:
            self._broken = e
            raise

    @property
    def G(self) -> GuardedGenerator:
        return self.calibrator.generator

    @cached_property
    def images(self) -> GroupImages:
        found = self.calibrator
        return GroupImages(
            self.work, self.group.task, self.group.seed, found.generator, found.data, found.shared
        )

    @cached_property
    def _adaptive(self) -> AdaptiveCells:
        return AdaptiveCells(self.work, self.group.seed, self.images, self.G)

    @cached_property
    def _encoder(self) -> str | None:
        return evaluate.encoder_label(self.toolkit) if self._measured else None

    @cached_property
    def _ensemble(self) -> list[GuardedImageMap]:
        return [self.toolkit.build("augmentation", f) for f in self.work.profile.ensemble]

    def run(self) -> Iterator[dict[str, Any]]:
        """Every cell's data, from the store or computed; a failed one has an `error`."""
        for cell in self.group.cells:
            yield self.cell(cell)

    def cell(self, cell: Cell) -> dict[str, Any]:
        """A cell's data, from the store or computed; a failed one has an `error`."""
        facts = first_facts(cell)
        try:
            # Fitting comes first: the key holds the calibration that a component uses.
            images = self.images
            component = self._component(cell)
            key = self._key(cell)
            facts["seen_by_oracle"] = self._oracle(cell)
            facts["data"] = self._data  # runs are compared on the same pictures only
            facts["baseline"] = cell.role == "defense" and self._is_baseline(cell.component)
            stored = self._stored(cell, key)
            if stored is not None:
                return stored | {"facts": facts, "reused": True}
            start = time.perf_counter()
            self._take_passes()
            self._share()
            if images.shared.restore():  # by somebody who was called between cells: no fault of this one
                self._distrust()
            with deferred():
                values, extra = self._compute(cell, component)
            kind = "restoration" if is_restoration(self.toolkit, cell.component) else cell.role
            images.check_shared(f"{kind} {cell.component}")
        except Exception as e:  # of any kind: the others go on
            self._distrust()
            why = one_line(e) if isinstance(e, MagdrError) else f"unexpected: {one_line(e)}"
            self.work.report(f"failed: {cell}: {why}")
            return failed_cell(facts, why)
        finally:
            for notice in take_notices():
                self.work.report(notice)
        clean = images.clean(False, cell.slice)
        forwards = self._take_passes() / len(clean)
        for name in ("pictures", "worst-pictures", "images"):
            if name in extra:
                self.store.put_images(f"{key}-{name}", extra.pop(name))
        data = {
            "schema": SCHEMAS.get(cell.role, SCHEMA),
            "key": key,
            "facts": facts,
            "ids": list(clean.ids),
            "identities": images.identities[: len(clean)],
            "values": values,
            "forwards": forwards,
            **extra,
            "seconds": round(time.perf_counter() - start, 3),
        }
        self.store.put_json("cells", key, data)
        return data

    def _share(self) -> None:
        """Watch what there is by now: networks of all components, and what measures have kept."""
        shared = self.images.shared
        for where, network in self.toolkit.networks():
            shared.add_networks(where, [network])
        for yardstick in self._yardsticks():
            for tensor in yardstick.tensors():
                shared.add("clean images, measured", tensor)

    def _yardsticks(self) -> Sequence[Yardstick]:
        made = self.__dict__.get("_clean")
        return () if made is None else (made.inputs, made.outputs)

    def _distrust(self) -> None:
        """After a component was at fault: nothing that it may have reached is as it left it."""
        if "images" not in self.__dict__:
            return  # there is nothing yet
        self.images.shared.restore()
        for yardstick in self._yardsticks():
            yardstick.forget()
        if self.G.memory is not None:
            self.G.memory.forget()

    def _stored(self, cell: Cell, key: str) -> dict[str, Any] | None:
        """A cell from the store with every picture that it was stored with, or None."""
        schema = SCHEMAS.get(cell.role, SCHEMA)
        stored = self.store.json("cells", key, lambda data: check_cell(data, key, schema))
        if stored is not None and cell.role == "defense" and cell.slice.role != "adaptive":
            clean = self.images.clean(False, cell.slice).images
            counts = {"pictures": 2 * min(MOST_PICTURES, len(clean))}
            if "worst" in stored:
                counts["worst-pictures"] = len(BESIDE) * len(stored["worst"])
            for name, count in counts.items():
                if self.store.images(f"{key}-{name}", (count, *clean.shape[1:])) is None:
                    return None
        return stored

    def _take_passes(self) -> int:
        """Images through the task's generator, and through such that a component has of its own."""
        return self.G.take_passes() + self.toolkit.take_inner_passes()

    def pictures(self, cells: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str, str], Tensor]:
        """What the report shows: clean images, and every defense's inputs and outputs on each slice."""
        shown = self.work.profile.pictures
        if not shown or all("error" in cell for cell in cells):
            return {}
        task = self.group.task
        pictures = {
            (task, CLEAN, "clean", "input"): self.images.clean(False).images[:shown],
            (task, CLEAN, "clean", "output"): self.images.reference[:shown],
        }
        for cell in cells:
            facts = cell["facts"]
            kept = self.store.images(f"{cell['key']}-pictures") if facts["role"] == "defense" else None
            if kept is not None:
                name = (task, facts["attack"], facts["component"])
                restored, output = split_sides(kept)
                pictures[(*name, "input")], pictures[(*name, "output")] = restored[:shown], output[:shown]
        return pictures

    def worst_pictures(self, cells: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str, str], Tensor]:
        """The worst images of MagDR's defenses, which the report shows; the store has those of all."""
        pictures: dict[tuple[str, str, str, str], Tensor] = {}
        for cell in cells if self.work.profile.pictures else ():
            facts = cell["facts"]
            if "worst" not in cell or facts["baseline"] or facts["component"] in ("identity", ORACLE):
                continue
            kept = self.store.images(f"{cell['key']}-worst-pictures")
            if kept is not None:
                for side, images in zip(BESIDE, kept.chunk(len(BESIDE)), strict=True):
                    name = (facts["task"], facts["attack"], facts["component"])
                    pictures[(*name, worst_side(side, facts["seed"]))] = images
        return pictures

    # -- parts of the work that other processes do ------------------------------------------------------

    def fitted(self, cell: Cell) -> str | None:
        """Build a cell's component, calibrated: what is wrong with it, if anything is."""
        try:
            self._component(cell)
        except MagdrError as e:
            return one_line(e)
        return None

    def known_to_fail(self, role: str, component: str, error: str) -> None:
        """Cells of this component fail so; it is not tried again."""
        self._ready.setdefault((role, component), MagdrError(error))

    def stored(self, cell: Cell) -> bool:
        """Whether the store holds a cell, or nothing has to be computed since its component is broken."""
        try:
            self._component(cell)
            return self._stored(cell, self._key(cell)) is not None
        except MagdrError:
            return True

    # -- components -------------------------------------------------------------------------------------

    def _component(self, cell: Cell) -> Any:
        memo = (cell.role, cell.component)
        if memo not in self._ready:
            self._ready[memo] = self._build(cell)
        found = self._ready[memo]
        if isinstance(found, MagdrError):
            raise found
        return found

    def _build(self, cell: Cell) -> Any:
        try:
            if cell.role == "detector":
                return self.calibrator.detector(cell.component)
            if cell.role == "attack":
                return self.toolkit.build("attack", cell.slice.label)
            if cell.component == ORACLE:
                layers = self.toolkit.registry.composition["layers"]
                labels = dict.fromkeys(label for layer in layers for label in layer)
                settings = [s.apply for label in labels for s in self.toolkit.family(label).settings]
                return settings + [f for candidates in self._choosing for f in candidates.values()]
            if is_restoration(self.toolkit, cell.component):
                restoration = self.toolkit.build("restoration", cell.component)
                return GuardedDefense(_Filter(restoration), restoration.where)
            return self.calibrator.defense(cell.component)
        except MagdrError as e:
            return e

    @cached_property
    def _choosing(self) -> list[Mapping[str, ImageMap]]:
        """What the profile's defenses choose from; the oracle may choose from it as well."""
        found = []
        for label in self.work.profile.defenses:
            if label == "identity" or label in self._plain:
                continue
            if isinstance(self._ready.get(("defense", label)), MagdrError):
                continue
            try:
                found.append(choices_of(self.calibrator.defense(label)))
            except MagdrError:
                continue  # its own cells say what is wrong with it
        return found

    def _is_baseline(self, label: str) -> bool:
        """Whether a defense is one to beat: not ours, not the undefended row, not the oracle."""
        if label in ("identity", ORACLE):
            return False
        kind = "restoration" if is_restoration(self.toolkit, label) else "defense"
        return not is_ours(self.toolkit, kind, label, self.work.profile.ours)

    def _identity(self, cell: Cell) -> Any:
        if cell.component == ORACLE:
            layers = self.toolkit.registry.composition["layers"]
            grid = [self.toolkit.family_identity(label) for label in sorted({x for la in layers for x in la})]
            return [grid, [name for candidates in self._choosing for name in candidates]]
        if cell.role == "attack":
            return self.toolkit.resolve("attack", cell.slice.label).identity
        kind = "restoration" if is_restoration(self.toolkit, cell.component) else cell.role
        return self.toolkit.resolve(kind, cell.component).identity

    @cached_property
    def _clean(self) -> evaluate.Yardsticks:
        encoder = None if self._encoder is None else self.toolkit.build("parser", self._encoder)
        inputs = self.images.clean(False).images
        return evaluate.Yardsticks(Yardstick(inputs, encoder), Yardstick(self.images.reference, encoder))

    @cached_property
    def _data(self) -> str:
        return self.calibrator.data.fingerprint()

    def _measures(self, cell: Cell) -> dict[str, Any]:
        """What a defense's values depend on besides itself."""
        if cell.role != "defense" or self._encoder is None:
            return {}
        return {"encoder": self.toolkit.resolve("parser", self._encoder).identity}

    def _key(self, cell: Cell) -> str:
        calibrated = cell.role in ("detector", "defense") and cell.component not in self._plain
        return digest(
            {
                "schema": SCHEMAS.get(cell.role, SCHEMA),
                "role": cell.role,
                "component": self._identity(cell),
                "calibration": self.calibrator.digest_of(cell.role, cell.component) if calibrated else None,
                "images": self.images.key(cell.slice),
                "ensemble": [self.toolkit.resolve("augmentation", f).identity for f in self._processed(cell)],
                "environment": self.work.environment,
                **self._measures(cell),
                **self._adaptive_key(cell),
            }
        )

    def _adaptive_key(self, cell: Cell) -> dict[str, Any]:
        if cell.slice.role != "adaptive":
            return {}
        behind = self._behind(cell)
        before = None
        if behind is not None:
            if isinstance(known := self._ready.get(("detector", behind)), MagdrError):
                raise known
            self.calibrator.detector(behind)
            resolved = self.toolkit.resolve("detector", behind)
            before = [resolved.identity, self.calibrator.digest_of("detector", behind)]
        return {"adaptive": self._adaptive.key(cell), "behind": before}

    def _behind(self, cell: Cell) -> str | None:
        """The detector before an adaptive cell's defense."""
        adaptive = self.work.profile.adaptive
        assert adaptive is not None
        return adaptive.behind or None if cell.role == "defense" else None

    def _processed(self, cell: Cell) -> tuple[str, ...]:
        return self.work.profile.ensemble if cell.role == "defense" and cell.slice.role != "adaptive" else ()

    # -- computing --------------------------------------------------------------------------------------

    @torch.no_grad()
    def _compute(self, cell: Cell, component: Any) -> tuple[Mapping[str, list[float]], dict[str, Any]]:
        adaptive = cell.slice.role == "adaptive"
        images = self.images.clean(False).images if adaptive else self.images.of(cell.slice)
        reference = self.images.reference[: len(images)]
        self.G.take_passes()

        name = f"{cell.role}/{digest(self._identity(cell))}"  # like the key, it knows no label

        def rng(batch: Samples) -> SampleRng:
            return self.toolkit.rng(name, batch.ids, self.group.seed)

        if adaptive:
            return self._attacked(cell, component, name, rng)
        if cell.role == "attack":
            clean = self.images.clean(False, cell.slice)
            return evaluate.attack_values(clean, images, self.G, component, reference), {}
        clean = self.images.clean(self._oracle(cell), cell.slice)
        seen = clean.with_images(images)
        if cell.role == "detector":
            values = evaluate.detector_values(seen, component.detector, self.G, rng)
            fpr = self.toolkit.registry.calibration.fpr
            return values, {"thresholds": dict(component.thresholds), "fpr": fpr}
        if cell.component == ORACLE:
            values, restored, output = evaluate.oracle_values(seen, component, self.G, self._clean)
        else:
            values, restored, output = evaluate.defense_values(seen, component, self.G, self._clean, rng)
        passes = self.G.passes
        worst = self._worst(cell, values["mse_o"], restored, output)
        if self._ensemble:
            together = evaluate.ensemble_values(restored, output, seen, self._ensemble, self.G, self._clean)
            values = {**values, **{f"ensemble/{name}": v for name, v in together.items()}}
        self.G.passes = passes  # the pictures' and the variant's own passes are no cost of the defense
        first = torch.cat([restored[:MOST_PICTURES], output[:MOST_PICTURES]])
        return values, {"pictures": first, **worst}

    def _worst(self, cell: Cell, errors: Sequence[float], restored: Tensor, output: Tensor) -> dict[str, Any]:
        """The ids of a defense's worst images, and their pictures in the order of `BESIDE`."""
        places = {name: i for i, name in enumerate(self.images.clean(False).ids)}
        names = worst_of(dict(zip(places, errors, strict=True)))
        indices = [places[name] for name in names]
        sides = [*self.images.beside(cell.slice, indices), restored[indices], output[indices]]
        return {"worst": names, "worst-pictures": torch.cat(sides)}

    def _attacked(
        self, cell: Cell, component: Any, name: str, rng: Callable[[Samples], SampleRng]
    ) -> tuple[Mapping[str, list[float]], dict[str, Any]]:
        """What an attack that knows the component does to it."""
        if cell.role == "detector":
            defended = Defended(component, None, self._oracle(cell))
            fpr = self.toolkit.registry.calibration.fpr
            values, extra = self._adaptive.values(cell, defended, name, self.images.reference, None, rng)
            return values, {"thresholds": dict(component.thresholds), "fpr": fpr, **extra}
        behind = self._behind(cell)
        detector = None if behind is None else self.calibrator.detector(behind)
        oracle = self._oracle(cell)
        oracle |= behind is not None and self.calibrator.wants_oracle("detector", behind)
        defended = Defended(detector, component, oracle)
        return self._adaptive.values(cell, defended, name, self.images.reference, self._clean, rng)

    def _oracle(self, cell: Cell) -> bool:
        """Whether the component is given exact masks."""
        if cell.role == "attack" or cell.component in self._plain:
            return False
        return self.calibrator.wants_oracle(cell.role, cell.component)


def first_facts(cell: Cell) -> dict[str, Any]:
    """What is known of a cell before its component is there."""
    return evaluate.cell_facts(cell) | {"noise": cell.slice.component == "noise"}


def failed_cell(facts: Mapping[str, Any], error: str) -> dict[str, Any]:
    return {"key": "", "facts": facts, "error": error, "seconds": 0.0, "ids": [], "values": {}}


class _Filter:
    """A restoration as a defense."""

    def __init__(self, restoration: Any) -> None:
        self.restoration = restoration

    def __call__(self, x: Tensor, c: Any, G: Any) -> Tensor:
        return self.restoration(x)
