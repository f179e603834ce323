"""A small generator with weights of its own, as a local plugin, and a folder of painted pictures."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from magdr_core.adapt.measuring import BeforeAndAfter, ComparedFigure
from tests.portraits import painted

SIZE = 32

PLUGIN = '''
"""A convolution that sharpens, and its weights."""
import torch
from torch import nn
from magdr_core.api import Condition, GeneratorSpec, Weights, hookimpl, load_state
from magdr_core.functional import PARTS

MAGDR_API = 1


class Sharp(nn.Module):
    size = 32
    condition_names = ()

    def __init__(self):
        super().__init__()
        self.fine = nn.Conv2d(3, 12, 3, padding=1)
        self.back = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, x, c):
        return torch.sigmoid(self.back(torch.relu(self.fine(2 * x - 1))))

    def edited(self, c):
        return torch.ones(len(c), len(PARTS), dtype=torch.bool, device=c.values.device)

    def draw(self, batch, rng):
        nothing = batch.images.new_zeros(len(batch), 0)
        return Condition(nothing, nothing.bool())


def sharp(*, weights: Weights = "random"):
    """Sharpens."""
    net = Sharp()
    load_state(net, weights)
    return net.eval()


class Fixed(Sharp):
    """The same without a parameter for its weights."""


def fixed():
    """Sharpens, always the same."""
    torch.manual_seed(3)
    return Fixed().eval()


class Stepped(Sharp):
    def forward(self, x, c):
        with torch.no_grad():
            return (super().forward(x, c) * 4).round() / 4


def stepped():
    """Four levels: no gradient."""
    torch.manual_seed(3)
    return Stepped().eval()


class Flat(Sharp):
    def forward(self, x, c):
        return 0 * x + 0.5


def flat():
    """Grey whatever comes."""
    return Flat().eval()


@hookimpl
def magdr_generators():
    builds = {"sharp": sharp, "fixed": fixed, "stepped": stepped, "flat": flat}
    return [GeneratorSpec(name=name, build=build) for name, build in builds.items()]
'''

REGISTRY = """
[registry]
name = "acme"
device = "cpu"

[plugins]
local = { acme = "./plugins/acme.py" }

[dataset.faces]
use = "procedural-faces"

[generator.sharp]
use = "acme/sharp"
params = { weights = "weights/sharp.safetensors" }

[generator.fixed]
use = "acme/fixed"

[generator.stepped]
use = "acme/stepped"

[generator.flat]
use = "acme/flat"

[magdr]
parser = "whole"
"""


def write_world(root: Path) -> Path:
    """A registry with the generator, its plugin and its weights in folders beside it; the registry's file."""
    (root / "plugins").mkdir(parents=True)
    (root / "weights").mkdir()
    (root / "plugins" / "acme.py").write_text(PLUGIN)
    drawn = torch.Generator().manual_seed(5)
    shapes = {
        "fine.weight": (12, 3, 3, 3),
        "fine.bias": (12,),
        "back.weight": (3, 12, 3, 3),
        "back.bias": (3,),
    }
    state = {name: torch.randn(shape, generator=drawn) * 0.8 for name, shape in shapes.items()}
    save_file(state, root / "weights" / "sharp.safetensors")
    (root / "registry.toml").write_text(REGISTRY)
    return root / "registry.toml"


def write_pictures(folder: Path, count: int, size: int = 48) -> Path:
    """Painted heads, `0000.png` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(painted(size, i)[0]).save(folder / f"{i:04d}.png")
    return folder


def made_up(own: float, low: float, high: float) -> BeforeAndAfter:
    """Made-up figures: what the new purifier leaves, and the interval of its difference to a shipped one."""
    images = torch.stack([torch.from_numpy(painted(SIZE, i)[0]).permute(2, 0, 1) for i in range(6)])
    mse = [
        ("undefended", "pgd", 0.24, 0.2, 0.28),
        ("purifier", "pgd", 0.19, 0.15, 0.23),
        ("purifier-editing", "pgd", 0.2, 0.15, 0.25),
        ("purifier-sharp", "pgd", own, own, own),
        ("purifier-sharp", "clean", 0.001, 0.0, 0.002),
        ("purifier-sharp minus purifier", "pgd", own - 0.19, low, high),
    ]
    figures = [ComparedFigure(what, kind, "mse_o", *values, 40) for what, kind, *values in mse]
    flags = {"clean": 0.025, "pgd": 1.0, "noise": 0.05}
    figures += [
        ComparedFigure("magdr", kind, "flagged", v, math.nan, math.nan, 40) for kind, v in flags.items()
    ]
    shown = ("input", "clean", "attacked", "undefended", "purifier", "purifier-sharp")
    return BeforeAndAfter(figures, dict.fromkeys(shown, images), {"clean": 4.1, "pgd": 35.0})
