"""magdr faces"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from magdr_core.cli.common import check_writable
from magdr_core.cli.terminal import say
from magdr_core.files.disk import write_atomically
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit


@click.command("faces", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("out", type=click.Path(path_type=Path), default=Path("faces.png"))
@click.option("--count", type=click.IntRange(1, 1024), default=48, show_default=True)
@click.option("--columns", type=click.IntRange(1, 64), default=8, show_default=True)
@click.option("--size", type=click.IntRange(32, 512), default=128, show_default=True)
@click.option("--split", type=click.Choice(["train", "calibration", "test"]), default="train")
def command(out: Path, count: int, columns: int, size: int, split: str) -> None:
    """Save a picture grid of the procedural faces to OUT (a .png file)."""
    check_writable(out.parent)
    text = f'[dataset.faces]\nuse = "procedural-faces"\nparams = {{ size = {size - size % 4} }}'
    toolkit = Toolkit(parse_registry(text, Path("faces")))
    images = toolkit.build("dataset", "faces").split(split)[list(range(count))].images
    picture = Image.fromarray(grid(images, columns))
    form = Image.registered_extensions().get(out.suffix.lower(), "PNG")
    write_atomically(out, lambda p: picture.save(p, format=form))
    say(out)


def grid(images: Tensor, columns: int, gap: int = 2) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """`[n,3,H,W]` in [0,1] -> one 8-bit picture, row by row, with white gaps."""
    n, _, h, w = images.shape
    rows = -(-n // columns)
    canvas = torch.ones(3, rows * (h + gap) - gap, columns * (w + gap) - gap)
    for i in range(n):
        top, left = i // columns * (h + gap), i % columns * (w + gap)
        canvas[:, top : top + h, left : left + w] = images[i].cpu()
    return (canvas * 255).round().byte().permute(1, 2, 0).numpy()
