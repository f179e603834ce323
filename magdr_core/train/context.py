"""What a trainer works with, and what it has to be."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from magdr_core.components.protocols import Dataset, PairedSplit
from magdr_core.components.threads import single_thread
from magdr_core.files.disk import write_atomically
from magdr_core.toolkit import Toolkit
from magdr_core.train.recipes import Recipe

Log = Callable[[str], None]

TESTED_FROM = 10_000
"""Index of the first test face that the figures on the cards are measured on; benchmarks start elsewhere."""


@dataclass(frozen=True)
class TrainContext:
    """What a trainer works with.

    Attributes:
        tested_from: index of the first test face.
        command, data: what the card says in place of `magdr train NAME` and of a recipe's own faces.
        half: the networks may compute in bfloat16 where that is faster.
    """

    recipe: Recipe
    toolkit: Toolkit
    net: Any  # the module, with whatever its kind adds
    dataset: Dataset
    split: PairedSplit
    cache: Path
    log: Log
    first: int | None = None  # index of the first test face, in a context for testing
    tested_from: int = TESTED_FROM
    command: str = ""
    data: str = ""
    half: bool = True

    @property
    def device(self) -> torch.device:
        return self.toolkit.device

    def for_testing(self) -> TrainContext:
        """The test split of the drawn faces as everybody else uses it, whatever the recipe trains on; of a
        context for testing, the same."""
        return self if self.first is not None else self._testing("test", self.tested_from)

    def _testing(self, label: str, first: int) -> TrainContext:
        dataset: Dataset = self.toolkit.build("dataset", label)
        # One's own pictures have no exact edits; trainers that want them never meet such.
        split = cast(PairedSplit, dataset.split("test"))
        return replace(self, dataset=dataset, split=split, first=first)

    def on_test_faces(self, measure: Callable[[TrainContext], Mapping[str, float]]) -> dict[str, float]:
        """Figures of test faces by name. Where the recipe learns from photographs, those of photographs, and
        those of drawn faces under `drawn_*`."""
        if self.recipe.photos is None:
            return dict(measure(self.for_testing()))
        drawn = measure(self.for_testing())
        return {
            **measure(self._testing("test-photos", 0)),
            **{f"drawn_{name}": value for name, value in drawn.items()},
        }

    def tested(self, size: int, most: int | None = None) -> Iterator[list[int]]:
        """Indices of the test faces of a context for testing, in chunks of a size.

        Args:
            most: fewer of them than the recipe says.
        """
        assert self.first is not None
        count = min(self.recipe.tested, len(self.split) - self.first, most or self.recipe.tested)
        return self.chunks(count, size, self.first)

    def drawn_once(self, draw: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Training images, kept beside the checkpoint so that a continued training need not draw again.

        Args:
            draw: gives tensors by name, `[n,...]` with a row for each training image.
        """
        recipe = self.recipe
        made_of = repr(
            (
                recipe.use,
                recipe.params,
                recipe.seed,
                recipe.pool,
                self.dataset.fingerprint(),
                recipe.dataset,
                recipe.settings,  # of its attacks, too
                recipe.victim,
                recipe.surrogate,
            )
        )
        if self.cache.is_file():
            kept = torch.load(self.cache, map_location=self.device, weights_only=True)
            if kept.pop("made_of") == made_of:
                return {name: tensor.to(self.device) for name, tensor in kept.items()}
        with single_thread():
            images = draw()
        save_tensors(self.cache, {"made_of": made_of, **images})
        return images

    def chunks(self, count: int, size: int, first: int = 0) -> Iterator[list[int]]:
        for start in range(first, first + count, size):
            yield list(range(start, min(start + size, first + count)))

    def autocast(self) -> AbstractContextManager[Any]:
        """bfloat16 where the device computes it fast, else full precision."""
        fast = self.device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
        return torch.autocast(self.device.type, torch.bfloat16) if fast and self.half else nullcontext()


class Trainer(Protocol):
    modules: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]

    def step(self, i: int) -> dict[str, float]: ...

    def evaluate(self) -> Mapping[str, float]: ...


def save_tensors(path: Path, data: Mapping[str, Any]) -> None:
    """Write tensors by name to a file, whole or not at all."""
    # Through memory, since torch has no name of its own for a full disk.
    content = io.BytesIO()
    torch.save(data, content)
    write_atomically(path, lambda p: p.write_bytes(content.getbuffer()))
