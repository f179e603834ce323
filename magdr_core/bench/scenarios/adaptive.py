"""Attacks that know the whole pipeline: each once more, aimed at each detector and defense."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from magdr_core.adaptive.attack import NAME, VERSION
from magdr_core.bench.scenarios.adaptive_aims import (
    AWAY,
    TARGETED,
    aim_of,
    attack_undefended,
    oblivious,
    undefended,
)
from magdr_core.bench.scenarios.adaptive_cells import AdaptiveCells, suite_of
from magdr_core.bench.scenarios.attack import ByAttack, attack_slice
from magdr_core.bench.scenarios.channel import ChannelScenario
from magdr_core.components.batch import Samples
from magdr_core.components.cells import PlannedCell
from magdr_core.components.role import Role
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import Measured, Slice
from magdr_core.components.task_run import Planning, Rng, SharedImages, TaskRun
from magdr_core.registry import scenario_tables

BOUND = {"psnr": "a PSNR", "ssim": "an SSIM"}
"""What attacks that have no ball are bounded by."""


class AdaptiveScenario(ByAttack):
    """The profile's table `adaptive`."""

    name = "adaptive"
    key = "adaptive"
    settings = scenario_tables.Adaptive
    main = False
    by_attack = False  # aimed at a component, it has no figures of its own
    per_cell = True
    grows = False  # its shared state is of all images together

    def check(self, plan: Planning) -> None:
        """Everything that the table names is there, and each other attack has one to join."""
        settings = plan.profile.adaptive
        if settings is None:
            return
        if settings.behind:
            plan.check("detector", settings.behind)
        for role in plan.roles.values():
            for label in self._labels(plan, role):
                plan.check(role.kind_of(plan.toolkit, label), label)
        measured = plan.scenarios[ChannelScenario.name].configured(plan.profile) or ()
        for label in settings.channels:
            if label not in measured:  # clean pictures behind it would be missing
                raise plan.fault(
                    f"adaptive: channels: {label!r} is none of the profile's channels; add it to "
                    f"`{ChannelScenario.key}` of the profile"
                )
        for label in (*settings.attacks, *settings.others):
            resolved = plan.check("attack", attack_slice(plan, label).label)
            if resolved is not None and resolved.entry.spec.norm != "linf":
                raise plan.fault(
                    f"adaptive: the attack {label!r} is bounded by {BOUND[resolved.entry.spec.norm]}; those "
                    "that know everything search in an L-infinity ball (parameter eps)"
                )
        strengths = {attack_slice(plan, label).eps for label in settings.attacks} - {0.0}
        for label in settings.others:
            eps = attack_slice(plan, label).eps  # 0 of one whose plugin is broken
            if eps and strengths and not any(math.isclose(eps, own) for own in strengths):
                known = ", ".join(f"{own * 255:g}/255" for own in sorted(strengths))
                raise plan.fault(
                    f"adaptive: the other attack {label!r} has eps = {eps * 255:g}/255; "
                    f"it can join only attacks of the same strength ({known})"
                )

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterator[Slice]:
        settings = plan.profile.adaptive
        for label in settings.attacks if settings is not None else ():
            part = replace(attack_slice(plan, label, self.name), steps=settings.steps)
            yield from (replace(part, channel=channel) for channel in ("", *settings.channels))

    def _labels(self, plan: Planning, role: Role) -> tuple[str, ...]:
        """The components of a role that the table names."""
        if not role.attackable:
            return ()
        labels: tuple[str, ...] = getattr(plan.profile.adaptive, role.plural, ())
        return labels

    def rows(self, plan: Planning, part: Slice) -> Iterator[tuple[str, str]]:
        # What the same effort does without a defense stands beside what it does with one.
        for role in plan.roles.values():
            for label in role.lined_up(self._labels(plan, role)):
                yield role.name, label

    def images_before(self, plan: Planning, part: Slice) -> tuple[Slice, ...]:
        labels = dict.fromkeys((part.name, *plan.profile.adaptive.others))
        aims = (undefended(part, aim) for aim in (AWAY, TARGETED))
        return (*(attack_slice(plan, label) for label in labels), *aims)

    def fits(self, plan: Planning, role: Role) -> Sequence[tuple[str, str]]:
        behind = self._behind(plan.profile, role)
        return (("detector", behind),) if behind else ()

    def _behind(self, profile: Any, role: Role) -> str:
        """The detector before a role's components; empty for none."""
        behind: str = profile.adaptive.behind
        return behind if role.kind != "detector" else ""

    # -- tables -----------------------------------------------------------------------------------------

    def knowledge(self, part: Slice, *, undefended: bool) -> str:
        return "adaptive"

    def also(self, part: Slice, *, undefended: bool) -> str:
        return "attack" if undefended else ""  # what the same effort does against no defense

    def knows(self, knowledge: str) -> str:
        return "everything: generator, condition, defense, detector and threshold, not the draws of either"

    def point(self, part: Slice) -> str:
        return f" (adaptive, through {part.channel})" if part.channel else " (adaptive)"

    def manifest(self, toolkit: Any, profile: Any) -> Mapping[str, Any]:
        settings = profile.adaptive
        return {"adaptive_suite": suite_of(toolkit, settings) if settings is not None else None}

    # -- cells ------------------------------------------------------------------------------------------

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        if aim_of(part) is None:
            return Scenario.images_key(self, images, part)  # each cell has images of its own: see `cell_key`
        options = images.profile.adaptive.model_dump(include={"steps", "restarts", "precision"})
        told = {
            "version": [NAME, VERSION],
            "aim": aim_of(part),
            "start": images.key(oblivious(part)),
            **options,
        }
        return {**super().images_key(images, part), "undefended": told}

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        attack = images.toolkit.build("attack", part.label)
        return {part: attack_undefended(images, part, clean, attack, images.profile.adaptive)}

    def prepare(self, images: SharedImages, part: Slice) -> None:
        pass

    def _cells(self, run: TaskRun) -> AdaptiveCells:
        cells: AdaptiveCells = run.cached(self.name, lambda: AdaptiveCells(run))
        return cells

    def cell_key(self, run: TaskRun, cell: PlannedCell, role: Role) -> Mapping[str, Any]:
        behind = self._behind(run.profile, role)
        before = None
        if behind:
            detectors = run.roles["detector"]
            ahead = replace(cell, role="detector", component=behind)
            run.component(ahead)  # the key holds its calibration
            before = [detectors.identity(run, ahead), detectors.calibration(run, behind)]
        return {"adaptive": self._cells(run).key(cell), "behind": before}

    def measure(self, run: TaskRun, cell: PlannedCell, role: Role, component: Any, rng: Rng) -> Measured:
        defended = role.defended(run, cell, component, self._behind(run.profile, role))
        measured = self._cells(run).values(cell, role, defended, rng)
        return replace(measured, extra={**role.attacked_extra(run, component), **measured.extra})

    def kept(
        self, run: TaskRun, cell: PlannedCell, role: Role, stored: Mapping[str, Any]
    ) -> Mapping[str, int]:
        return {}
