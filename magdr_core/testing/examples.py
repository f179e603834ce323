"""A small working plugin of every kind: what `magdr plugins new` writes, and what the documentation shows."""

from __future__ import annotations

METRIC = '''\
"""How far colours moved, whatever the brightness."""
from magdr_core.api import MetricSpec, hookimpl, stateless
from magdr_core.functional import masked_mean

MAGDR_API = 1

def chroma(a, b, masks):
    """Mean absolute change of R-G and B-G in each region. [B,3,H,W] twice, [B,N,H,W] -> [B,N]."""
    d = a - b
    return masked_mean((d[:, 0::2] - d[:, 1:2]).abs(), masks)

@hookimpl
def magdr_metrics():
    return [MetricSpec(name="chroma", build=stateless(chroma))]
'''

AUGMENTATION = '''\
"""Translation round the edges: an image processing f_k with its undo."""
from typing import Annotated
from magdr_core.api import AugmentationSpec, Field, hookimpl, stateless

MAGDR_API = 1
Pixels = Annotated[int, Field(ge=1, le=16)]

def roll(x, *, pixels: Pixels = 3):
    """Move the picture to the right; what leaves comes in on the left. [B,3,H,W] -> same."""
    return x.roll(pixels, 3)

def roll_back(y, *, pixels: Pixels = 3):
    return y.roll(-pixels, 3)

@hookimpl
def magdr_augmentations():
    return [AugmentationSpec(name="roll", build=stateless(roll, undo=roll_back))]
'''

RESTORATION = '''\
"""Median-filter restoration."""
from typing import Annotated
from magdr_core.api import Field, RestorationSpec, hookimpl, stateless
from magdr_core.functional import median_blur

MAGDR_API = 1

def median(x, *, radius: Annotated[int, Field(ge=1, le=5)] = 1):
    """Median of each (2 radius + 1)^2 window. [B,3,H,W] -> same."""
    return median_blur(x, 2 * radius + 1)

@hookimpl
def magdr_restorations():
    grid = {"radius": [1, 2, 3]}
    return [RestorationSpec(name="median", build=stateless(median), stage="denoise", grid=grid)]
'''

GENERATOR = '''\
"""A generator without a network: it dyes the upper half of the picture."""
import torch
from magdr_core.api import Condition, GeneratorSpec, hookimpl
from magdr_core.functional import PARTS, part_index

MAGDR_API = 1

class Dye:
    """Dyes hair, roughly."""
    size = 64
    condition_names = ("Blond_Hair",)

    def __call__(self, x, c):
        """[B,3,H,W] in [0,1], B conditions -> [B,3,H,W] in [0,1]."""
        top = torch.linspace(1, 0, x.shape[2]).to(x)[:, None]
        gold = torch.tensor([0.9, 0.8, 0.4]).to(x)[:, None, None]
        share = 0.5 * top * c.values.to(x)[:, :, None, None]
        return x + share * (gold - x)

    def edited(self, c):
        """The target region: bool [B,N] over PARTS."""
        hair = torch.arange(len(PARTS), device=c.changed.device) == part_index("hair")
        return c.changed & hair

    def draw(self, batch, rng):
        """For each image a condition that changes something."""
        values = 1 - batch.attributes["Blond_Hair"][:, None]
        return Condition(values, torch.ones_like(values, dtype=torch.bool))

@hookimpl
def magdr_generators():
    return [GeneratorSpec(name="dye", build=Dye)]
'''

PARSER = '''\
"""A face parser that knows where faces usually are."""
from typing import Annotated
import torch
from magdr_core.api import Field, ParserSpec, hookimpl, stateless
from magdr_core.functional import PARTS, part_index

MAGDR_API = 1

def oval(x, *, width: Annotated[float, Field(gt=0, le=1)] = 0.6):
    """A soft oval of skin on background. [B,3,H,W] -> [B,N,H,W], sums to 1 at each pixel."""
    rows = torch.linspace(-1, 1, x.shape[2]).to(x)[:, None]
    columns = torch.linspace(-1, 1, x.shape[3]).to(x)
    skin = torch.sigmoid(10 * (1 - rows.square() / 0.64 - columns.square() / width**2))
    masks = torch.zeros(len(x), len(PARTS), *x.shape[2:]).to(x)
    masks[:, part_index("skin")] = skin
    masks[:, part_index("background")] = 1 - skin
    return masks

@hookimpl
def magdr_parsers():
    return [ParserSpec(name="oval", build=stateless(oval))]
'''

