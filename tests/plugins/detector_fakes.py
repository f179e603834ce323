"""A tiny generator and faces with a planted attack, for tests of detectors.

Faces are smooth, the attack is a checkerboard, and the generator amplifies what is not smooth, so that the
attack shows in inputs, activations and outputs alike. Conditions tint the output.
"""

import torch
from torch.nn import functional as F

from magdr_core.api import Condition, FitData, Samples
from magdr_core.guards import GuardedGenerator

SIZE = 16


class Amplifier:
    """`[B,3,16,16]` and two attributes (or none) -> the same size; two layers of features."""

    size = SIZE

    def __init__(self, attributes=2):
        self.condition_names = ("red", "blue")[:attributes]
        weight = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(1))
        self.weight = weight - weight.mean((2, 3), keepdim=True)

    def __call__(self, x, c):
        y = 0.6 * x + 0.1 + 2.0 * (x - F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1))
        if c.values.shape[1]:
            tint = torch.stack([c.values[:, 0], torch.zeros(len(x)), c.values[:, 1]], 1)
            y = y + 0.3 * tint[:, :, None, None]
        return y.clamp(0, 1)

    def features(self, x, c):
        fine = F.conv2d(x - 0.5, self.weight, padding=1)
        return [fine, F.avg_pool2d(F.relu(fine), 2)]


def generator(attributes=2):
    """Guarded, as core hands it to detectors."""
    return GuardedGenerator(Amplifier(attributes), "the fake")


def faces(n, first=0, attributes=2):
    """Smooth pictures; the same for an index whatever the batch."""
    pictures, values = [], []
    for i in range(first, first + n):
        draw = torch.Generator().manual_seed(i)
        coarse = torch.rand(1, 3, 4, 4, generator=draw)
        fine = F.interpolate(coarse, (SIZE, SIZE), mode="bicubic", align_corners=True)[0]
        pictures.append((0.2 + 0.6 * fine).clamp(0, 1).mul(255).round() / 255)
        values.append(torch.randint(0, 2, (2,), generator=draw)[:attributes].float())
    told = torch.stack(values)
    ids = tuple(f"face{i}" for i in range(first, first + n))
    return Samples(torch.stack(pictures), Condition(told, torch.ones_like(told).bool()), ids)


def attacked(clean, levels=12):
    """The faces with a checkerboard of this many levels."""
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    board = ((rows + columns) % 2 * 2 - 1) * levels / 255
    return clean.with_images((clean.images + board).clamp(0, 1).mul(255).round() / 255)


def striped(clean, levels=12):
    """The faces after a harmless edit, as rough as the attack: every second row lighter."""
    stripes = (torch.arange(SIZE) % 2 * 2 - 1)[:, None] * levels / 255
    return clean.with_images((clean.images + stripes).clamp(0, 1).mul(255).round() / 255)


def fit_data(attributes=2, n=24, training=True):
    """What core offers to `fit`: two attacks, 24 faces each to learn from, 12 to choose on, 24 clean; a
    benign edit and noise of the same faces."""

    def pairs(first, count):
        clean = faces(count, first, attributes)
        return {"strong": (attacked(clean), clean), "weak": (attacked(clean, 9), clean)}

    def harmless(first, count):
        clean = faces(count, first, attributes)
        return {"noise@12": attacked(clean, 1), "benign:stripes": striped(clean)}

    def refuse():
        raise AssertionError("an unsupervised detector asked for attacked training faces")

    return FitData(
        clean=faces(n, 0, attributes),
        attacked=pairs(1000, 12),
        harmless=harmless(1000, 12),
        training=(lambda: pairs(2000, n)) if training else refuse,
        training_harmless=(lambda: harmless(2000, n)) if training else refuse,
    )
