"""A detector with its generator, for one edit, as one network that takes pictures alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from magdr_core.components.batch import Condition
from magdr_core.errors import MagdrError
from magdr_core.guards import GuardedDetector, GuardedGenerator
from magdr_core.guards.base import modules_of
from magdr_core.magdr.one_edit import COVERED, PROCESSINGS, REGIONS, SCORE, GeneratorForOneEdit

__all__ = ["COVERED", "PROCESSINGS", "REGIONS", "SCORE", "OneEdit"]


class OneEdit(nn.Module):
    """The suspicion of pictures `[1,3,S,S]` in [0,1], and the evidence of a detector that gives it.

    Args:
        detector: calibrated. Either a network (`torch.nn.Module`) that is called with images, conditions and
            the generator; or with a method `for_one_edit(generator, c)`, which gives a network of images
            alone, with the attributes below, `asked` (what it asks beside the generator) and a method
            `guarded(x, c, G)`, what the detector itself says.
        generator: the one that it asks.
        c: what the generator shall do, one row.

    Attributes:
        outputs: names of what `forward` returns: `score` `[1]`, and whatever else there is.
        regions, processings: the names of the evidence's columns; empty where there is none.

    Raises:
        MagdrError: the detector is no network, or something that it asks is random.
    """

    def __init__(self, detector: GuardedDetector, generator: GuardedGenerator, c: Condition) -> None:
        super().__init__()
        component: Any = detector.component
        made = getattr(component, "for_one_edit", None)
        if made is None and not isinstance(component, nn.Module):
            raise MagdrError(
                f"[detector.{detector.label}] is no network (torch.nn.Module), so there is nothing to make "
                "an ONNX file of"
            )
        for one in (detector, generator):
            if one.stochastic:
                raise MagdrError(f"{one.where}: is random, and an ONNX file gives the same each time")
        self.net: Any = _ScoreAlone(detector, generator, c) if made is None else made(generator, c)
        # A graph's weights are those of networks that it knows.
        self.networks = nn.ModuleList(module for one in self.net.asked for module in modules_of(one))
        self.outputs: tuple[str, ...] = self.net.outputs
        self.regions: tuple[str, ...] = self.net.regions
        self.processings: tuple[str, ...] = self.net.processings

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        given: tuple[Tensor, ...] = self.net(images)
        return given

    def guarded(self, x: Tensor, c: Condition, G: GuardedGenerator) -> tuple[Tensor, ...]:
        """What the detector itself says of pictures `[1,3,S,S]` in [0,1], as :attr:`outputs` lists it."""
        given: tuple[Tensor, ...] = self.net.guarded(x, c, G)
        return given


class _ScoreAlone(nn.Module):
    """A network as it is, for one condition."""

    outputs, regions, processings, asked = (SCORE,), (), (), ()

    def __init__(self, detector: GuardedDetector, generator: GuardedGenerator, c: Condition) -> None:
        super().__init__()
        self.c, self.given, self.component = c, detector, detector.component
        self.generator = GeneratorForOneEdit(generator, c)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.component(images, self.c, self.generator),)

    def guarded(self, x: Tensor, c: Condition, G: GuardedGenerator) -> tuple[Tensor, ...]:
        return (self.given(x, c, G),)
