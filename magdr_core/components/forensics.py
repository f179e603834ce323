"""The shapes of forgeries and of forensic models, and what passes between them and core.

A forensic model is never called a detector: a detector of this toolkit looks for disturbances of what a
generator is given, and sees the generator. A forensic model sees a picture and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from magdr_core.components.batch import Batch
from magdr_core.components.rng import SampleRng
from magdr_core.short_repr import one_line_repr


@dataclass(frozen=True, eq=False)
class Forged:
    """Forged pictures, and where they are forged.

    Attributes:
        images: `[B,3,H,W]` in [0,1], 8-bit levels.
        masks: `[B,1,H,W]` of 0 and 1, 1 where forged; what that means is the spec's `definition`. A forgery
            whose definition is `recorded` gives an empty one where nobody has published any.
        alpha: `[B,1,H,W]`, the weight of the forgery in each pixel. Where it is 0 the source is untouched to
            the last bit. None: pixels further than the spec's `reach` from the mask are.
    """

    images: Tensor
    masks: Tensor
    alpha: Tensor | None = None

    __repr__ = one_line_repr

    def __iter__(self) -> Iterator[Tensor | None]:
        """Pictures, masks and alpha, `[B,C,H,W]` each, for those who like to unpack them."""
        return iter((self.images, self.masks, self.alpha))


class Forgery(Protocol):
    """One way of making fakes."""

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Forgeries of the pictures of a batch, all that its dataset knows beside them, `[B,3,H,W]` in [0,1].

        Args:
            donors: as many faces of other people from the same split; none if the spec asks for none.
            rng: a stream per picture.
        """


@dataclass(frozen=True, eq=False)
class ForensicData:
    """What `fit` of a forensic model may look at: faces of the train split, each real beside its forgery.

    Rows belong together: `fake[i]` was made of `real[i]`, and both went through the same quality with the
    same random draws. Scene, person, size and storage tell nothing.

    Attributes:
        real: `[n,3,H,W]`, 8-bit.
        fake: `[n,3,H,W]`, 8-bit.
        masks: `[n,1,H,W]` of 0 and 1, of the fakes; an empty one says that nobody knows where.
        families: `n` names of forgeries, as `use` has them.
        groups: `n` groups of families.
        qualities: `n` labels of what both went through; empty of nothing.
        ids: `n` ids of the real pictures.
        seed: of whatever is drawn while learning.
        progress: call it with (done, total) now and then.
    """

    real: Tensor
    fake: Tensor
    masks: Tensor
    families: tuple[str, ...]
    groups: tuple[str, ...]
    qualities: tuple[str, ...]
    ids: tuple[str, ...]
    seed: int = 0
    progress: Callable[[int, int], None] = lambda done, total: None

    __repr__ = one_line_repr

    def __len__(self) -> int:
        return self.real.shape[0]


class Forensic(Protocol):
    """A forensic model. One that says where a picture is forged also has `locate(x) -> [B,1,H,W]` in [0,1];
    above 1/2 a pixel counts as forged."""

    def score(self, x: Tensor) -> Tensor:
        """`[B,3,H,W]` in [0,1] -> `[B]`, higher is more likely forged."""


@runtime_checkable
class TaughtForensic(Protocol):
    """A forensic model that learns when a benchmark runs; core keeps its state by key."""

    def fit(self, data: ForensicData) -> Mapping[str, Any]:
        """A JSON-able state (tensors through `pack_tensors`); does not change the component."""

    def load(self, state: Mapping[str, Any]) -> None: ...
