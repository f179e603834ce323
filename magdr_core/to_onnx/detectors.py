"""A calibrated detector as an ONNX file for one edit, checked against the toolkit's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from magdr_core.components.batch import Condition
from magdr_core.components.protocols import CalibratedDetector
from magdr_core.errors import MagdrError
from magdr_core.files.disk import write_atomically
from magdr_core.guards import GuardedGenerator
from magdr_core.to_onnx.graph import INPUT, exported, halved, session
from magdr_core.to_onnx.one_edit import COVERED, SCORE, OneEdit

SCORE_AGREEMENT = 1e-3
"""What a score may differ from the toolkit's by; thresholds are some units apart from clean faces."""

EVIDENCE_AGREEMENT = 2e-2
"""The same of a piece of evidence, in spreads of clean faces: the log of a distance that is next to nothing,
as of a region that an edit leaves alone, enlarges its last bits."""


@dataclass(frozen=True)
class ConvertedDetector:
    """A detector's file that was written.

    Attributes:
        label: of the detector.
        file: its name.
        bytes: its size.
        difference: of its scores to the toolkit's, at most.
        outputs: what it gives, as of :class:`~magdr_core.to_onnx.one_edit.OneEdit`.
        regions, processings: names of the evidence.
        threshold: above it a picture counts as disrupted.
    """

    label: str
    file: str
    bytes: int
    difference: float
    outputs: tuple[str, ...]
    regions: tuple[str, ...]
    processings: tuple[str, ...]
    threshold: float


def convert_detector(
    detector: CalibratedDetector, G: GuardedGenerator, c: Condition, pictures: Tensor, folder: Path
) -> ConvertedDetector:
    """Write `detector-LABEL.onnx` into a folder: images `[1,3,S,S]` in [0,1] -> score `[1]`, and evidence.

    Args:
        detector: with its thresholds; on the CPU, as everything here.
        G: the generator that it asks.
        c: what that shall do, one row.
        pictures: `[n,3,S,S]` in [0,1], clean and attacked ones, on which the file is compared with the
            detector.

    Raises:
        MagdrError: the extra is not installed; the detector is no network, uses what ONNX does not have, or
            the file's scores, evidence or verdicts differ from its own.
    """
    guarded: Any = detector.detector
    where = f"[detector.{guarded.label}]"
    net = OneEdit(guarded, G, c).eval()
    content = halved(exported(net, pictures[:1], where, net.outputs, simplify=False))
    difference = _difference(content, net, detector, G, c, pictures, where)
    file = f"detector-{guarded.label}.onnx"
    write_atomically(folder / file, lambda path: path.write_bytes(content))
    return ConvertedDetector(
        label=guarded.label,
        file=file,
        bytes=len(content),
        difference=difference,
        outputs=net.outputs,
        regions=net.regions,
        processings=net.processings,
        threshold=detector.threshold,
    )


@torch.no_grad()
def _difference(
    content: bytes,
    net: OneEdit,
    detector: CalibratedDetector,
    G: GuardedGenerator,
    c: Condition,
    pictures: Tensor,
    where: str,
) -> float:
    """Of the scores on pictures `[n,3,S,S]`, at most.

    Raises:
        MagdrError: they differ too much, or what else the file gives, or a verdict.
    """
    running, largest = session(content), 0.0
    for x in pictures.split(1):
        got = dict(zip(net.outputs, running.run(list(net.outputs), {INPUT: x.numpy()}), strict=True))
        own = net.guarded(x, c, G)
        for name, wanted in zip(net.outputs, (t.numpy() for t in own), strict=True):
            allowed = {SCORE: SCORE_AGREEMENT, COVERED: 0.0}.get(name, EVIDENCE_AGREEMENT)
            off = _off(got[name], wanted)
            if not off <= allowed:
                raise MagdrError(
                    f"{where}: the {name} of its ONNX file differs from its own by {off:.2g}, more than "
                    f"{allowed:g}"
                )
            if name == SCORE:
                largest = max(largest, off)
                if (got[name] > detector.threshold) != (wanted > detector.threshold):
                    raise MagdrError(f"{where}: its ONNX file gives another verdict than it does")
    return largest


def _off(got: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> float:
    """The largest difference; infinite where one is a number and the other none."""
    if got.shape != wanted.shape or (np.isnan(got) != np.isnan(wanted)).any():
        return float("inf")
    return float(np.nan_to_num(np.abs(got - wanted)).max(initial=0.0))
