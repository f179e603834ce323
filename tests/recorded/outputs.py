"""A few numbers of what every built-in component computes, and of what core itself does.

Keys of stored results and calibrations hold a built-in's `version`, not the release. These numbers tell when
it has to be raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import skimage.data
import torch
from torch import Tensor
from torch.nn import functional as F

from magdr_core.components.fingerprints import CORE
from magdr_core.components.objective import build_objective
from magdr_core.components.rng import SampleRng
from magdr_core.functional import to_8bit
from magdr_core.magdr.gate import choose_gate
from magdr_core.measures.image_quality import Yardstick
from magdr_core.media.tilted import turned
from magdr_core.runtime.samples import attack_samples, draw_samples
from magdr_core.testing.fitting import learn
from magdr_core.testing.inputs import make_inputs
from magdr_core.testing.subject import Subject
from magdr_core.testing.world import World
from tests.catalog_params import PARAMS

FILE = Path(__file__).with_name("outputs.json")

PICTURES = (
    *("celeba", "celebamask-hq", "faceforensics", "folder", "portraits", "video", "redrawn", "recorded"),
    *("faceforensics-fakes", "celeb-df", "dfdc", "dfdc-preview", "deeperforensics", "deepfakebench"),
)
"""Datasets and forgeries whose pictures are the user's, as their fingerprints are."""

NETWORKS = (("finder", "mediapipe"), ("generator", "diffusion"))
"""That are the user's, too."""

MORE: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
    ("detector", "magdr"): {
        name: {"form": name} for name in ("learned", "one-sided", "standardised", "literal")
    }
    | {name: {"evidence": name} for name in ("distortion", "consistency")}
    | {"opinion": {"opinion": "median"}},
    ("defense", "magdr"): {"standardised": {"form": "standardised"}, "literal": {"form": "literal"}},
    ("attack", "lab"): {
        "gradient": {"ascent": "gradient", "psnr": 38, "limit": 110, "steps": 3},
        "sign": {"ascent": "sign", "steps": 3, "classes": True},
    },
    ("attack", "universal"): {"balanced": {"method": "balanced", "steps": 2, "faces": 12, "batch": 6}},
    ("attack", "identity-cloak"): {"lowpass": {"steps": 3, "lowpass": True}},
    ("dataset", "procedural-faces"): {"person": {"identity": "A", "size": 32}},
}
"""Further settings that are recorded, by a name of their own."""

SHOWN = 2
"""Images of which numbers are kept."""

Compute = Callable[[], list[float]]


def recordings() -> Iterator[tuple[str, int, Compute]]:
    """(name, version, what computes the numbers) of everything that is recorded."""
    world = World({}, base=Path.cwd())
    world.host.load("builtin")
    for entry in world.host.entries():
        if (
            entry.name.startswith("magdr-toys/")
            or entry.name in PICTURES
            or (entry.kind, entry.name) in NETWORKS
        ):
            continue
        place = (entry.kind, entry.name)
        settings = {"": PARAMS.get(place, {}), **MORE.get(place, {})}
        for name, params in settings.items():
            subject = Subject(entry, world, params, tolerance=0.0)
            label = f"{entry.kind} {entry.name}" + (f" ({name})" if name else "")
            yield label, entry.spec.version, lambda subject=subject: of_component(subject)
    for name, compute in CORES.items():
        yield f"core {name}", CORE, lambda compute=compute: compute(world)


def of_component(subject: Subject) -> list[float]:
    if subject.kind.name == "dataset":
        return of_dataset(subject.guarded)
    if subject.kind.name == "finder":
        return of_finder(subject.guarded)
    learn(subject)
    given = subject.batch[range(SHOWN)]
    with torch.no_grad():
        return numbers(subject.compute(given), given.images)


def of_dataset(dataset: Any) -> list[float]:
    found = []
    for split in ("train", "calibration", "test"):
        batch = dataset.split(split)[[0, 7]]
        found += numbers(batch.images, torch.zeros_like(batch.images))
        found += [float(v) for _, values in sorted(batch.attributes.items()) for v in values]
        if batch.masks is not None:
            found += batch.masks.mean((2, 3)).flatten().tolist()
    return found


def of_finder(finder: Any) -> list[float]:
    """Where scikit-image's astronaut is, upright and tilted."""
    levels = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)
    upright = levels[:, :256, 96:352]
    size = (upright.shape[1], upright.shape[2])
    tilted = to_8bit(turned(upright.float() / 255, (128.0, 128.0), size, -25.0))
    return [
        number
        for picture in (upright, (tilted * 255).round().byte())
        for face in finder(picture)
        for number in (*face.box.centre, face.box.side, face.box.angle, face.score)
    ]


def numbers(y: Tensor, x: Tensor) -> list[float]:
    """Of an image its coarse content, how much fine detail it has, how far it is from `x`; else all."""
    y = y.detach().double()
    if y.ndim != 4:
        return y.flatten().tolist()
    found = [F.adaptive_avg_pool2d(y, 4).flatten()]
    found += [F.adaptive_avg_pool2d(y.diff(dim=d).abs(), 2).flatten() for d in (2, 3)]
    if y.shape == x.shape:
        found.append(F.adaptive_avg_pool2d((y - x).abs(), 2).flatten())
    return torch.cat(found).tolist()


# -- core's own maths ------------------------------------------------------------------------------------


def _faces(world: World) -> Any:
    split = world.toolkit.build("dataset", "toy").split("test")
    return draw_samples(split, world.generator, first=0, count=3, seed=0)[0]


def _random_streams(world: World) -> list[float]:
    rng = SampleRng(3, "recorded", ("a", "b"))
    drawn = [rng.uniform(3), rng.normal(3), rng.sign(3), rng.fork(1).uniform(2)]
    return torch.cat([t.double().flatten() for t in drawn]).tolist()


def _samples(world: World) -> list[float]:
    c = _faces(world).conditions
    return torch.cat([c.values, c.changed.float()]).flatten().tolist()


def _objectives(world: World) -> list[float]:
    given = make_inputs(SHOWN, 16, 16, conditions=len(world.generator.condition_names))
    found: list[float] = []
    for name in ("untargeted", "towards-input", "towards-black"):
        aim = build_objective(name, world.generator, given.images, given.conditions)
        loss, slope = aim.gradient(given.others)
        found += [*loss.tolist(), *(1e3 * F.adaptive_avg_pool2d(slope, 2)).flatten().tolist()]
    return found


def _attacked_images(world: World) -> list[float]:
    faces = _faces(world)
    attack = world.toolkit.build("attack", "toy")
    images = attack_samples(faces, attack, world.generator, name="toy", seed=0)
    return numbers(images, faces.images)


def _measures(world: World) -> list[float]:
    given = make_inputs(SHOWN, 32, 32)
    found = Yardstick(given.images, None).compare(given.others, "o")
    return [v for _, values in sorted(found.items()) for v in values]


def _gate(world: World) -> list[float]:
    draw = torch.Generator().manual_seed(0)
    scores, kept, restored = torch.rand(3, 40, generator=draw).double().numpy()
    attacked = scores > 0.4
    kept, restored = kept * 1e-4 * attacked, restored * 1.2e-4
    return [choose_gate(scores, kept, restored, attacked, ceiling) for ceiling in (0.2, 0.3, 0.7, 1.5)]


CORES: dict[str, Callable[[World], list[float]]] = {
    "random streams": _random_streams,
    "samples": _samples,
    "objectives": _objectives,
    "attacked images": _attacked_images,
    "measures": _measures,
    "gate": _gate,
}
