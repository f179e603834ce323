"""The rate of false alarms on many clean test faces: `python benchmarks/false_alarms.py [SAMPLES]`."""

from __future__ import annotations

import sys

import torch
from scipy.stats import binomtest

from magdr_core import Toolkit
from magdr_core.runtime.samples import draw_samples

FIRST = 4000


@torch.no_grad()
def main(samples: int) -> None:
    magdr = Toolkit.from_registry().magdr("editing")
    G, detector = magdr.generator, magdr.magdr.detector
    split = Toolkit.from_registry().build("dataset", "faces").split("test")
    clean = draw_samples(split, G, first=FIRST, count=samples, seed=0)[0]
    scores = torch.cat([detector.detector(b.images, b.conditions, G) for b in clean.batches(32)])
    for point, threshold in detector.thresholds.items():
        alarms = int((scores > threshold).sum())
        low, high = binomtest(alarms, samples).proportion_ci(0.95, "exact")
        print(f"threshold {point}: {alarms / samples:.2%} [{low:.2%}, {high:.2%}] of {samples} clean faces")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
