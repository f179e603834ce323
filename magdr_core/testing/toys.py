"""Small, quick components of every kind: what a component under test is given where it needs others.

A plugin like any other, named by its module: `[plugins] local = { toys = "magdr_core.testing.toys" }`, then
`use = "toys/toy"`. Nothing is trained, no file is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magdr_core.api import (
    AttackSpec,
    AugmentationSpec,
    Batch,
    Box,
    ChannelSpec,
    Condition,
    DatasetSpec,
    DefenseSpec,
    DetectorSpec,
    Eps,
    FinderSpec,
    ForensicSpec,
    Forged,
    ForgerySpec,
    FoundFace,
    Generator,
    GeneratorSpec,
    IdentityEncoderSpec,
    MetricSpec,
    Objective,
    ParserSpec,
    RestorationSpec,
    SampleRng,
    hookimpl,
    stateless,
)
from magdr_core.components.specs import ComponentSpec
from magdr_core.functional import (
    CLASSES,
    PARTS,
    flip,
    gaussian_blur,
    masked_mean,
    part_index,
    project_linf,
    resize,
    to_8bit,
)

MAGDR_API = 1

SIZE = 16
NAME = "toy"


def l1(a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
    """Mean absolute difference in each region: `[B,3,H,W]` twice and masks `[B,N,H,W]` -> `[B,N]`."""
    return masked_mean((a - b).abs(), masks)


def mirror(x: Tensor) -> Tensor:
    """Left and right exchanged, `[B,3,H,W]` -> same; its own inverse."""
    return flip(x)


def blur(x: Tensor, *, sigma: float = 0.7) -> Tensor:
    """Gaussian blur, `[B,3,H,W]` -> same; sigma in pixels."""
    return gaussian_blur(x, sigma)


class ToyGenerator(nn.Module):
    """Amplifies what is not smooth and tints by two conditions; differentiable, any size, any float type."""

    size = SIZE
    condition_names = ("Blond_Hair", "Smiling")

    def __init__(self) -> None:
        super().__init__()
        weight = torch.linspace(-1, 1, 6 * 3 * 9).mul(7).sin().reshape(6, 3, 3, 3)
        self.weight = nn.Parameter(weight - weight.mean((2, 3), keepdim=True), requires_grad=False)

    def features(self, x: Tensor, c: Condition) -> list[Tensor]:
        """Of images `[B,3,H,W]`: details `[B,6,H,W]`, and a map of half their sides."""
        fine = F.conv2d(x - 0.5, self.weight.to(x.dtype), padding=1)
        return [fine, F.avg_pool2d(F.relu(fine), 2)]

    def forward(self, x: Tensor, c: Condition) -> Tensor:
        """Images `[B,3,H,W]` in [0,1], tinted by two conditions -> same shape and range."""
        detail = self.features(x, c)[0]
        values = c.values.to(x.dtype)
        tint = torch.stack([values[:, 0], 0 * values[:, 0], values[:, 1]], 1)[:, :, None, None]
        return torch.sigmoid(3 * (x - 0.5) + detail[:, :3] + 0.5 * detail[:, 3:] + 0.5 * tint)

    def edited(self, c: Condition) -> Tensor:
        """Bool `[B,N]`: the hair by the first entry, the mouth by the second."""
        target = torch.zeros(len(c), len(PARTS), dtype=torch.bool, device=c.values.device)
        target[:, part_index("hair")] = c.changed[:, 0]
        target[:, part_index("mouth")] = c.changed[:, 1]
        return target

    def draw(self, batch: Batch, rng: SampleRng) -> Condition:
        changed = torch.arange(2, device=rng.device) == rng.integers(1, high=2)
        source = torch.stack([batch.attributes[name] for name in self.condition_names], 1)
        return Condition(torch.where(changed, 1 - source, source), changed)

    def classes(self, c: Condition) -> list[Condition]:
        source = torch.where(c.changed, 1 - c.values, c.values)
        entries = [torch.arange(2, device=source.device) == i for i in range(2)]
        return [
            Condition(torch.where(e, 1 - source, source), e.expand(len(c), -1).contiguous()) for e in entries
        ]


def generator() -> ToyGenerator:
    """Untrained; two attributes."""
    return ToyGenerator().eval()


class GrainyGenerator(ToyGenerator):
    """The same with grain of its own, drawn per image."""

    def forward(self, x: Tensor, c: Condition, *, rng: SampleRng) -> Tensor:  # type: ignore[override]
        """As the toy's, `[B,3,H,W]` -> same, with grain that `rng` draws."""
        return (super().forward(x, c) + 0.1 * rng.uniform(*x.shape[1:]).to(x.dtype)).clamp(0, 1)