ATTACK = '''\
"""One gradient step from a random place: at the clean image itself the gradient is 0."""
from magdr_core.api import AttackSpec, Eps, hookimpl, stateless
from magdr_core.functional import project_linf

MAGDR_API = 1

def sign_step(x, objective, *, rng, eps: Eps = 6 / 255):
    """One sign step of length eps up the loss. [B,3,H,W] -> same, inside the eps ball and [0,1]."""
    start = project_linf(x + 0.5 * eps * rng.sign(*x.shape[1:]).to(x), x, eps)
    loss, gradient = objective.gradient(start)
    return project_linf(start + eps * gradient.sign(), x, eps)

@hookimpl
def magdr_attacks():
    return [AttackSpec(name="sign-step", build=stateless(sign_step), stochastic=True)]
'''

DETECTOR = '''\
"""Suspicious is what the generator treats otherwise when it is blurred a little."""
from typing import Annotated
from magdr_core.api import DetectorSpec, Field, hookimpl, stateless
from magdr_core.functional import gaussian_blur

MAGDR_API = 1

def unstable(x, c, G, *, sigma: Annotated[float, Field(gt=0, le=5)] = 0.8):
    """Mean change of the output when the input is blurred. [B,3,H,W], B conditions -> [B]."""
    return (G(x, c) - G(gaussian_blur(x, sigma), c)).abs().mean((1, 2, 3))

@hookimpl
def magdr_detectors():
    return [DetectorSpec(name="unstable", build=stateless(unstable), gradient="exact")]
'''

DEFENSE = '''\
"""Noise and a blur: what is small is drowned and smoothed away."""
from magdr_core.api import DefenseSpec, Eps, hookimpl, stateless
from magdr_core.functional import clamp_inclusive, gaussian_blur

MAGDR_API = 1

def drown(x, c, G, *, rng, noise: Eps = 4 / 255):
    """Gaussian noise of this standard deviation, then a blur. [B,3,H,W] -> same."""
    return gaussian_blur(clamp_inclusive(x + noise * rng.normal(*x.shape[1:]).to(x)), 1.0)

@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="drown", build=stateless(drown), stochastic=True, gradient="exact")]
'''

DATASET = '''\
"""Pictures of one disc each."""
from typing import Annotated
import torch
from magdr_core.api import Batch, DataError, DatasetSpec, Field, SampleRng, hookimpl
from magdr_core.functional import to_8bit

MAGDR_API = 1
LENGTHS = {"train": 1000, "calibration": 1200, "test": 1000}

class Split:
    def __init__(self, name, size):
        self.name, self.size = name, size

    def __len__(self):
        return LENGTHS[self.name]

    def __getitem__(self, indices):
        """The pictures with these indices; an index is one picture and id for ever."""
        ids = tuple(f"disc-{self.name}-{i}" for i in indices)
        rng = SampleRng(0, "discs", ids)
        at, ink, paper = rng.uniform(2, low=-0.5, high=0.5), rng.uniform(3), rng.uniform(3)
        line = torch.linspace(-1, 1, self.size)
        far = (line - at[:, :1]).square()[:, :, None] + (line - at[:, 1:]).square()[:, None, :]
        disc = (far < 0.2).float()[:, None]
        images = disc * ink[:, :, None, None] + (1 - disc) * paper[:, :, None, None]
        blond = (ink[:, 0] > ink[:, 2]).float()
        return Batch(images=to_8bit(images), ids=ids, attributes={"Blond_Hair": blond})

class Discs:
    """Discs in two random colours."""
    def __init__(self, *, size: Annotated[int, Field(ge=16, le=512)] = 64):
        self.size = size

    def split(self, name):
        if name not in LENGTHS:
            raise DataError(f"discs has no split {name!r}; it has {', '.join(LENGTHS)}")
        return Split(name, self.size)

    def fingerprint(self):
        """Names the pictures: change it when they change."""
        return f"discs-1-{self.size}"

@hookimpl
def magdr_datasets():
    return [DatasetSpec(name="discs", build=Discs)]
'''

FORGERY = '''\
"""A strip of another face across the picture, with hard edges."""
from typing import Annotated
import torch
from magdr_core.api import Field, Forged, ForgerySpec, hookimpl, stateless

MAGDR_API = 1

def strip(batch, donors, rng, *, height: Annotated[float, Field(gt=0, lt=1)] = 0.25):
    """Rows of the donor in place of the picture's own, somewhere. Images [B,3,H,W], masks [B,1,H,W]."""
    x = batch.images
    top = rng.uniform(1, high=1 - height)[:, :, None, None]
    rows = ((torch.arange(x.shape[2], device=x.device) + 0.5) / x.shape[2])[:, None]
    inside = ((rows >= top) & (rows < top + height)).expand(-1, -1, -1, x.shape[3])
    masks = inside.to(x.dtype)
    return Forged(torch.where(inside, donors.images, x), masks, masks)

@hookimpl
def magdr_forgeries():
    return [ForgerySpec(name="strip", build=stateless(strip), donor=True, group="local")]
'''

