"""The measurements behind a decision: what G changed outside the target, and how stable its output is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from magdr_core.functional import area
from magdr_core.magdr import equations
from magdr_core.protocols import Generator, Parser
from magdr_core.types import Condition

MIN_AREA = 0.005
"""Share of the image below which a region is too small to say anything."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Raw measurements of a batch.

    Attributes:
        distortion: `[B,J,N]` distance of input and output per criterion and region.
        consistency: `[B,K,J]` distance over the whole image of `G(x,c)` and `G(f_k(x),c)`.
        others: bool `[B,N]`, regions outside the target that are large enough.
        target: bool `[B,N]`, the target region M_c.
    """

    distortion: Tensor
    consistency: Tensor
    others: Tensor
    target: Tensor

    @staticmethod
    def cat(parts: Sequence[Evidence]) -> Evidence:
        joined = {f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Evidence)}
        return Evidence(**joined)


class Probe:
    """Measures evidence with a parser, criteria and image processings.

    Args:
        parser: soft masks of the image at hand.
        criteria: guarded metrics.
        augmentations: guarded image maps f_k.
        oracle: take the exact masks that travel with the condition instead of the parser's.
    """

    def __init__(
        self, parser: Parser, criteria: Sequence[Any], augmentations: Sequence[Any], *, oracle: bool = False
    ) -> None:
        self.parser = parser
        self.criteria = list(criteria)
        self.augmentations = list(augmentations)
        self.oracle = oracle

    def masks(self, x: Tensor, c: Condition) -> Tensor:
        """Raises ValueError if exact masks are wanted and there are none."""
        if not self.oracle:
            return self.parser(x)
        if c.oracle_masks is None:
            raise ValueError("oracle masks were asked for, but this image comes without exact masks")
        return c.oracle_masks

    def outputs(
        self, x: Tensor, c: Condition, G: Generator, augmentations: Sequence[Any]
    ) -> tuple[Tensor, list[Tensor]]:
        """`G(x,c)` and each `G(f_k(x),c)` with geometry undone, in one large batch."""
        inputs = [x, *(f(x) for f in augmentations)]
        y = G(torch.cat(inputs), c.repeat(len(inputs))).split(len(x))
        return y[0], [f.undo(yk) for f, yk in zip(augmentations, y[1:], strict=True)]

    def measure(
        self,
        x: Tensor,
        c: Condition,
        G: Generator,
        *,
        masks: Tensor | None = None,
        reference: Tensor | None = None,
        augmentations: Sequence[Any] | None = None,
    ) -> Evidence:
        """Evidence with every criterion oriented as a distance.

        Args:
            masks: `[B,N,H,W]`; parsed from `x` if not given.
            reference: image that the output is compared with outside the target; `x` if not given. A
                reconstruction is judged against the image that was received.
            augmentations: other f_k than the probe's own.
        """
        augmentations = self.augmentations if augmentations is None else list(augmentations)
        masks = self.masks(x, c) if masks is None else masks
        y, yk = self.outputs(x, c, G, augmentations)
        reference = x if reference is None else reference
        whole = torch.ones_like(masks[:, :1])
        distortion = torch.stack([m.distance(reference, y, masks) for m in self.criteria], 1)
        consistency = [
            torch.stack([m.distance(y, other, whole)[:, 0] for m in self.criteria], 1) for other in yk
        ]
        return Evidence(
            distortion=distortion,
            consistency=torch.stack(consistency, 1) if consistency else distortion.new_zeros(len(x), 0, 1),
            others=self._others(masks, c, G),
            target=G.edited(c),
        )

    @staticmethod
    def _others(masks: Tensor, c: Condition, G: Generator) -> Tensor:
        return (area(masks) >= MIN_AREA) & ~G.edited(c)

    def literal(
        self, x: Tensor, c: Condition, G: Generator, augmentations: Sequence[Any] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Evidence as printed: (`d_i` `[B,N,J]`, `d_c` `[B,J]`, others `[B,N]`, `d^k` `[B,K,J]`)."""
        augmentations = self.augmentations if augmentations is None else list(augmentations)
        masks = self.masks(x, c)
        y, yk = self.outputs(x, c, G, augmentations)
        d = equations.region_differences(self.criteria, x, y, masks)
        union = (masks * G.edited(c)[:, :, None, None]).sum(1, keepdim=True)
        d_c = equations.region_differences(self.criteria, x, y, union)[:, 0]
        whole = torch.ones_like(masks[:, :1])
        d_k = torch.stack(
            [torch.stack([m(y, other, whole)[:, 0] for m in self.criteria], 1) for other in yk], 1
        )
        return d, d_c, self._others(masks, c, G), d_k