def grainy_generator() -> GrainyGenerator:
    """Untrained; two attributes and random grain."""
    return GrainyGenerator().eval()


class ToyParser:
    """The parts as distances from so many grey levels."""

    def __call__(self, x: Tensor) -> Tensor:
        """Parts by brightness: `[B,3,H,W]` -> `[B,N,H,W]`, which sum to 1 at each pixel."""
        levels = torch.linspace(0, 1, len(PARTS), dtype=x.dtype, device=x.device)[:, None, None]
        return (-30 * (x.mean(1, keepdim=True) - levels).square()).softmax(1)

    def features(self, x: Tensor) -> list[Tensor]:
        """The image about its middle, `[B,3,H,W]`, and the same at half its sides."""
        return [x - 0.5, F.avg_pool2d(x - 0.5, 2)]


def parser() -> ToyParser:
    """Parts by brightness."""
    return ToyParser()


def sign_step(x: Tensor, objective: Objective, *, rng: SampleRng, eps: Eps = 6 / 255) -> Tensor:
    """One gradient sign step of length eps from a random place, `[B,3,H,W]` in [0,1] -> same.

    At the clean image the gradient is 0.
    """
    start = x + 0.5 * eps * rng.sign(*x.shape[1:])
    return project_linf(start + eps * objective.gradient(start)[1].sign(), x, eps)


def roughness(x: Tensor, c: Condition, G: Generator) -> Tensor:
    """How far the output moves when the input is blurred, `[B]`."""
    return (G(x, c) - G(gaussian_blur(x, 0.7), c)).abs().mean((1, 2, 3))


def as_it_is(x: Tensor, c: Condition, G: Generator) -> Tensor:
    """No defense: `[B,3,H,W]` -> the same values."""
    return x.clone()


