"""What `magdr train NAME` does, as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that determines a weight file, besides the code.

    Attributes:
        name: of the weight file; what is trained by `magdr train NAME`.
        kind, use, params: the component whose network is trained.
        trainer: the procedure: called with a :class:`magdr_core.train.context.TrainContext`, it gives a
            `Trainer`. A function, or `module:function` as text, so that a list of recipes imports none.
        dataset: parameters of `procedural-faces`.
        photos: parameters of `portraits`, where photographs are learned from as well; the folder is the
            user's (`magdr train NAME --data FOLDER`).
        drawn: share of drawn faces among the training images, where there are photographs.
        victim: table of the generator that others are attacked on, purified or copied for; the trainer's own
            choice if empty.
        surrogate: table of the parser that stands in for an unknown generator; `unet` if empty.
        steps, batch, lr: optimisation (a cosine decay to 1% of lr).
        pool: training images drawn once, before the first step.
        start: weights that training starts from (as in a registry), instead of random ones.
        settings: weights of the losses and the like.
        tested: test faces that the card's quality is measured on.
    """

    name: str
    kind: str
    use: str
    trainer: str | Callable[[Any], Any]
    steps: int
    pool: int
    batch: int = 16
    lr: float = 1.5e-3
    seed: int = 0
    start: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    dataset: Mapping[str, Any] = field(default_factory=lambda: {"size": 64})
    photos: Mapping[str, Any] | None = None
    drawn: float = 0.0
    victim: Mapping[str, Any] = field(default_factory=dict)
    surrogate: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)
    tested: int = 500

    @property
    def trainer_name(self) -> str:
        """Module and function, with a colon between."""
        if isinstance(self.trainer, str):
            return self.trainer
        made = self.trainer if hasattr(self.trainer, "__qualname__") else type(self.trainer)
        return f"{made.__module__}:{made.__qualname__}"
