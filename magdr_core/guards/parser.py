"""Core's wrapper around a face parser: masks that are masks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from magdr_core.components.regions import Regions
from magdr_core.functional import in_pieces
from magdr_core.guards.base import RANGE_SLACK, Guard
from magdr_core.isolation.expectations import expect


class GuardedParser(Guard):
    """A face parser.

    Attributes:
        regions: what the masks are of; the twelve `PARTS` where the component declares nothing.
    """

    def __init__(self, component: Any, where: str, *, stochastic: bool = False) -> None:
        super().__init__(component, where, stochastic=stochastic)
        self.regions: Regions = self.declared_regions()

    def __call__(self, x: Tensor) -> Tensor:
        """Soft masks of images `[B,3,H,W]` in [0,1]: `[B,N,H,W]` over `PARTS`, which sum to 1 at each pixel.

        Raises:
            ComponentError: another shape, negative masks, another sum, or it fails.
        """
        masks = self.call(lambda x: in_pieces(lambda i: self.component(x[i]), x), x)
        masks = self.scores(masks, (x.shape[0], len(self.regions), *x.shape[2:]))
        if masks.numel():
            expect(masks.detach().min() >= -RANGE_SLACK, lambda: self.fail("returned negative masks"))
            expect(
                (masks.detach().sum(1) - 1).abs().max() <= 1e-3,
                lambda: self.fail("returned masks that do not sum to 1 at each pixel"),
            )
        return masks

    @property
    def features(self) -> Any:
        """The component's own `features(x)`; AttributeError if it has none."""
        features = self.component.features
        return lambda x: self.call(features, x)
