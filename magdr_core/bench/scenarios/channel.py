"""Pictures after what lies between attack and defense: a resized copy, a codec, a chain of both.

Whoever publishes a picture does not hand it to the defender: a platform stores it smaller, encodes it again,
perhaps twice. A disruption that does not survive that needs no defense, and a detector that was calibrated on
pictures as they were taken has not seen any of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from magdr_core.bench import evaluate
from magdr_core.bench.steps import batches
from magdr_core.components.batch import Samples
from magdr_core.components.fingerprints import digest
from magdr_core.components.objective import symmetric_mse
from magdr_core.components.rng import SampleRng
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import CLEAN, Measured, Slice
from magdr_core.components.task_run import Planning, Rng, SharedImages, TaskRun
from magdr_core.results.cell import CLEAN as CLEAN_IMAGES
from magdr_core.results.cell import NOISE, NOISE_L2

ALONE, BEHIND = "mse_o_channel", "mse_o_perturbation"
"""What the channel does to the output by itself, and what of the perturbation is left behind it: MSE in
[-1,1] units of the output on the clean picture behind the channel to that on the clean picture, and to that
on the attacked picture behind the channel."""


@dataclass(frozen=True)
class Published:
    """What goes into a channel.

    Attributes:
        source: the slice whose images are published.
        images: what these are (`slice_role`).
        knowledge: what their attacker knows, with a defense and without.
    """

    source: Slice
    images: str = CLEAN_IMAGES
    knowledge: tuple[str, str] = ("oblivious", "none")


class ChannelScenario(Scenario):
    """Each of a profile's `channels`: clean pictures, every attack's, and the noise that stands beside them.

    Its slices have the names of those that went in. Whoever has a cell on those has one behind the channel.
    """

    name = "channel"
    key = "channels"
    by_attack = True  # an attack has figures behind a channel, too
    grows = True

    def check(self, plan: Planning) -> None:
        for label in self.configured(plan.profile) or ():
            plan.check("channel", label)

    def slices(self, plan: Planning, earlier: Sequence[Slice]) -> Iterator[Slice]:
        for label in self.configured(plan.profile) or ():
            for part in earlier:
                scenario = plan.scenarios[part.scenario]
                beside = scenario.name in (NOISE, NOISE_L2)
                if scenario.grows and not scenario.per_cell and (scenario.main or beside):
                    known = (
                        scenario.knowledge(part, undefended=False),
                        scenario.knowledge(part, undefended=True),
                    )
                    yield _behind(label, part, Published(part, scenario.fact_of(part), known))

    def rows(self, plan: Planning, part: Slice) -> Iterator[tuple[str, str]]:
        source = published(part).source
        for name, label in plan.scenarios[source.scenario].rows(plan, source):
            if plan.roles[name].applies_to(self):
                yield name, label

    def images_before(self, plan: Planning, part: Slice) -> tuple[Slice, ...]:
        source = published(part).source
        made = (source,) if plan.scenarios[source.scenario].made else ()
        return (*made, *dict.fromkeys((clean_behind(part), part)))

    # -- tables -----------------------------------------------------------------------------------------

    def fact_of(self, part: Slice) -> str:
        return published(part).images

    def knowledge(self, part: Slice, *, undefended: bool) -> str:
        return published(part).knowledge[undefended]

    def point(self, part: Slice) -> str:
        return f" through {part.channel}"

    # -- images -----------------------------------------------------------------------------------------

    def images_key(self, images: SharedImages, part: Slice) -> Mapping[str, Any]:
        source = published(part).source
        scenario = images.toolkit.host.scenarios[source.scenario]
        channel = images.toolkit.resolve("channel", part.channel).identity
        return {**scenario.images_key(images, source), "channel": channel}

    def make(self, images: SharedImages, part: Slice, clean: Samples) -> Mapping[Slice, Tensor]:
        source = clean.with_images(images.of(published(part).source))
        return {part: received(images, part.channel, source)}

    # -- cells ------------------------------------------------------------------------------------------

    def measure(self, run: TaskRun, cell: Any, role: Any, component: Any, rng: Rng) -> Measured:
        measured = super().measure(run, cell, role, component, rng)
        if not any({ALONE, BEHIND} & {*figure.needs} for figure in role.figures):
            return measured
        clean = run.images.clean(False, cell.slice)
        plain, attacked = (
            evaluate.outputs(run.images.of(part), clean, run.G)
            for part in (clean_behind(cell.slice), cell.slice)
        )
        own = {
            ALONE: symmetric_mse(plain, run.images.reference[: len(clean)]).tolist(),
            BEHIND: symmetric_mse(attacked, plain).tolist(),
        }
        return replace(measured, values={**measured.values, **own})


def received(images: SharedImages, label: str, source: Samples) -> Tensor:
    """What arrives of the samples' images, `[n,3,H,W]`, behind a channel of the registry."""
    channel = images.toolkit.build("channel", label)
    # Its draws are of a picture and of the channel, so attacked and clean copies go through the same.
    name = f"channel/{digest(images.toolkit.resolve('channel', label).identity)}"
    made = []
    for b in batches(source, partial(images.progress, f"sending ({label})")):
        made.append(channel(b.images, rng=SampleRng(images.seed, name, b.ids, device=b.images.device)))
    return torch.cat(made)


def published(part: Slice) -> Published:
    """What went into the channel of a slice."""
    found = part.settings
    assert isinstance(found, Published)
    return found


def clean_behind(part: Slice) -> Slice:
    """The slice of the clean pictures behind the same channel."""
    return _behind(part.channel, Slice(CLEAN, CLEAN_IMAGES), Published(Slice(CLEAN, CLEAN_IMAGES)))


def _behind(label: str, part: Slice, told: Published) -> Slice:
    return replace(part, scenario=ChannelScenario.name, channel=label, settings=told)
