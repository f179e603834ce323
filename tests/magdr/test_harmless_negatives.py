"""What MagDR's detector learns from: attacked faces on one side, clean and harmless ones on the other."""

import pytest
import torch

from magdr_core.components.batch import Condition, Samples
from magdr_core.components.protocols import FitData
from magdr_core.functional import PARTS
from magdr_core.magdr import MagDRDetector
from tests.magdr.test_target_region import Criterion

FACES = 40


class Dimmer:
    """Redraws the left half darker; what it makes of the right half depends on the picture's noise."""

    passes = 0

    def __call__(self, x, c):
        y = x.clone()
        y[..., :4] *= 0.5
        return y

    def edited(self, c):
        target = torch.zeros(len(c), len(PARTS), dtype=torch.bool)
        target[:, 0] = True
        return target


def halves(x):
    masks = torch.zeros(len(x), len(PARTS), *x.shape[2:])
    masks[:, 0, :, :4], masks[:, 1, :, 4:] = 1.0, 1.0
    return masks


class Smooth:
    """Rough pictures are changed by it, smooth ones are not."""

    label = "smooth"

    def __call__(self, x):
        return x.mean((2, 3), keepdim=True).expand_as(x)

    def undo(self, y):
        return y


def faces(first: int, roughness: float) -> Samples:
    g = torch.Generator().manual_seed(first)
    level = 0.3 + 0.4 * torch.rand(FACES, 3, 1, 1, generator=g)
    spread = roughness * (0.5 + torch.rand(FACES, 1, 1, 1, generator=g))
    x = level + spread * torch.randn(FACES, 3, 8, 8, generator=g)
    edit = torch.ones(FACES, 1)
    return Samples(x, Condition(edit, edit.bool()), tuple(f"{first + i}" for i in range(FACES)))


@pytest.fixture
def learn():
    def fitted(harmless: dict[str, Samples]) -> MagDRDetector:
        detector = MagDRDetector(halves, [Criterion()], [Smooth()], evidence="consistency")
        attacked = (faces(1000, 0.06), faces(2000, 0.01))
        data = FitData(clean=faces(0, 0.01), attacked={"pgd": attacked}, harmless=harmless)
        detector.load(detector.fit(data, Dimmer()))
        return detector

    return fitted


def test_harmless_edits_are_among_the_negatives(learn):
    """Noise raises the evidence as an attack does; shown as harmless, it is not suspicious any more."""
    noise, seen = faces(3000, 0.06), faces(4000, 0.06)

    def suspicion(detector: MagDRDetector) -> float:
        return detector(noise.images, noise.conditions, Dimmer()).mean().item()

    ignorant, taught = learn({}), learn({"noise@6": seen})
    assert suspicion(ignorant) > 1.0, "log odds: without them it takes noise for an attack"
    assert suspicion(taught) < suspicion(ignorant) - 1.0
