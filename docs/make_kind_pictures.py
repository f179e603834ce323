"""Draws the pictures of docs/kinds/ and docs/tasks/ into docs/pictures/. Run from the repository root.

python docs/make_kind_pictures.py [NAME ...]      all without a name; `--list` prints the names

Faces are drawn by the package; the one photograph is scikit-image's astronaut.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, partial

import skimage.data
import torch
from make_pictures import OUT, sheet
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from magdr_core import Toolkit
from magdr_core.api import AnyCondition, Batch
from magdr_core.components.objective import build_objective, symmetric_mse
from magdr_core.hosting.manager import BUILTIN

FIRST = 1000
TASKS = {"editing": "faces", "reenactment": "faces", "replacement": "person-a"}
STRENGTH = 6 / 255


@cache
def toolkit() -> Toolkit:
    return Toolkit.from_registry("registry.toml", device="cpu")


@cache
def faces(count: int, dataset: str = "faces") -> Batch:
    return toolkit().build("dataset", dataset).split("test")[list(range(FIRST, FIRST + count))]


def drawn(task: str, batch: Batch) -> AnyCondition:
    return toolkit().generator(task).draw(batch, toolkit().rng("pictures", batch.ids))


def save(picture: Image.Image, name: str) -> None:
    """A PNG of at most 256 colours where that does not show, since pages should load quickly."""
    path = OUT / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    small = picture.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    small.save(path, optimize=True)


def builtin(kind: str) -> list[str]:
    host = toolkit().host
    host.load(BUILTIN)
    return [e.name for e in host.entries(kind) if e.origin.namespace == BUILTIN]


# -- kinds -----------------------------------------------------------------------------------------------


def datasets() -> None:
    """Faces, the same with glasses that the renderer put on, and their parts."""
    split = toolkit().sibling("dataset", "procedural-faces", size=128).split("test")
    rows = list(range(FIRST, FIRST + 6))
    batch = split[rows]
    other = split.edited(rows, {"Eyeglasses": 1 - batch.attributes["Eyeglasses"]})
    hues = torch.linspace(0, 1, batch.masks.shape[1] + 1)[:-1]
    colours = torch.stack([0.5 + 0.45 * torch.cos(6.2832 * (hues - k / 3)) for k in range(3)], 1)
    parts = torch.einsum("bnhw,nk->bkhw", batch.masks, colours)
    save(
        sheet([batch.images, other, parts], ["drawn", "glasses", "parts"], [""] * 6, 112),
        "kinds/datasets",
    )


def generators() -> None:
    """Inputs and outputs of the three tasks."""
    rows, labels = [], []
    for task, dataset in TASKS.items():
        batch = faces(6, dataset)
        rows += [batch.images, toolkit().generator(task)(batch.images, drawn(task, batch))]
        labels += [
            "input",
            {"editing": "edited", "reenactment": "reenacted", "replacement": "replaced"}[task],
        ]
    save(sheet(rows, labels, [""] * 6), "kinds/generators")


def attacks() -> None:
    """Perturbations, and what the editor makes of them."""
    batch = faces(4)
    k = slice(1, 2)
    x, G = batch.images[k], toolkit().generator("editing")
    c = drawn("editing", batch)[k]
    objective = build_objective("untargeted", G, x, c)
    sides = {"noise": {}, "pgd": {"steps": 30}, "smooth": {"steps": 30}, "joint-classes": {"steps": 10}}
    shown = {"clean": x}
    for name, params in sides.items():
        attack = toolkit().sibling("attack", name, eps=STRENGTH, **params)
        shown[name] = attack(x, objective, rng=toolkit().rng(name, batch.ids[k]))
    images = torch.cat(list(shown.values()))
    many = c.repeat(len(images))
    magnified = (0.5 + 10 * (images - x)).clamp(0, 1)
    rows = [images, magnified, G(images, many)]
    save(sheet(rows, ["attacked", "change x 10", "edited"], list(shown), 128), "kinds/attacks")


def augmentations() -> None:
    """One face under each of them."""
    x = faces(4).images[:1]
    shown = {"as it is": x}
    for name in builtin("augmentation"):
        f = toolkit().build("augmentation", name)
        random = toolkit().host.find("augmentation", name).spec.stochastic
        shown[name] = f(x, rng=toolkit().rng(name, ["face"])) if random else f(x)
    save(tiles(shown), "kinds/augmentations")


def channels() -> None:
    """One face behind each of them that needs no others, and what it changes."""
    x = faces(4).images[:1]
    shown = {"as it is": x}
    for name in builtin("channel"):
        if not toolkit().host.find("channel", name).spec.needs:
            random = toolkit().host.find("channel", name).spec.stochastic
            f = toolkit().build("channel", name)
            shown[name] = f(x, rng=toolkit().rng(name, ["face"])) if random else f(x)
    images = torch.cat(list(shown.values()))
    save(
        sheet([images, (0.5 + 5 * (images - x)).clamp(0, 1)], ["sent", "change x 5"], list(shown), 128),
        "kinds/channels",
    )


def tiles(shown: dict[str, Tensor], across: int = 6, side: int = 128) -> Image.Image:
    """Pictures `[1,3,H,W]` with their names below, in rows."""
    names = list(shown)
    down = -(-len(names) // across)
    canvas = Image.new("RGB", (across * (side + 8), down * (side + 22)), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for k, name in enumerate(names):
        left, top = k % across * (side + 8), k // across * (side + 22)
        picture = (shown[name][0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        canvas.paste(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS), (left, top))
        draw.text((left + 2, top + side + 3), name, fill="black", font=font)
    return canvas


def restorations() -> None:
    """A disrupted face after some of them."""
    task = "editing"
    batch, G = faces(8), toolkit().generator(task)
    c = drawn(task, batch)
    objective = build_objective("untargeted", G, batch.images, c)
    attacked = toolkit().build("attack", "pgd")(batch.images, objective, rng=toolkit().rng("pgd", batch.ids))
    i = symmetric_mse(G(attacked, c), objective.reference).argmax()[None]
    x, c, wanted = attacked[i], c[i], objective.reference[i]
    shown = {"none": x}
    for name in ("median", "jpeg", "nlm", "wavelet", "dct", "purifier"):
        shown[name] = toolkit().build("restoration", name)(x)
    images = torch.cat(list(shown.values()))
    y = G(images, c.repeat(len(images)))
    errors = ((y - wanted) * 255).square().flatten(1).mean(1)
    columns = [f"{name}: {error:.0f}" for name, error in zip(shown, errors.tolist(), strict=True)]
    save(sheet([images, y], ["input", "edited"], columns, 112), "kinds/restorations")


def forgeries() -> None:
    """Real faces, what some families make of them, and where."""
    split = toolkit().build("dataset", "faces").split("test")
    names = ("swap", "splice", "self-blended", "inpainted", "warped")
    batch = split[list(range(FIRST, FIRST + len(names)))]
    donors = split[list(range(FIRST + 500, FIRST + 500 + len(names)))]
    made, masks = [], []
    for k, name in enumerate(names):
        forged = toolkit().build("forgery", name)(batch, donors, toolkit().rng(name, batch.ids))
        made.append(forged.images[k])
        masks.append(forged.masks[k].expand(3, -1, -1))
    rows = [batch.images, torch.stack(made), torch.stack(masks)]
    save(sheet(rows, ["real", "forged", "mask"], names, 112), "kinds/forgeries")


def forensics() -> None:
    """What the shipped localizer marks."""
    photos = Toolkit.from_registry("builtin:photos", device="cpu")
    localizer = photos.build("forensic", "localizer")
    split = toolkit().build("dataset", "faces").split("test")
    names = ("swap", "swap", "splice", "self-blended", "warped", "inpainted")
    batch = split[list(range(FIRST + 20, FIRST + 20 + len(names)))]
    donors = split[list(range(FIRST + 520, FIRST + 520 + len(names)))]
    made, masks = [], []
    for k, name in enumerate(names):
        forged = toolkit().build("forgery", name)(batch, donors, toolkit().rng(name, batch.ids))
        made.append(forged.images[k])
        masks.append(forged.masks[k].expand(3, -1, -1))
    images = torch.stack(made)
    marks = localizer.locate(images).expand(-1, 3, -1, -1)
    scores = [f"score {s:.1f}" for s in localizer.score(images).tolist()]
    save(
        sheet([images, torch.stack(masks), marks], ["forged", "mask", "marked"], scores, 112),
        "kinds/forensics",
    )


def finders() -> None:
    """The astronaut, with the square that the first finder of the photographs' registry gives."""
    photos = Toolkit.from_registry("builtin:photos", device="cpu")
    levels = skimage.data.astronaut()
    picture = Image.fromarray(levels)
    draw = ImageDraw.Draw(picture)
    for face in photos.finder()(torch.from_numpy(levels).permute(2, 0, 1))[:1]:
        box = face.box
        draw.rectangle((box.left, box.top, box.left + box.side, box.top + box.side), outline="white", width=5)
        draw.rectangle((box.left, box.top, box.left + box.side, box.top + box.side), outline="red", width=3)
    save(picture.resize((384, 384), Image.Resampling.LANCZOS), "kinds/finders")


