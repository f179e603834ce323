"""Running a benchmark: only what the store does not hold, failures kept apart, tables written at the end."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from magdr_core import __version__
from magdr_core.bench import evaluate
from magdr_core.bench.pictures import save_pictures, split_sides
from magdr_core.bench.plan import CLEAN, ORACLE, Cell, Group, Slice, is_restoration, plan
from magdr_core.bench.tables import Row, result_rows, to_csv
from magdr_core.calibration import Progress
from magdr_core.errors import MagdrError, one_line
from magdr_core.functional import to_8bit
from magdr_core.guard import GuardedAttack, GuardedDefense, GuardedGenerator
from magdr_core.identity import digest
from magdr_core.protocols import Dataset, Family
from magdr_core.registry import Profile
from magdr_core.rng import SampleRng
from magdr_core.samples import attack_samples, draw_samples
from magdr_core.store import Store, write_atomically
from magdr_core.toolkit import Toolkit
from magdr_core.types import Samples

SCHEMA = 1
VERSIONS = ("magdr", "torch", "numpy", "pluggy", "scikit-image")


@dataclass
class RunResult:
    """What a benchmark left behind."""

    folder: Path
    manifest: dict[str, Any]
    rows: list[Row]
    cells: list[dict[str, Any]]
    pictures: dict[tuple[str, str, str, str], Tensor] = field(default_factory=dict)
    computed: int = 0
    reused: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)


class Bench:
    """One profile of one registry.

    Args:
        out: run folder; `runs/<registry>-<profile>-<hash>` if None, so that the same command resumes.
        cache: folder of the shared store.
        limit: at most so many samples.
        progress: told (what, done, total) of long steps inside a cell.
        report: told one-line messages (failing observers, failing cells).
    """

    def __init__(
        self,
        toolkit: Toolkit,
        profile: str,
        *,
        out: Path | None = None,
        cache: Path = Path("runs/cache"),
        limit: int | None = None,
        progress: Progress = lambda what, done, total: None,
        report: Callable[[str], None] = print,
    ) -> None:
        self.toolkit = toolkit
        self.name = profile
        self.profile: Profile = toolkit.registry.profile(profile)
        if limit is not None:
            self.profile = self.profile.model_copy(update={"samples": min(limit, self.profile.samples)})
        self.groups = plan(toolkit, self.profile)
        identity = digest([toolkit.registry.text, self.profile.model_dump(), __version__])[:8]
        self.folder = out or Path("runs") / f"{toolkit.registry.name}-{profile}-{identity}"
        self.store = Store(cache)
        self.progress = progress
        self.report = report

    @property
    def total(self) -> int:
        return sum(len(g.cells) for g in self.groups)

    def run(self) -> RunResult:
        """Compute what is missing, write manifest.json, results.csv and the pictures of the report."""
        self.folder.mkdir(parents=True, exist_ok=True)
        result = RunResult(self.folder, self._manifest(), [], [])
        notify = self.toolkit.host.notify
        self._write("manifest.json", json.dumps(result.manifest, indent=1, sort_keys=True))
        notify("magdr_run_started", self.report, run=self.folder, manifest=result.manifest, cells=self.total)
        for group in self.groups:
            GroupRun(self, group, result).run()
        result.rows = result_rows(self.toolkit.registry.name, result.cells)
        result.failures = [c for c in result.cells if "error" in c]
        self._write("results.csv", to_csv(result.rows))
        self._write("cells.json", json.dumps([_brief(c) for c in result.cells], indent=1))
        save_pictures(self.folder, result.pictures)
        notify("magdr_run_finished", self.report, run=self.folder, manifest=result.manifest, rows=result.rows)
        return result

    def _write(self, name: str, text: str) -> None:
        write_atomically(self.folder / name, lambda p: p.write_text(text, encoding="utf-8"))

    def _manifest(self) -> dict[str, Any]:
        device = self.toolkit.device
        return {
            "schema": SCHEMA,
            "registry": self.toolkit.registry.name,
            "registry_file": self.toolkit.registry.path.name,
            "registry_text": self.toolkit.registry.text,
            "profile": self.name,
            "settings": self.profile.model_dump(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "versions": {name: version(name) for name in VERSIONS},
            "commit": _commit(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def environment(self) -> dict[str, Any]:
        """What results may depend on besides components and data."""
        return {
            "magdr": __version__,
            "torch": torch.__version__,
            "device": self.toolkit.device.type,
            "dtype": "float32",
            "compile": False,
        }


class GroupRun:
    """The cells of one task and seed."""

    def __init__(self, bench: Bench, group: Group, result: RunResult) -> None:
        self.bench, self.group, self.result = bench, group, result
        self.toolkit, self.store = bench.toolkit, bench.store
        self.calibrator = self.toolkit.calibrator(
            group.task, bench.profile.dataset, self.store, progress=bench.progress
        )
        self.G: GuardedGenerator = self.calibrator.generator
        self.data: Dataset = self.calibrator.data
        self._clean: dict[bool, Samples] = {}
        self._reference: Tensor | None = None
        self._images: dict[str, Tensor] = {}
        self._ready: dict[tuple[str, str], Any] = {}
        self.identities: list[int] = []
        restorations = [d for d in bench.profile.defenses if is_restoration(self.toolkit, d)]
        self._plain = {ORACLE, *restorations}

    def run(self) -> None:
        for cell in self.group.cells:
            data = self._cell(cell)
            self.result.cells.append(data)
            self.toolkit.host.notify(
                "magdr_cell_finished", self.bench.report, run=self.bench.folder, cell=data
            )
        self._collect_pictures()

    def _cell(self, cell: Cell) -> dict[str, Any]:
        facts = evaluate.cell_facts(cell) | {"noise": cell.slice.component == "noise"}
        try:
            # Fitting comes first: the key holds the calibration that a component uses.
            component = self._component(cell)
            key = self._key(cell)
            facts["seen_by_oracle"] = self._oracle(cell)
            stored = self.store.json("cells", key)
            if stored is not None:
                self.result.reused += 1
                return stored | {"facts": facts, "reused": True}
            start = time.perf_counter()
            self.G.take_passes()
            values, extra = self._compute(cell, component)
        except (MagdrError, torch.OutOfMemoryError) as e:
            self.bench.report(f"failed: {cell}: {one_line(e)}")
            return {"facts": facts, "error": one_line(e), "seconds": 0.0, "ids": [], "values": {}}
        clean = self.clean(False)
        forwards = self.G.take_passes() / len(clean)
        if "pictures" in extra:
            self.store.put_images(f"{key}-pictures", extra.pop("pictures"))
        data = {
            "schema": SCHEMA,
            "key": key,
            "facts": facts,
            "ids": list(clean.ids),
            "identities": self.identities,
            "values": values,
            "forwards": forwards,
            **extra,
            "seconds": round(time.perf_counter() - start, 3),
        }
        self.store.put_json("cells", key, data)
        self.result.computed += 1
        return data

    def _collect_pictures(self) -> None:
        """What the report shows, of the first seed only: clean, disrupted, and every defense of both."""
        shown = self.bench.profile.pictures
        if not shown or self.group.seed != self.bench.groups[0].seed:
            return
        pictures = self.result.pictures
        pictures[(self.group.task, CLEAN, "clean", "input")] = self.clean(False).images[:shown]
        pictures[(self.group.task, CLEAN, "clean", "output")] = self.reference[:shown]
        for cell in self.result.cells:
            facts = cell["facts"]
            if facts["role"] != "defense" or facts["task"] != self.group.task or "error" in cell:
                continue
            images = self.store.images(f"{cell['key']}-pictures")
            if images is not None and facts["seed"] == self.group.seed:
                name = (self.group.task, facts["attack"], facts["component"])
                pictures[(*name, "input")], pictures[(*name, "output")] = split_sides(images)

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
                return self.toolkit.build("attack", cell.component)
            if cell.component == ORACLE:
                layers = self.toolkit.registry.composition["layers"]
                labels = dict.fromkeys(label for layer in layers for label in layer)
                return [self.toolkit.family(label) for label in labels]
            if is_restoration(self.toolkit, cell.component):
                restoration = self.toolkit.build("restoration", cell.component)
                return GuardedDefense(_Filter(restoration), restoration.where)
            return self.calibrator.defense(cell.component)
        except MagdrError as e:
            return e

    def _identity(self, cell: Cell) -> Any:
        if cell.component == ORACLE:
            layers = self.toolkit.registry.composition["layers"]
            return [self.toolkit.family_identity(label) for label in sorted({x for la in layers for x in la})]
        kind = "restoration" if is_restoration(self.toolkit, cell.component) else cell.role
        return self.toolkit.resolve(kind, cell.component).identity

    def _key(self, cell: Cell) -> str:
        calibrated = cell.role in ("detector", "defense") and cell.component not in self._plain
        return digest(
            {
                "schema": SCHEMA,
                "role": cell.role,
                "component": self._identity(cell),
                "calibration": self.calibrator.digest_of(cell.role, cell.component) if calibrated else None,
                "images": self._image_key(cell.slice),
                "environment": self.bench.environment(),
            }
        )

    # -- images -----------------------------------------------------------------------------------------

    def clean(self, oracle: bool) -> Samples:
        if oracle not in self._clean:
            samples, identities = draw_samples(
                self.data.split(self.bench.profile.split),
                self.G,
                first=0,
                count=self.bench.profile.samples,
                seed=self.group.seed,
                oracle=oracle,
            )
            self._clean[oracle], self.identities = samples, identities.tolist()
        return self._clean[oracle]

    @property
    def reference(self) -> Tensor:
        """The outputs on clean images."""
        if self._reference is None:
            clean = self.clean(False)
            self._reference = evaluate.outputs(clean.images, clean, self.G)
        return self._reference

    def _image_key(self, part: Slice) -> Any:
        profile = self.bench.profile
        kind = {"attack": "attack", "noise": "attack", "benign": "augmentation"}.get(part.role)
        facts = {
            "generator": self.toolkit.resolve("generator", self.group.task).identity,
            "data": [self.data.fingerprint(), profile.split, profile.samples, self.group.seed],
            "environment": self.bench.environment(),
            "slice": None if kind is None else self.toolkit.resolve(kind, part.label).identity,
            # Noise of an attack's strength has no table of its own.
            "noise": part.eps if part.role == "noise" else None,
        }
        return facts

    def images(self, part: Slice) -> Tensor:
        """The images of a slice, from the store where they are there."""
        if part.name in self._images:
            return self._images[part.name]
        clean = self.clean(False)
        if part.role == "clean":
            return clean.images
        key = digest(self._image_key(part))
        images = self.store.images(key)
        if images is None or images.shape != clean.images.shape:
            images = self._make(part, clean)
            self.store.put_images(key, images)
        self._images[part.name] = images.to(clean.images.device)
        return self._images[part.name]

    def _make(self, part: Slice, clean: Samples) -> Tensor:
        if part.role == "benign":
            f = self.toolkit.build("augmentation", part.label)
            return torch.cat([to_8bit(f(b.images)) for b in clean.batches(evaluate.BATCH)])
        if part.role == "noise":
            attack: GuardedAttack = self.toolkit.sibling("attack", part.component, eps=part.eps)
        else:
            attack = self.toolkit.build("attack", part.label)
        parts = []
        for b in clean.batches(evaluate.BATCH):
            parts.append(attack_samples(b, attack, self.G, name=part.component, seed=self.group.seed))
            self.bench.progress(f"attacking ({part.name})", sum(map(len, parts)), len(clean))
        return torch.cat(parts)

    # -- computing --------------------------------------------------------------------------------------

    @torch.no_grad()
    def _compute(self, cell: Cell, component: Any) -> tuple[Mapping[str, list[float]], dict[str, Any]]:
        images = self.images(cell.slice)
        reference = self.reference
        self.G.take_passes()

        def rng(batch: Samples) -> SampleRng:
            return self.toolkit.rng(f"{cell.role}/{cell.component}", batch.ids, self.group.seed)

        if cell.role == "attack":
            clean = self.clean(False)
            return evaluate.attack_values(clean, images, self.G, component.objective, reference), {}
        clean = self.clean(self._oracle(cell))
        seen = clean.with_images(images)
        if cell.role == "detector":
            values = evaluate.detector_values(seen, component.detector, self.G, rng)
            fpr = self.toolkit.registry.calibration.fpr
            return values, {"thresholds": dict(component.thresholds), "fpr": fpr}
        if cell.component == ORACLE:
            families: list[Family] = component
            values, restored, output = evaluate.oracle_values(clean, seen, families, self.G, reference)
        else:
            values, restored, output = evaluate.defense_values(clean, seen, component, self.G, reference, rng)
        shown = self.bench.profile.pictures
        return values, {"pictures": torch.cat([restored[:shown], output[:shown]])}

    def _oracle(self, cell: Cell) -> bool:
        """Whether the component is given exact masks."""
        if cell.role == "attack" or cell.component in self._plain:
            return False
        return self.calibrator.wants_oracle(cell.role, cell.component)


class _Filter:
    """A restoration as a defense."""

    def __init__(self, restoration: Any) -> None:
        self.restoration = restoration

    def __call__(self, x: Tensor, c: Any, G: Any) -> Tensor:
        return self.restoration(x)


def _brief(cell: Mapping[str, Any]) -> dict[str, Any]:
    keep = ("key", "facts", "error", "forwards", "thresholds", "seconds")
    return {k: cell[k] for k in keep if k in cell}


def _commit() -> str:
    """The git commit of the working folder, or an empty text."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
