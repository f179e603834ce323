"""Writing pictures of a profile as files: clean, attacked, and what defenses make of the attacked ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from magdr_core.bench.executors.local import environment
from magdr_core.bench.group import GroupRun
from magdr_core.bench.images import GroupImages, Workplace
from magdr_core.bench.plan import Group, is_restoration, plan
from magdr_core.bench.roles.defense import UNDEFENDED
from magdr_core.calibration import Progress
from magdr_core.components.batch import Samples, VectorCondition
from magdr_core.components.fingerprints import digest
from magdr_core.components.slice import Slice
from magdr_core.errors import DataError, MagdrError, RegistryError, WriteError, one_line
from magdr_core.export.triples import (
    REGISTRY,
    SCHEMA,
    Triple,
    has_picture,
    put_picture,
    read_identity,
    write_card,
    write_list,
)
from magdr_core.files.disk import write_atomically
from magdr_core.isolation import interrupts
from magdr_core.isolation.expectations import deferred
from magdr_core.registry.settings import Profile
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit

DRAWN_TERMS = "drawn by a program, of nobody; as free as the program (Apache-2.0)"

TOGETHER = 64
"""Pictures that are restored before they are written: so many are lost at most when a run is killed."""

VERSIONS = ("magdr", "torch", "numpy")


@dataclass
class Exported:
    """What an export has written."""

    folder: Path
    triples: list[Triple] = field(default_factory=list)
    made: int = 0
    """Restored pictures that were not there before."""
    failed: list[str] = field(default_factory=list)
    """One line for each attack or defense of a task that could not be run."""


class Export:
    """The pictures of one profile of one registry, in a folder.

    Attacked pictures and calibrations are those of a benchmark of the profile, and shared with it through the
    store. Files that are there are kept, so that the same export continues, also with more samples; with
    fewer the others stay, but are listed no longer.

    Args:
        profile: whose pictures, tasks, seeds and attacks are taken.
        out: a folder that is new, empty, or has an unfinished export of the same.
        cache: folder of the shared store.
        defenses: labels, as a profile's; if empty, the profile's first one.
        limit: at most so many samples.
        terms: under which the pictures may be passed on; needed for pictures that are not drawn, unless their
            dataset says it.
        progress: told (what, done, total) of long steps.
        report: told one-line messages.

    Raises:
        RegistryError: a fault in the registry, or no attack or defense.
        DataError: pictures without terms, or a folder with something else in it.
    """

    def __init__(
        self,
        toolkit: Toolkit,
        profile: str,
        *,
        out: Path,
        cache: Path = Path("runs/cache"),
        defenses: Sequence[str] = (),
        limit: int | None = None,
        terms: str = "",
        progress: Progress = lambda what, done, total: None,
        report: Callable[[str], None] = print,
    ) -> None:
        self.toolkit, self.name, self.folder = toolkit, profile, out
        told: Profile = toolkit.registry.profile(profile)
        chosen = tuple(defenses) or tuple(d for d in told.defenses if d != UNDEFENDED)[:1]
        for what, labels in (("attacks", told.attacks), ("defenses", chosen)):
            if not labels:
                hint = "; name one with --defense" if what == "defenses" else ""
                raise RegistryError(f"{toolkit.registry.path.name} [profile.{profile}] has no {what}{hint}")
        samples = told.samples if limit is None else min(limit, told.samples)
        self.profile = Profile(
            dataset=told.dataset,
            split=told.split,
            samples=samples,
            first=told.first,
            seeds=told.seeds,
            generators=tuple(toolkit.registry.defended(told)),
            attacks=told.attacks,
            defenses=chosen,
        )
        self.groups = plan(toolkit, self.profile, profile)
        self.terms = {label: self._terms(label, terms) for label in {g.dataset for g in self.groups}}
        self.parts = self._parts()
        kept = [self.profile.split, self.profile.first, environment(toolkit)]
        self.identity = digest([self.parts, kept])
        self._check_folder()
        self.work = Workplace(
            toolkit, self.profile, Store(cache, report), environment(toolkit), progress, report
        )

    @property
    def total(self) -> int:
        """Parts: an attack and a defense of a task and seed each."""
        return sum(len(_attacks(group)) for group in self.groups) * len(self.profile.defenses)

    def run(self, finished: Callable[[str], None] = lambda title: None) -> Exported:
        """Make what is missing, and write list and card.

        Args:
            finished: told each part that is done.

        Raises:
            WriteError: a file cannot be written.
        """
        result = Exported(self.folder)
        with interrupts.watched():
            self.work.store.sweep()
            text = self.toolkit.registry.text
            write_card(self.folder, self._card(result, finished=False))
            write_atomically(self.folder / REGISTRY, lambda path: path.write_bytes(text.encode()))
            for group in self.groups:
                run = GroupRun(self.work, group)
                for part in _attacks(group):
                    for label in self.profile.defenses:
                        title = f"{group.task} (seed {group.seed}) / {part.name} / {label}"
                        try:
                            result.triples += self._part(run.images, group, part, label, result)
                        except WriteError:
                            raise
                        except MagdrError as e:
                            result.failed.append(f"{title}: {one_line(e)}")
                            self.work.report(f"failed: {result.failed[-1]}")
                        finished(title)
            sums = write_list(self.folder, result.triples)
            write_card(self.folder, self._card(result, finished=not result.failed) | {"sha256sums": sums})
        return result

    def _part(
        self, images: GroupImages, group: Group, part: Slice, label: str, result: Exported
    ) -> list[Triple]:
        """Write the triples of an attack and a defense."""
        clean = images.clean(False)
        attacked = images.of(part)
        ready = images.defense(label)
        told = images.clean(True).conditions if ready.oracle else clean.conditions
        seen = Samples(attacked, told, clean.ids)
        keys = {"clean": images.data.fingerprint(), "attacked": digest(images.lasting_key(part))}
        keys["restored"] = digest([keys["attacked"], ready.key])
        place = f"{group.task}-seed{group.seed}"
        folders = {
            "clean": f"{place}/clean",
            "attacked": f"{place}/{part.name}/attacked",
            "restored": f"{place}/{part.name}/{label}",
        }
        size = clean.images.shape[2:]

        def file(kind: str, i: int) -> str:
            return f"{folders[kind]}/{self.profile.first + i:06d}.png"

        def there(kind: str, i: int) -> bool:
            about = digest([kind, keys[kind], clean.ids[i]])
            return has_picture(self.folder / file(kind, i), about, size)

        def put(kind: str, i: int, image: torch.Tensor) -> None:
            put_picture(self.folder / file(kind, i), image, digest([kind, keys[kind], clean.ids[i]]))

        for i in range(len(clean)):
            for kind, source in (("clean", clean.images), ("attacked", attacked)):
                if not there(kind, i):
                    put(kind, i, source[i])
        missing = [i for i in range(len(clean)) if not there("restored", i)]
        for start in range(0, len(missing), TOGETHER):
            rows = missing[start : start + TOGETHER]
            some = Samples(seen.images[rows], seen.conditions[rows], tuple(clean.ids[i] for i in rows))
            with deferred():
                restored = ready.restored(some)
            images.shared.check(f"defense {label}")
            for i, image in zip(rows, restored, strict=True):
                put("restored", i, image)
            result.made += len(rows)
        linf = ((attacked - clean.images).abs().flatten(1).amax(1) * 255).round().int().tolist()
        triples = []
        for i, name in enumerate(clean.ids):
            condition = _condition(images.G.condition_names, clean.conditions[[i]])
            triples.append(
                Triple(
                    task=group.task,
                    seed=group.seed,
                    id=name,
                    condition=condition,
                    attack=part.name,
                    eps=part.eps,
                    steps=part.steps,
                    linf=linf[i],
                    defense=label,
                    clean=file("clean", i),
                    attacked=file("attacked", i),
                    restored=file("restored", i),
                )
            )
        return triples

    def _terms(self, label: str, given: str) -> str:
        if given:
            return given
        said = getattr(self.toolkit.build("dataset", label), "terms", None)
        found = str(said()) if callable(said) else ""
        if not found and "synthetic" in self.toolkit.resolve("dataset", label).entry.spec.tags:
            found = DRAWN_TERMS
        if not found:
            raise DataError(
                f"{self.toolkit.registry.path.name} [dataset.{label}]: its pictures are not drawn, and "
                "nothing says under which terms they may be passed on; say it with --terms"
            )
        return found

    def _check_folder(self) -> None:
        """The folder holds nothing, or this export."""
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise DataError(f"{self.folder} is a file, a folder is needed there")
        found = read_identity(self.folder)
        if found is None and any(self.folder.iterdir()):
            raise DataError(f"{self.folder} holds other files; choose a new folder")
        if found not in (None, self.identity):
            raise DataError(f"{self.folder} holds another export; choose a new folder")

    def _card(self, result: Exported, *, finished: bool) -> dict[str, Any]:
        toolkit, profile = self.toolkit, self.profile
        tasks = [task | {"terms": self.terms[task["dataset"]]} for task in self.parts["tasks"]]
        return {
            **self.parts,
            "schema": SCHEMA,
            "identity": self.identity,
            "finished": finished,
            "registry": toolkit.registry.name,
            "profile": self.name,
            "split": profile.split,
            "first": profile.first,
            "samples": profile.samples,
            "tasks": tasks,
            "triples": len(result.triples),
            "failed": result.failed,
            "device": "cpu" if toolkit.device.type == "cpu" else torch.cuda.get_device_name(toolkit.device),
            "versions": {name: version(name) for name in VERSIONS},
        }

    def _parts(self) -> dict[str, list[dict[str, Any]]]:
        """What the pictures depend on, by name."""
        toolkit = self.toolkit
        attacks: dict[str, dict[str, Any]] = {}
        for group in self.groups:
            for part in _attacks(group):
                identity = toolkit.resolve("attack", part.label).identity
                told = {"name": part.name, "use": part.component, "eps": part.eps, "steps": part.steps}
                entry = attacks.setdefault(
                    f"{part.name} {digest(identity)}", {**told, "identity": identity, "tasks": []}
                )
                entry["tasks"] = sorted({*entry["tasks"], group.task})
        defenses = []
        for label in self.profile.defenses:
            resolved = toolkit.resolve("restoration" if is_restoration(toolkit, label) else "defense", label)
            defenses.append({"name": label, "use": resolved.entry.name, "identity": resolved.identity})
        tasks = [
            {
                "task": group.task,
                "seed": group.seed,
                "folder": f"{group.task}-seed{group.seed}",
                "dataset": group.dataset,
                "fingerprint": toolkit.build("dataset", group.dataset).fingerprint(),
                "generator": toolkit.resolve("generator", group.task).identity,
            }
            for group in self.groups
        ]
        return {"tasks": tasks, "attacks": list(attacks.values()), "defenses": defenses}


def _attacks(group: Group) -> list[Slice]:
    return [part for part in group.slices if part.scenario == "attack"]


def _condition(names: Sequence[str], condition: Any) -> str:
    """What one picture's condition changes; empty where it is no vector with names."""
    if not isinstance(condition, VectorCondition) or len(names) != condition.values.shape[1]:
        return ""
    values, changed = condition.values[0].tolist(), condition.changed[0].tolist()
    return " ".join(f"{n}={v:g}" for n, v, own in zip(names, values, changed, strict=True) if own)
