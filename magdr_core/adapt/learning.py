"""The trainings of an adaptation: an Eq. 8 purifier for the generator, and a twin of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from magdr_core.adapt.tables import FACES, GeneratorSource, purifier_name, twin_name
from magdr_core.adapt.variations import VariedFaces
from magdr_core.components.recipe import Recipe
from magdr_core.report.formatting import seconds as duration
from magdr_core.toolkit import Toolkit
from magdr_core.train.context import TrainContext
from magdr_core.train.runner import train_in, trainer_of

STEPS: Mapping[str, int] = {"purifier": 1800, "twin": 3000}
"""Of the trainings where nothing is said."""

POOL: Mapping[str, float] = {"purifier": 1.2, "twin": 2.0}
"""Training images drawn for each step."""

MOST_IMAGES = 6144
FEWEST_IMAGES = 16

SHARE: Mapping[str, float] = {"purifier": 0.4, "twin": 0.6}
"""Of the minutes, where both are trained."""

EQ8_FROM = 0.4
"""Share of the purifier's steps that it first learns from pixels alone."""

Log = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Learner:
    """Trains networks for the generator of a source.

    Attributes:
        source: the generator and where everything goes.
        device: of the training; as a registry has it.
        half: the generator may compute in bfloat16.
        log, progress: told lines, and (what, done, total).
    """

    source: GeneratorSource
    device: str
    half: bool
    log: Log
    progress: Progress

    def recipe(self, what: str, steps: int) -> Recipe:
        """What `purifier` or `twin` is trained by, in so many steps."""
        task = self.source.task
        table = self.source.tables()["generator"][task]
        common: dict[str, Any] = {
            "steps": steps,
            "pool": max(FEWEST_IMAGES, min(MOST_IMAGES, round(POOL[what] * steps))),
            "dataset": {"size": self.source.size},
            "victim": {"use": table["use"], "params": table.get("params", {})},
            "tested": 128,
        }
        if what == "purifier":
            return Recipe(
                name=purifier_name(task),
                kind="restoration",
                use="purifier",
                trainer="magdr_core.train.purifying:PurifyingTrainer",
                params={"width": 16},
                start="builtin:purifier-faces64",
                lr=1e-3,
                settings={"eq8": 1.0, "eq8_from": EQ8_FROM, "smooth": 0.4},
                **common,
            )
        return Recipe(
            name=twin_name(task),
            kind="generator",
            use=table["use"],
            trainer="magdr_core.train.twin:TwinTrainer",
            params=table.get("params", {}),
            batch=8,
            lr=4e-4,
            settings={"eps_from": 4 / 255, "eps_to": 8 / 255, "attack_steps": 2.0},
            **common,
        )

    def train(self, what: str, steps: int) -> Path:
        """Train `purifier` or `twin`; a training that was broken off is continued. Its weight file."""
        recipe = self.recipe(what, steps)
        torch.manual_seed(recipe.seed)
        context = self._context(what, recipe)
        out, name = self.source.out, recipe.name
        spoken = _Spoken(name, self.log, self.progress)
        every = max(1, min(250, steps // 10))
        path = train_in(context, name, out=out, progress=spoken, checkpoint_every=every)
        (out / f"{name}.checkpoint.pt").unlink(missing_ok=True)
        return path

    def forget(self, name: str) -> None:
        """Remove what a training that was broken off left behind: it was of another generator, or of others'
        pictures."""
        for ending in ("checkpoint", "images"):
            (self.source.out / f"{name}.{ending}.pt").unlink(missing_ok=True)

    def steps_within(self, what: str, minutes: float) -> int:
        """How many steps of a training, with the drawing of its images, so many minutes are enough for here;
        1 at least. Tried on a few images, of which nothing is kept."""
        tried = replace(self.recipe(what, 10), pool=FEWEST_IMAGES)
        context = replace(self._context(what, tried), cache=self.source.out / ".trial.images.pt")
        try:
            began = time.monotonic()
            trainer = trainer_of(context)
            image = (time.monotonic() - began) / FEWEST_IMAGES
        finally:
            context.cache.unlink(missing_ok=True)
        step = 0.0
        # The first one of each kind only warms up.
        for share, i in ((EQ8_FROM, 0), (1 - EQ8_FROM, tried.steps - 1)):
            trainer.step(i)
            began = time.monotonic()
            for _ in range(2):
                trainer.step(i)
            step += share * (time.monotonic() - began) / 2
        return max(1, int(60 * minutes / (step + POOL[what] * image)))

    def _context(self, what: str, recipe: Recipe) -> TrainContext:
        """Everything that a trainer asks for, on the cut faces."""
        source, task = self.source, self.source.task
        tables: dict[str, Any] = source.tables()
        tables["dataset"]["test"] = tables["dataset"][FACES]
        tables["generator"]["victim"] = tables["generator"][task]
        tables["parser"]["surrogate"] = {"use": "unet"}
        tables["restoration"]["net"] = {
            "use": "purifier",
            "params": {"weights": recipe.start, **recipe.params},
        }
        if what == "twin":
            del tables["restoration"]["net"]
        toolkit = Toolkit(source.parsed(tables), device=self.device)
        net = toolkit.build("restoration", "net") if what == "purifier" else toolkit.generator(task)
        # The norms of somebody else's network stay as they are: it is a copy of what runs.
        network = net.component.requires_grad_(True).train(what == "purifier")
        faces = toolkit.build("dataset", FACES)
        count = len(faces.split("train"))
        varied = VariedFaces(faces, -(-recipe.pool // count))
        return TrainContext(
            recipe,
            toolkit,
            network,
            varied,
            varied.split("train"),
            source.out / f"{recipe.name}.images.pt",
            self.log,
            tested_from=0,
            command=f"magdr adapt {source.registry.path.name} --generator {task} --data FOLDER",
            data=f"{count} pictures of one's own and variations",
            half=self.half,
        )


class _Spoken:
    """Tells how far a training is, and about how long it still takes."""

    def __init__(self, name: str, log: Log, progress: Progress) -> None:
        self.name, self.log, self.progress = name, log, progress
        self.began: tuple[float, int] | None = None

    def __call__(self, done: int, total: int, losses: Mapping[str, float]) -> None:
        now = time.monotonic()
        self.progress(self.name, done, total)
        if self.began is None:
            self.began = now, done
            return
        since, first = self.began
        if done % max(1, total // 10) == 0 and done < total:
            left = (now - since) / (done - first) * (total - done)
            self.log(f"{self.name}: about {duration(left)} left")