# -- tasks -----------------------------------------------------------------------------------------------


def task(name: str) -> None:
    """Clean, disrupted and restored: inputs and outputs of those of 8 faces that the attack hurts most."""
    batch = faces(8, TASKS[name])
    magdr = toolkit().magdr(name, photographs=False)
    c = drawn(name, batch)
    aim = "towards-input" if name == "replacement" else "untargeted"
    objective = build_objective(aim, magdr.generator, batch.images, c)
    attacked = toolkit().build("attack", "pgd")(batch.images, objective, rng=toolkit().rng("pgd", batch.ids))
    disrupted = magdr.generator(attacked, c)
    worst = symmetric_mse(disrupted, objective.reference).argsort(descending=True)[:6].sort().values
    c = c[worst]
    restored = magdr.defend(attacked[worst], c).restored
    rows = [
        *(batch.images[worst], objective.reference[worst], attacked[worst], disrupted[worst]),
        *(restored, magdr.generator(restored, c)),
    ]
    labels = ["clean input", "output", "attacked input", "output", "restored input", "output"]
    save(sheet(rows, labels, [""] * 6), f"tasks/{name}")


PICTURES: dict[str, Callable[[], None]] = {
    **{f.__name__: f for f in (datasets, generators, attacks, augmentations, channels, restorations)},
    **{f.__name__: f for f in (forgeries, forensics, finders)},
    **{name: partial(task, name) for name in TASKS},
}

if __name__ == "__main__":
    if "--list" in sys.argv[1:]:
        raise SystemExit("\n".join(PICTURES))
    for name in sys.argv[1:] or PICTURES:
        with torch.no_grad():
            PICTURES[name]()
        print(name)