class ToySplit:
    """Smooth pictures by index, with all that a `Batch` can hold."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.name, self.device = name, device

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        ids = tuple(f"{self.name}-{i}" for i in indices)
        rng = SampleRng(0, "toy-faces", ids, device=self.device)
        coarse = rng.uniform(3, 5, 5)
        # All images at once would do, but a batch's size may change the last bit of an interpolation.
        images = [resize(image[None], (SIZE, SIZE)) for image in coarse]
        masks = torch.zeros(len(ids), len(CLASSES), SIZE, SIZE, device=self.device)
        masks[:, CLASSES.index("hair"), : SIZE // 2] = 1
        masks[:, CLASSES.index("mouth"), SIZE // 2 :] = 1
        attributes = rng.integers(2, high=2).float()
        return Batch(
            images=to_8bit(torch.cat([*images, torch.empty(0, 3, SIZE, SIZE, device=self.device)])),
            ids=ids,
            attributes={name: attributes[:, i] for i, name in enumerate(ToyGenerator.condition_names)},
            masks=masks,
            action_units=rng.uniform(17),
            identities=torch.tensor(list(indices), device=self.device, dtype=torch.int64),
        )


class ToyDataset:
    size = SIZE

    def __init__(self) -> None:
        self.device = torch.device("cpu")

    def split(self, name: str) -> ToySplit:
        return ToySplit(name, self.device)

    def fingerprint(self) -> str:
        return "toy-faces-1"


def dataset() -> ToyDataset:
    """Smooth random pictures with attributes, masks and action units."""
    return ToyDataset()


def pasted(batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
    """A square of the donor, somewhere in the middle half: images `[B,3,H,W]`, masks `[B,1,H,W]`."""
    height, width = batch.images.shape[2:]
    corner = rng.uniform(2, low=0.25, high=0.5)
    rows = torch.arange(height, device=rng.device) / height - corner[:, :1]
    columns = torch.arange(width, device=rng.device) / width - corner[:, 1:]
    inside = ((rows >= 0) & (rows < 0.25))[:, :, None] & ((columns >= 0) & (columns < 0.25))[:, None, :]
    masks = inside[:, None].to(batch.images.dtype)
    return Forged(torch.where(inside[:, None], donors.images, batch.images), masks, masks)


class Pasted:
    """A square of another picture."""

    def __call__(self, batch: Batch, donors: Batch, rng: SampleRng) -> Forged:
        """Images `[B,3,H,W]` and masks `[B,1,H,W]`."""
        return pasted(batch, donors, rng)

    def innocent(self, batch: Batch, rng: SampleRng) -> Forged:
        """The pictures `[B,3,H,W]` as they are."""
        return Forged(batch.images, torch.zeros_like(batch.images[:, :1]))


class Rough:
    """Roughness of a picture, and where it is rough; more is more likely forged."""

    def score(self, x: Tensor) -> Tensor:
        """Mean distance of pictures `[B,3,H,W]` from themselves blurred, `[B]`."""
        return (x - gaussian_blur(x, 0.7)).abs().mean((1, 2, 3))

    def locate(self, x: Tensor) -> Tensor:
        """That distance in each pixel, `[B,1,H,W]`."""
        return (4 * (x - gaussian_blur(x, 0.7)).abs().mean(1, keepdim=True)).clamp(0, 1)


@hookimpl
def magdr_metrics() -> list[MetricSpec]:
    return [MetricSpec(name=NAME, build=stateless(l1))]


@hookimpl
def magdr_augmentations() -> list[AugmentationSpec]:
    return [AugmentationSpec(name=NAME, build=stateless(mirror, undo=mirror))]


@hookimpl
def magdr_restorations() -> list[RestorationSpec]:
    grid = {"sigma": [0.5, 1.0]}
    return [RestorationSpec(name=NAME, build=stateless(blur), stage="denoise", grid=grid, gradient="exact")]


@hookimpl
def magdr_generators() -> list[GeneratorSpec]:
    return [
        GeneratorSpec(name=NAME, build=generator),
        GeneratorSpec(name="grainy", build=grainy_generator, stochastic=True),
    ]


@hookimpl
def magdr_parsers() -> list[ParserSpec]:
    return [ParserSpec(name=NAME, build=parser)]


@hookimpl
def magdr_attacks() -> list[AttackSpec]:
    return [AttackSpec(name=NAME, build=stateless(sign_step), stochastic=True)]


@hookimpl
def magdr_detectors() -> list[DetectorSpec]:
    return [DetectorSpec(name=NAME, build=stateless(roughness), gradient="exact")]


@hookimpl
def magdr_defenses() -> list[DefenseSpec]:
    return [DefenseSpec(name=NAME, build=stateless(as_it_is), gradient="exact")]


@hookimpl
def magdr_datasets() -> list[DatasetSpec]:
    return [DatasetSpec(name=NAME, build=dataset)]


@hookimpl
def magdr_forgeries() -> list[ForgerySpec]:
    return [ForgerySpec(name=NAME, build=Pasted, donor=True, group="local")]


@hookimpl
def magdr_forensics() -> list[ForensicSpec]:
    return [ForensicSpec(name=NAME, build=Rough)]


class Middle:
    """One face in the middle of whatever is not of one colour."""

    def __call__(self, picture: Tensor) -> list[FoundFace]:
        """A picture `[3,H,W]` uint8 -> its face, if it shows anything."""
        if int(picture.max()) == int(picture.min()):
            return []
        height, width = picture.shape[1:]
        return [FoundFace(Box.around(height / 2, width / 2, max(1, min(height, width) // 2)))]


@hookimpl
def magdr_finders() -> list[FinderSpec]:
    return [FinderSpec(name=NAME, build=Middle)]


def coarse(x: Tensor) -> Tensor:
    """Eight levels of each colour, `[B,3,H,W]` in [0,1] -> same."""
    return (x * 7).round() / 7


@hookimpl
def magdr_channels() -> list[ChannelSpec]:
    return [ChannelSpec(name=NAME, build=stateless(coarse))]


class Palette:
    """The colours of a picture's parts, as a direction."""

    size = SIZE
    dimension = 48

    def __call__(self, x: Tensor) -> Tensor:
        """Pictures `[B,3,H,W]` in [0,1] -> `[B,48]`, of length 1."""
        coarse = torch.cat([resize(one[None], (4, 4)) for one in x]) if len(x) else x.new_zeros(0, 3, 4, 4)
        flat = coarse.flatten(1) + 0.1
        return flat / flat.square().sum(1, keepdim=True).sqrt()


@hookimpl
def magdr_identity_encoders() -> list[IdentityEncoderSpec]:
    return [IdentityEncoderSpec(name=NAME, build=Palette)]


def toy(kind: str) -> ComponentSpec:
    """The toy of one of core's kinds."""
    everything = [
        *magdr_metrics(),
        *magdr_augmentations(),
        *magdr_restorations(),
        *magdr_generators(),
        *magdr_parsers(),
        *magdr_attacks(),
        *magdr_detectors(),
        *magdr_defenses(),
        *magdr_datasets(),
        *magdr_forgeries(),
        *magdr_forensics(),
        *magdr_finders(),
        *magdr_channels(),
        *magdr_identity_encoders(),
    ]
    return next(spec for spec in everything if spec.kind == kind)
