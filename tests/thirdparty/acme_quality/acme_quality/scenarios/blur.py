"""The scenario `blur`: the clean images, blurred."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from magdr_core.api import Field, Scenario, Slice, hookimpl
from magdr_core.functional import gaussian_blur, to_8bit

MAGDR_API = 1

Sigma = Annotated[float, Field(gt=0, le=20)]


class Blurs(BaseModel):
    """What a profile says: `blur = { sigmas = [1.0, 2.0] }`, in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sigmas: Annotated[tuple[Sigma, ...], Field(min_length=1)]


class Blur(Scenario):
    """A Gaussian blur of each sigma, for every role."""

    name = "blur"
    key = "blur"
    settings = Blurs
    grows = True

    def slices(self, plan: Any, earlier: Sequence[Slice]) -> Iterator[Slice]:
        told = self.configured(plan.profile)
        for sigma in told.sigmas if told is not None else ():
            yield Slice(f"blur@{sigma:g}", self.name, settings=sigma)

    def images_key(self, images: Any, part: Slice) -> Mapping[str, Any]:
        return {**super().images_key(images, part), "blur": part.settings}

    def make(self, images: Any, part: Slice, clean: Any) -> Mapping[Slice, Tensor]:
        blurred = [to_8bit(gaussian_blur(batch.images, part.settings)) for batch in clean.batches(64)]
        return {part: torch.cat(blurred)}


@hookimpl
def magdr_scenarios() -> list[Scenario]:
    return [Blur()]
