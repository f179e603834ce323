"""Draws the pictures of the README into docs/pictures/. Run from the repository root."""

from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from magdr_core import Toolkit
from magdr_core.cli.faces import grid
from magdr_core.objective import build_objective, symmetric_mse
from magdr_core.samples import draw_samples

OUT = Path("docs/pictures")
SCALE = 2
LABELS = ("input", "edited", "attacked input", "edited", "restored input", "edited")


def faces() -> None:
    toolkit = Toolkit.from_registry("registry.toml", device="cpu")
    big = toolkit.sibling("dataset", "procedural-faces", size=128)
    Image.fromarray(grid(big.split("train")[list(range(40))].images, 10)).save(OUT / "faces.png")


def overview(columns: int = 8) -> None:
    """Test faces whose edit PGD disrupts: clean, disrupted, and restored by MagDR, inputs and outputs."""
    toolkit = Toolkit.from_registry("registry.toml", device="cpu")
    magdr = toolkit.magdr("editing")
    G = magdr.generator
    split = toolkit.build("dataset", "faces").split("test")
    samples, _ = draw_samples(split, G, first=1000, count=24, seed=0)
    objective = build_objective("untargeted", G, samples.images, samples.conditions)
    attacked = toolkit.build("attack", "pgd")(
        samples.images, objective, rng=toolkit.rng("overview", samples.ids)
    )
    with torch.no_grad():
        disrupted = G(attacked, samples.conditions)
    # The half that the attack hurts most is shown, in the order of the faces.
    worst = symmetric_mse(disrupted, objective.reference).argsort(descending=True)[:columns].sort().values
    c, seen = samples.conditions[worst], attacked[worst]
    restored = magdr.defend(seen, c).restored
    with torch.no_grad():
        rows = [
            *(samples.images[worst], objective.reference[worst]),
            *(seen, disrupted[worst]),
            *(restored, G(restored, c)),
        ]
    picture = Image.fromarray(grid(torch.cat(rows), columns))
    picture = picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.LANCZOS)
    margin = 120
    canvas = Image.new("RGB", (picture.width + margin, picture.height), "white")
    canvas.paste(picture, (margin, 0))
    draw, height = ImageDraw.Draw(canvas), picture.height / len(LABELS)
    for i, label in enumerate(LABELS):
        draw.text((8, (i + 0.5) * height - 8), label, fill="black", font=ImageFont.load_default(14))
    canvas.save(OUT / "overview.png")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    faces()
    overview()
