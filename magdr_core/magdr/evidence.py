"""The measurements behind a decision: what G changed outside the target, and how stable its output is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor

from magdr_core.components.batch import Condition, VectorCondition
from magdr_core.components.protocols import Generator, Parser
from magdr_core.components.regions import FACE_PARTS, regions_of
from magdr_core.functional import area
from magdr_core.magdr import equations
from magdr_core.short_repr import one_line_repr

Outputs = Mapping[str, Tensor]
"""What G made of some images: `G(x,c)` under `ITSELF`, and `G(f_k(x),c)` with geometry undone under the f_k's
name. Whoever has them already passes them on, so that no pass is made twice."""

ITSELF = ""

Extent = Literal["image", "target", "both"]

MIN_AREA = 0.005
"""Share of the image below which a region is too small to say anything."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Raw measurements of a batch.

    Attributes:
        distortion: `[B,J,N]` distance of input and output per criterion and region.
        consistency: `[B,K,J]` distance of `G(x,c)` and `G(f_k(x),c)`, over the whole image or inside the
            target; where both are wanted, J counts every criterion twice.
        others: bool `[B,N]`, regions outside the target that are large enough.
        target: bool `[B,N]`, the target region M_c.
        names: of the N regions.
    """

    distortion: Tensor
    consistency: Tensor
    others: Tensor
    target: Tensor
    names: tuple[str, ...] = FACE_PARTS.names

    __repr__ = one_line_repr

    def rows(self, idx: Tensor) -> Evidence:
        """That of some of the images: `idx` is `[n]` indices."""
        measured = {f.name: getattr(self, f.name)[idx] for f in fields(Evidence) if f.name != "names"}
        return Evidence(**measured, names=self.names)

    @staticmethod
    def cat(parts: Sequence[Evidence]) -> Evidence:
        measured = [f.name for f in fields(Evidence) if f.name != "names"]
        joined = {name: torch.cat([getattr(p, name) for p in parts]) for name in measured}
        return Evidence(**joined, names=parts[0].names)


class Probe:
    """Measures evidence with a parser, criteria and image processings.

    Args:
        parser: soft masks of the image at hand.
        criteria: guarded metrics.
        augmentations: guarded image maps f_k.
        consistency_over: where outputs are compared. A generator with an attention mask copies most of its
            input, perturbation or noise included, and only the target tells an attack from noise.
        oracle: take the exact masks that travel with the condition instead of the parser's.

    Attributes:
        regions: of the masks: the parser's; of exact masks the twelve `PARTS`.
    """

    def __init__(
        self,
        parser: Parser,
        criteria: Sequence[Any],
        augmentations: Sequence[Any],
        *,
        consistency_over: Extent = "image",
        oracle: bool = False,
    ) -> None:
        self.parser = parser
        self.criteria = list(criteria)
        self.augmentations = list(augmentations)
        self.consistency_over = consistency_over
        self.oracle = oracle
        self.regions = FACE_PARTS if oracle else regions_of(parser)

    def target(self, c: Condition, G: Generator) -> Tensor:
        """The target region M_c, bool `[B,N]` over the regions of the masks.

        Raises:
            ValueError: these have nothing of a region that the generator may edit.
        """
        return self.regions.target(G.edited(c), regions_of(G))

    def masks(self, x: Tensor, c: Condition) -> Tensor:
        """Soft masks of images `[B,3,H,W]`: `[B,N,H,W]` over `PARTS`, which sum to 1 at each pixel.

        Raises:
            ValueError: exact masks are wanted and the condition has none.
        """
        if not self.oracle:
            return self.parser(x)
        if not isinstance(c, VectorCondition) or c.oracle_masks is None:
            raise ValueError("oracle masks were asked for, but this image comes without exact masks")
        return c.oracle_masks

    def outputs(
        self,
        x: Tensor,
        c: Condition,
        G: Generator,
        augmentations: Sequence[Any],
        known: Outputs | None = None,
    ) -> Outputs:
        """`G(x,c)` and each `G(f_k(x),c)` with its geometry undone, `[B,3,H,W]` each, by name.

        What is not known already goes through G in one large batch.

        Args:
            x: `[B,3,H,W]` in [0,1].
            known: outputs on `x` that are there already.
        """
        known = {} if known is None else known
        missing = {name_of(f): f for f in augmentations if name_of(f) not in known}
        inputs = ([] if ITSELF in known else [x]) + [f(x) for f in missing.values()]
        if not inputs:
            return known
        computed = list(G(torch.cat(inputs), c.repeat(len(inputs))).split(len(x)))
        found = dict(known) if ITSELF in known else {**known, ITSELF: computed.pop(0)}
        return found | {name: f.undo(y) for (name, f), y in zip(missing.items(), computed, strict=True)}

    def measure(
        self,
        x: Tensor,
        c: Condition,
        G: Generator,
        *,
        masks: Tensor | None = None,
        reference: Tensor | None = None,
        augmentations: Sequence[Any] | None = None,
        known: Outputs | None = None,
    ) -> tuple[Evidence, Outputs]:
        """Evidence with every criterion oriented as a distance, and the outputs that it was measured on.

        Args:
            masks: `[B,N,H,W]`; parsed from `x` if not given.
            reference: image that the output is compared with outside the target; `x` if not given. A
                reconstruction is judged against the image that was received.
            augmentations: other f_k than the probe's own.
            known: outputs that are there already.
        """
        augmentations = self.augmentations if augmentations is None else list(augmentations)
        masks = self.masks(x, c) if masks is None else masks
        outputs = self.outputs(x, c, G, augmentations, known)
        y = outputs[ITSELF]
        reference = x if reference is None else reference
        where = self.compared(masks, c, G)

        criteria = [m.given(c, G) for m in self.criteria]

        def distances(a: Tensor, b: Tensor, regions: Tensor) -> Tensor:
            return torch.stack([m.distance(a, b, regions) for m in criteria], 1)

        distortion = distances(reference, y, masks)
        consistency = [distances(y, outputs[name_of(f)], where).flatten(1) for f in augmentations]
        evidence = Evidence(
            distortion=distortion,
            consistency=torch.stack(consistency, 1) if consistency else distortion.new_zeros(len(x), 0, 1),
            others=self._others(masks, c, G),
            target=self.target(c, G),
            names=self.regions.names,
        )
        return evidence, outputs

    def compared(self, masks: Tensor, c: Condition, G: Generator) -> Tensor:
        """Where outputs are compared, `[B,1 or 2,H,W]`; a target that is not there yet (glasses to be added)
        is the whole image.

        Raises:
            ValueError: as :meth:`target`.
        """
        whole = torch.ones_like(masks[:, :1])
        if self.consistency_over == "image":
            return whole
        target = self._target_mask(masks, c, G)
        target = torch.where((area(target) >= MIN_AREA)[:, :, None, None], target, whole)
        return target if self.consistency_over == "target" else torch.cat([whole, target], 1)

    def _others(self, masks: Tensor, c: Condition, G: Generator) -> Tensor:
        return (area(masks) >= MIN_AREA) & ~self.target(c, G)

    def _target_mask(self, masks: Tensor, c: Condition, G: Generator) -> Tensor:
        """The target region as one soft mask, `[B,1,H,W]`."""
        return (masks * self.target(c, G)[:, :, None, None]).sum(1, keepdim=True)

    def literal(
        self,
        x: Tensor,
        c: Condition,
        G: Generator,
        augmentations: Sequence[Any] | None = None,
        *,
        distances: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Evidence as printed: (`d_i` `[B,N,J]`, `d_c` `[B,J]`, others `[B,N]`, `d^k` `[B,K,J]`).

        Args:
            distances: orient every criterion as a distance (1 - SSIM, the error of a PSNR); as they are
                otherwise.
        """
        augmentations = self.augmentations if augmentations is None else list(augmentations)
        masks = self.masks(x, c)
        outputs = self.outputs(x, c, G, augmentations)
        y, yk = outputs[ITSELF], [outputs[name_of(f)] for f in augmentations]
        each = torch.arange(len(x), device=x.device).repeat_interleave(masks.shape[1])

        def asked(conditions: Condition) -> list[Any]:
            given = [m.given(conditions, G) for m in self.criteria]
            return [m.distance for m in given] if distances else given

        criteria = asked(c)
        d = equations.region_differences(asked(c[each]), x, y, masks)
        d_c = equations.region_differences(criteria, x, y, self._target_mask(masks, c, G))[:, 0]
        whole = torch.ones_like(masks[:, :1])
        compared = [torch.stack([m(y, other, whole)[:, 0] for m in criteria], 1) for other in yk]
        d_k = torch.stack(compared, 1) if compared else d_c.new_zeros(len(x), 0, len(criteria))
        return d, d_c, self._others(masks, c, G), d_k


def name_of(f: Any) -> str:
    """An f_k's name among outputs: its label in the registry, or something of its own where it has none."""
    return getattr(f, "label", "") or f"#{id(f)}"


def rows_of(outputs: Outputs, idx: Tensor) -> Outputs:
    """The outputs of some of the images: `idx` is `[n]` indices or `[B]` booleans."""
    return {name: y[idx] for name, y in outputs.items()}