FORENSIC = '''\
"""Forged is what is smoother than its surroundings."""
from typing import Annotated
from magdr_core.api import Field, ForensicSpec, hookimpl
from magdr_core.functional import gaussian_blur

MAGDR_API = 1

class Smooth:
    """Compares the fine detail of each place with that of the whole picture."""
    def __init__(self, *, sigma: Annotated[float, Field(gt=0, le=5)] = 1.0):
        self.sigma = sigma

    def detail(self, x):
        """Smoothed distance from a blurred picture. [B,3,H,W] -> [B,1,H,W]."""
        fine = (x - gaussian_blur(x, self.sigma)).abs().mean(1, keepdim=True)
        return gaussian_blur(fine, 2 * self.sigma)

    def score(self, x):
        """How uneven the detail is. [B,3,H,W] -> [B], higher is more likely forged."""
        return self.detail(x).std((1, 2, 3))

    def locate(self, x):
        """Where there is less detail than elsewhere. [B,3,H,W] -> [B,1,H,W] in [0,1]."""
        fine = self.detail(x)
        return 1 / (1 + fine / (fine.mean((2, 3), keepdim=True) + 1e-6))

@hookimpl
def magdr_forensics():
    return [ForensicSpec(name="smooth", build=Smooth, gradient="exact")]
'''

FINDER = '''\
"""Faces of passport photographs, which are where they always are."""
from typing import Annotated
from magdr_core.api import Box, Field, FinderSpec, FoundFace, hookimpl

MAGDR_API = 1

class Passport:
    """An upright face in the middle of every picture that shows anything."""
    def __init__(self, *, share: Annotated[float, Field(gt=0, le=1)] = 0.5):
        self.share = share

    def __call__(self, picture):
        """[3,H,W] uint8 -> the faces, the surest one first: squares from the brows to the chin."""
        if int(picture.max()) - int(picture.min()) < 16:
            return []
        height, width = picture.shape[1:]
        side = max(1, round(self.share * min(height, width)))
        return [FoundFace(Box.around(height / 2, width / 2, side), score=0.5)]

@hookimpl
def magdr_finders():
    return [FinderSpec(name="passport", build=Passport)]
'''

CHANNEL = '''\
"""A messenger's thumbnail: fewer pixels, fewer colours, and large again."""
from typing import Annotated
from magdr_core.api import ChannelSpec, Field, hookimpl, stateless
from magdr_core.functional import down_up, from_ycbcr, to_ycbcr

MAGDR_API = 1

Scale, Levels = Annotated[float, Field(gt=0, le=1)], Annotated[int, Field(ge=2)]

def thumbnail(x, *, scale: Scale = 0.75, levels: Levels = 32):
    """Small and large again, and chroma in so many levels. [B,3,H,W] in [0,1] -> same."""
    y, cb, cr = to_ycbcr(down_up(x, scale))
    cb, cr = ((c * levels).round() / levels for c in (cb, cr))
    return from_ycbcr(y, cb, cr).clamp(0, 1)

@hookimpl
def magdr_channels():
    return [ChannelSpec(name="thumbnail", build=stateless(thumbnail))]
'''

IDENTITY_ENCODER = '''\
"""Who is shown, by the colours of a face's nine parts."""
from magdr_core.api import IdentityEncoderSpec, hookimpl
from magdr_core.functional import resize

MAGDR_API = 1

class Colours:
    """Mean colours, without how bright the picture is as a whole."""
    size = 48
    dimension = 27

    def __call__(self, x):
        """[B,3,H,W] -> [B,27], each row of length 1."""
        parts = resize(resize(x, (self.size, self.size)), (3, 3)).flatten(1)
        parts = parts - parts.mean(1, keepdim=True) + 0.01
        return parts / parts.square().sum(1, keepdim=True).sqrt()

@hookimpl
def magdr_identity_encoders():
    return [IdentityEncoderSpec(name="colours", build=Colours)]
'''

EXAMPLES = {
    "metric": METRIC,
    "augmentation": AUGMENTATION,
    "restoration": RESTORATION,
    "generator": GENERATOR,
    "parser": PARSER,
    "attack": ATTACK,
    "detector": DETECTOR,
    "defense": DEFENSE,
    "dataset": DATASET,
    "forgery": FORGERY,
    "forensic": FORENSIC,
    "finder": FINDER,
    "channel": CHANNEL,
    "identity_encoder": IDENTITY_ENCODER,
}
"""By kind, the text of a module."""
