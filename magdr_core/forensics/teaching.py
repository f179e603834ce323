"""What a forensic model learns from, where its threshold comes from, and what of it all is known afterwards.

No picture of the test split is ever looked at. Models learn on the train split, from pairs of a real and a
fake; the threshold is set on the reals of the part `clean` of the split `calibration`, untouched ones. Both
are kept in the store under a key of everything that they depend on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from magdr_core.calibration.partition import CalibrationPart, CalibrationPartition
from magdr_core.components.fingerprints import CORE, digest
from magdr_core.components.protocols import Dataset
from magdr_core.components.specs import TrainedOn
from magdr_core.errors import ComponentError, RegistryError, suggestion
from magdr_core.forensics.clips import has_clips
from magdr_core.forensics.guards import GuardedForensic
from magdr_core.forensics.making import ForgeryFamily, family_of, parser_identity, quality_kind
from magdr_core.forensics.pairs import TrainingPairs
from magdr_core.forensics.pieces import batches, in_parts
from magdr_core.measures.thresholds import threshold_at_fpr

KIND = "forensics"
"""Where in the store they are."""


@dataclass(frozen=True, eq=False)
class Usable:
    """A forensic model that can score.

    Attributes:
        families: names of the forgeries that it has learned from.
        qualities: names of what their pictures went through.
    """

    model: GuardedForensic
    families: frozenset[str]
    qualities: frozenset[str]


@dataclass(frozen=True, eq=False)
class Taught(Usable):
    """One with a threshold, for tables.

    Attributes:
        groups: of the families.
        foreign: it has learned from other real pictures than those that it is tested on.
        threshold: above it a picture is flagged.
        fpr: the rate of false alarms that it was set for.
        digest: of what it has learned and of the threshold.
    """

    groups: frozenset[str]
    foreign: bool
    threshold: float
    fpr: float
    digest: str

    def mark(self, family: ForgeryFamily | None, quality: str) -> str:
        """What of a slice's pictures the model has not seen before, in words: `seen`, or `unseen family`,
        `unseen member` (of a group that it knows), `unseen quality`, `unseen world`, joined by `+`.

        Args:
            family: of the fakes; None of reals.
            quality: name of its component; empty of untouched pictures.
        """
        new = []
        if family is not None and not family.null and family.name not in self.families:
            new.append("member" if family.group in self.groups else "family")
        if quality and quality not in self.qualities:
            new.append("quality")
        if self.foreign:
            new.append("world")
        return f"unseen {'+'.join(new)}" if new else "seen"


def chosen_families(toolkit: Any, label: str) -> list[ForgeryFamily]:
    """The forgeries that a model's table lets it learn from: `families`, else all of the registry's that are
    forgeries of a part; without those that `leave_out` names, by label or by group, and without what is made
    of their fakes.

    Raises:
        RegistryError: none is left, `leave_out` names nothing, or `families` names what is no forgery.
    """
    instance = toolkit.registry.instance("forensic", label)
    place = f"{toolkit.registry.file_of(instance.table)} {instance.table}"
    told, left_out = instance.keys.get("families"), tuple(instance.keys.get("leave_out", ()))
    registry = toolkit.registry
    every = [family_of(toolkit, name) for name in told or registry.labels("forgery")]
    if told is None:
        taught = {f.label for f in every if registry.instance("forgery", f.label).keys.get("taught", True)}
        every = [f for f in every if f.label in taught and not f.null and f.group != "whole"]
    for family in every:
        if family.null:
            said = f"{family.label!r} is no forgery: its pictures count as real"
            raise RegistryError(f"{place} families: {said}")
    known = {name for family in every for name in family.known_as}
    for name in left_out:
        if name not in known:
            hint = suggestion(name, known)
            raise RegistryError(f"{place} leave_out: {name!r} is no family, and no group of one{hint}")
    kept = [f for f in every if not f.known_as & {*left_out}]
    if not kept:
        raise RegistryError(f"{place}: it learns from forgeries, and the registry leaves it none")
    return kept


class Teacher:
    """Teaches the forensic models of a run.

    Args:
        toolkit: builds them, and the forgeries.
        data: the real pictures of the run's task.
        store: keeps what was learned.
        progress: told (what, done, total).
    """

    def __init__(self, toolkit: Any, data: Dataset, store: Any, progress: Any) -> None:
        self.toolkit, self.data, self.store, self.progress = toolkit, data, store, progress
        self.policy = toolkit.registry.calibration
        self.partition = CalibrationPartition.of(self.policy)
        self.pairs = TrainingPairs(toolkit, self.partition.train, self.policy.seed, progress)

    def ready(self, label: str) -> Usable:
        """A model, taught where it learns; for one that does not, no real picture is looked at.

        Raises:
            ComponentError: it cannot be taught, or is not what a forensic model has to be.
            RegistryError: its table is wrong.
        """
        model: GuardedForensic = self.toolkit.build("forensic", label)
        if not model.learns:
            trained = _told(model)
            return Usable(model, frozenset(trained.families), frozenset(trained.qualities))
        taught = self.taught(label)
        return Usable(taught.model, taught.families, taught.qualities)

    def taught(self, label: str) -> Taught:
        """A model, taught where it learns, with a threshold.

        Raises:
            ComponentError: it cannot be taught, or is not what a forensic model has to be.
            RegistryError: its table is wrong.
        """
        keys = self.toolkit.registry.instance("forensic", label).keys
        model: GuardedForensic = self.toolkit.build("forensic", label)
        data = self.toolkit.build("dataset", keys["dataset"]) if keys.get("dataset") else self.data
        if model.learns:
            families = chosen_families(self.toolkit, label)
            qualities = tuple(keys.get("qualities", ()))
            trained = TrainedOn(
                tuple(f.name for f in families),
                tuple(self._quality(q) for q in qualities),
                data.fingerprint(),
            )
        else:
            families, qualities = [], ()
            trained = _told(model)
        key = digest(self._depends_on(label, data, families, qualities))
        known = self.store.json(KIND, key, _check)
        if known is None:
            known = self._learned(model, label, data, families, qualities)
            self.store.put_json(KIND, key, known)
        elif model.learns:
            model.load(known["state"])
        seen = frozenset(f.group for f in families) if model.learns else self._groups(trained.families)
        return Taught(
            model,
            frozenset(trained.families),
            frozenset(trained.qualities),
            seen,
            bool(trained.dataset) and trained.dataset != self.data.fingerprint(),
            known["threshold"],
            self.policy.fpr,
            digest([key, known["threshold"]]),
        )

    def _depends_on(
        self, label: str, data: Dataset, families: Sequence[ForgeryFamily], qualities: Sequence[str]
    ) -> Mapping[str, Any]:
        resolve = self.toolkit.resolve
        return {
            "core": CORE,
            "model": resolve("forensic", label).identity,
            "families": [resolve("forgery", f.label).identity for f in families],
            "qualities": [resolve(quality_kind(self.toolkit, q), q).identity for q in qualities],
            "data": [data.fingerprint(), *map(str, (self.partition.train, self.partition.clean))],
            "parser": parser_identity(self.toolkit) if families else None,
            "fpr": self.policy.fpr,
            "seed": self.policy.seed,
            **({"drawn by": "clip"} if families and has_clips(data, self.partition.train.split) else {}),
        }

    def _learned(
        self,
        model: GuardedForensic,
        label: str,
        data: Dataset,
        families: Sequence[ForgeryFamily],
        qualities: Sequence[str],
    ) -> dict[str, Any]:
        """The fitted state, none of a model that does not learn, and the threshold."""
        state: Mapping[str, Any] | None = None
        if model.learns:
            state = model.fit(self.pairs(data, families, qualities, label))
            if not isinstance(state, Mapping):
                raise model.fail(f"fit returned a {type(state).__name__}, expected a mapping")
            model.load(state)
        return {"state": state, "threshold": self._threshold(model, data)}

    def _threshold(self, model: GuardedForensic, data: Dataset) -> float:
        part: CalibrationPart = self.partition.clean
        split = data.split(part.split)
        scores = [in_parts(model.score, batch.images) for batch in batches(split, part.samples, data.size)]
        found = float(threshold_at_fpr(np.asarray(torch.cat(scores).double().cpu()), self.policy.fpr))
        if not math.isfinite(found):
            raise model.fail("has no finite score")
        return found

    def _quality(self, label: str) -> str:
        name: str = self.toolkit.resolve(quality_kind(self.toolkit, label), label).entry.name
        return name

    def _groups(self, names: Sequence[str]) -> frozenset[str]:
        """The groups of forgeries by name, as far as somebody knows them: of one that is made of another, the
        other's."""
        inner = {name.rpartition(" of ")[2] for name in names}
        specs = [entry.spec for entry in self.toolkit.host.entries("forgery") if entry.name in inner]
        return frozenset(spec.group for spec in specs)


def _told(model: GuardedForensic) -> TrainedOn:
    """What a component, else its spec, says that it has been trained on."""
    found = getattr(model.component, "trained_on", None) or model.trained_on
    if not isinstance(found, TrainedOn):
        raise ComponentError(f"{model.where}: trained_on is a {type(found).__name__}, expected TrainedOn")
    return found


def _check(data: Mapping[str, Any]) -> None:
    """Raises ValueError if it is no such result."""
    threshold = data.get("threshold")
    if not isinstance(threshold, int | float) or not math.isfinite(threshold):
        raise ValueError("holds no threshold")
    if not isinstance(data.get("state"), Mapping | None):
        raise ValueError("holds no fitted state")
