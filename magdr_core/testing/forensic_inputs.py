"""What forgeries and forensic models are tried with: faces of which all is known, and pairs to learn from."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from magdr_core.components.batch import ATTRIBUTE, Batch
from magdr_core.components.forensics import ForensicData
from magdr_core.components.rng import SampleRng
from magdr_core.functional import CLASSES, gaussian_blur, to_8bit
from magdr_core.testing.inputs import Inputs, faces_of, make_inputs

PAIRS = 24

# Class, centre (down, right) and half axes, as shares of the sides; later ones cover earlier ones.
_FACE = (
    ("hair", 0.45, 0.5, 0.42, 0.40),
    ("neck", 0.95, 0.5, 0.20, 0.15),
    ("skin", 0.52, 0.5, 0.36, 0.30),
    ("l_brow", 0.36, 0.37, 0.03, 0.09),
    ("r_brow", 0.36, 0.63, 0.03, 0.09),
    ("l_eye", 0.44, 0.37, 0.045, 0.08),
    ("r_eye", 0.44, 0.63, 0.045, 0.08),
    ("nose", 0.56, 0.5, 0.08, 0.06),
    ("u_lip", 0.70, 0.5, 0.04, 0.12),
    ("l_lip", 0.75, 0.5, 0.04, 0.11),
)


def known_faces(given: Inputs) -> Batch:
    """The pictures as a dataset would give them that knows all about faces, with exact masks `[B,19,H,W]`."""
    faces = faces_of(given, ())
    rng = SampleRng(0, "toy people", given.ids)
    drawn = {
        name: rng.integers(1, high=2)[:, 0].float() if name.startswith(ATTRIBUTE) else rng.uniform(17)
        for name in sorted(faces.annotations)
        if name != "identities"
    }
    height, width = given.images.shape[2:]
    masks = _masks(given.ids, height, width).to(given.images)
    # One number for each id: a person is the same in any batch.
    people = torch.tensor([int(name.rpartition("-")[2]) for name in given.ids], dtype=torch.int64)
    known = {**drawn, "masks": masks, "identities": people}
    return Batch(given.images, given.ids, annotations=known).to(given.images.device)


def donors_of(given: Inputs) -> Batch:
    """For each picture another one of the same size, of somebody else."""
    height, width = given.images.shape[2:]
    made = []
    for name in given.ids:
        first = 500 + int(name.rpartition("-")[2])
        made.append(make_inputs(1, height, width, first=first))
    if not made:
        return known_faces(given)
    joined = replace(
        made[0],
        images=torch.cat([one.images for one in made]),
        conditions=given.conditions,
        ids=tuple(one.ids[0] for one in made),
    )
    return known_faces(joined.to(given.images.device))


def forensic_data(device: torch.device) -> ForensicData:
    """Pairs of a picture and the same with a soft disc of another one in it, of two families."""
    side = 16
    real = make_inputs(PAIRS, side, side, first=2000)
    other = make_inputs(PAIRS, side, side, first=3000)
    rng = SampleRng(0, "toy forgeries", real.ids)
    line = torch.linspace(-1, 1, side)
    at = rng.uniform(2, low=-0.4, high=0.4)
    far = (line - at[:, :1]).square()[:, :, None] + (line - at[:, 1:]).square()[:, None, :]
    masks = (far < 0.2).float()[:, None]
    alpha = gaussian_blur(masks, 0.7)
    fake = to_8bit(real.images + alpha * (gaussian_blur(other.images, 1.0) - real.images))
    half = PAIRS // 2
    return ForensicData(
        real.images.to(device),
        fake.to(device),
        masks.to(device),
        ("toy",) * half + ("other",) * (PAIRS - half),
        ("local",) * half + ("blends",) * (PAIRS - half),
        ("",) * PAIRS,
        real.ids,
    )


def _masks(ids: tuple[str, ...], height: int, width: int) -> Tensor:
    """`[B,19,H,W]` of a face a little off the middle; 0 and 1, sum 1 at each pixel."""
    off = SampleRng(0, "toy faces", ids).uniform(2, low=-0.05, high=0.05)[:, :, None, None]
    down = (torch.arange(height) + 0.5)[:, None] / height
    right = (torch.arange(width) + 0.5)[None] / width
    labels = torch.zeros(len(ids), height, width, dtype=torch.int64)
    for name, y, x, half_height, half_width in _FACE:
        inside = ((down - y - off[:, 0]) / half_height).square() + (
            (right - x - off[:, 1]) / half_width
        ).square() < 1
        labels = torch.where(inside, torch.tensor(CLASSES.index(name)), labels)
    return torch.nn.functional.one_hot(labels, len(CLASSES)).movedim(3, 1).float()
