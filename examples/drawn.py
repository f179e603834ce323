"""Drawn faces as picture files, every other one disrupted by PGD: what the examples run on by themselves."""

from pathlib import Path

from magdr_core import Pipeline, Toolkit, build_objective
from magdr_core.api import write_picture

EDITS = {"Blond_Hair": 1}
FIRST = 1000


def write_faces(folder: Path, toolkit: Toolkit, magdr: Pipeline, count: int) -> Path:
    """`face-0.png` is as it was drawn, `face-1.png` is disrupted for the edit, and so on."""
    faces = toolkit.build("dataset", "faces").split("test")[list(range(FIRST, FIRST + count))]
    condition = magdr.asked(count, edits=EDITS)
    objective = build_objective("untargeted", magdr.generator, faces.images, condition)
    pgd = toolkit.sibling("attack", "pgd", eps="6/255", steps=10)
    attacked = pgd(faces.images, objective, rng=toolkit.rng("example", faces.ids))
    for i in range(count):
        write_picture(folder / f"face-{i}.png", (attacked if i % 2 else faces.images)[i].cpu())
    return folder
