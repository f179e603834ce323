"""Standardised evidence: log distances in units of their spread on clean faces.

Raw distances cannot be compared: SSIM and L1 have other scales, hair changes more than background, and an
added pair of glasses touches the skin around it. So each (criterion, region) is standardised on clean faces
with the same target region, each (criterion, f_k) on all clean faces (or, if wanted, on those with the same
target region as well), and means of those are what is combined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from magdr_core.functional import PARTS, constant
from magdr_core.magdr.evidence import Evidence
from magdr_core.short_repr import one_line_repr

FLOOR = 1e-5
"""Distances below it are rounding."""

MIN_COUNT = 12
"""Fewer clean faces than this cannot standardise a target region; the pooled figures are used then."""

POOLED = "any"
Z_RANGE = (-6.0, 12.0)


@dataclass(frozen=True, eq=False)
class Standardised:
    """Standardised evidence of a batch.

    Attributes:
        regions: `[B,N]`, mean over the criteria; NaN for the target and for absent regions.
        processings: `[B,K]`, mean over the criteria.
        regions_by: `[B,J,N]`, per criterion; NaN likewise.
        distortion_by: `[B,J]`, per criterion, mean over the regions.
        consistency_by: `[B,K,J]`, per f_k and criterion.
        distortion, consistency: `[B]`, the means of all those, in units of their own clean spread.
        covered: bool `[B]`, whether clean faces with this target region were in the calibration.
    """

    regions: Tensor
    processings: Tensor
    regions_by: Tensor
    distortion_by: Tensor
    consistency_by: Tensor
    distortion: Tensor
    consistency: Tensor
    covered: Tensor

    __repr__ = one_line_repr


def moments(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, standard deviation (0.001 at least) and count `[...]` of values `[N,...]`, where they are valid
    (bool `[N,...]`)."""
    weight = valid.double()
    count = weight.sum(0)
    mean = (values.double() * weight).sum(0) / count.clamp_min(1)
    var = ((values.double() - mean).square() * weight).sum(0) / (count - 1).clamp_min(1)
    return mean, var.sqrt().clamp_min(1e-3), count


def target_names(target: Tensor, regions: Sequence[str] = PARTS) -> list[str]:
    """The target regions of samples, bool `[B,N]` over N `regions`, as texts, e.g. `brows+eyes+glasses`."""
    # One read for all of them: each makes a GPU wait.
    return [named(row, regions) for row in target.tolist()]


def named(row: Sequence[bool], names: Sequence[str]) -> str:
    """Those of the names that are true, as one text."""
    return "+".join(name for name, inside in zip(names, row, strict=True) if inside) or "none"


class Standard:
    """Means and spreads of log distances on clean faces; made by `fit`, kept as JSON."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._state = state

    @classmethod
    def fit(cls, clean: Evidence, *, per_edit: bool = False) -> Standard:
        """Standardise on clean faces.

        Args:
            per_edit: consistency, too, in units of faces with the same target region.

        Raises:
            ValueError: fewer than `MIN_COUNT` of them.
        """
        n = len(clean.distortion)
        if n < MIN_COUNT:
            raise ValueError(f"{n} clean faces are too few to standardise on, {MIN_COUNT} at least")
        log_d = (clean.distortion + FLOOR).log()
        valid = clean.others[:, None].expand_as(log_d)
        names = target_names(clean.target, clean.names)
        log_k = (clean.consistency + FLOOR).log()
        all_k = torch.ones_like(log_k, dtype=torch.bool)
        patterns: dict[str, Any] = {}
        processings: dict[str, Any] = {}
        for name in [POOLED, *sorted(set(names))]:
            members = [i for i, given in enumerate(names) if name in (POOLED, given)]
            if len(members) < MIN_COUNT:
                continue
            rows = constant(members, log_d.device)
            mean, std, count = moments(log_d[rows], valid[rows])
            patterns[name] = {"mean": mean.tolist(), "std": std.tolist(), "count": count.tolist()}
            mean, std, _ = moments(log_k[rows], all_k[rows])
            processings[name] = {"mean": mean.tolist(), "std": std.tolist()}
        state: dict[str, Any] = {
            "regions": patterns,
            "processings": processings.pop(POOLED),
            "scores": {"distortion": [0.0, 1.0], "consistency": [0.0, 1.0]},
        }
        if per_edit:
            state["processings_per_edit"] = processings
        raw = cls(state).apply(clean)
        for part in ("distortion", "consistency"):
            values = getattr(raw, part).double()
            state["scores"][part] = [float(values.mean()), max(float(values.std()), 1e-3)]
        return cls(state)

    @property
    def state(self) -> Mapping[str, Any]:
        return self._state

    def names(self, evidence: Evidence) -> list[str]:
        """The target region of each image, by which units are looked up."""
        return target_names(evidence.target, evidence.names)

    def apply(self, evidence: Evidence) -> Standardised:
        names = self.names(evidence)
        by_region = self._regions(evidence, names)  # [B,J,N]
        seen = ~by_region.isnan()
        distortion_by = torch.where(seen, by_region, 0.0).sum(2) / seen.sum(2).clamp_min(1)
        z_k = self._processings(evidence, names)
        consistency = z_k.mean((1, 2)) if z_k.shape[1] else z_k.new_zeros(len(z_k))
        covered = constant([n in self._state["regions"] for n in names], z_k.device, torch.bool)
        return Standardised(
            regions=by_region.mean(1),
            processings=z_k.mean(2),
            regions_by=by_region,
            distortion_by=distortion_by,
            consistency_by=z_k,
            distortion=self._unit(distortion_by.mean(1), "distortion"),
            consistency=self._unit(consistency, "consistency"),
            covered=covered,
        )

    def _regions(self, evidence: Evidence, names: Sequence[str]) -> Tensor:
        """`[B,J,N]`, NaN for the target and for regions that were too rare to standardise."""
        log_d = (evidence.distortion + FLOOR).log()
        stats = self._state["regions"]
        by_region = torch.full_like(log_d, torch.nan)
        for name in dict.fromkeys(names):
            figures = stats.get(name, stats[POOLED])
            rows = constant([i for i, other in enumerate(names) if other == name], log_d.device)
            z = self._z(log_d[rows], figures)
            enough = constant(figures["count"], z.device) >= MIN_COUNT
            seen = evidence.others[rows][:, None] & enough
            by_region = by_region.index_copy(0, rows, torch.where(seen, z, torch.nan))
        return by_region

    def _processings(self, evidence: Evidence, names: Sequence[str]) -> Tensor:
        """`[B,K,J]`."""
        log_k = (evidence.consistency + FLOOR).log()
        count = log_k.shape[1]  # a screening measures the first few f_k only
        pooled, per_edit = self._state["processings"], self._state.get("processings_per_edit")
        if per_edit is None or not count:
            return self._z(log_k, {k: v[:count] for k, v in pooled.items()})
        z = torch.empty_like(log_k)
        for name in dict.fromkeys(names):
            figures = {k: v[:count] for k, v in per_edit.get(name, pooled).items()}
            rows = constant([i for i, other in enumerate(names) if other == name], z.device)
            z = z.index_copy(0, rows, self._z(log_k[rows], figures))
        return z

    @staticmethod
    def _z(log_values: Tensor, figures: Mapping[str, Any]) -> Tensor:
        mean = constant(figures["mean"], log_values.device, log_values.dtype)
        std = constant(figures["std"], log_values.device, log_values.dtype)
        return ((log_values - mean) / std).clamp(*Z_RANGE)

    def _unit(self, values: Tensor, part: str) -> Tensor:
        mean, std = self._state["scores"][part]
        return (values - mean) / std
