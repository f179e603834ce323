"""Draws the pictures of the README and of docs/ into docs/pictures/. Run from the repository root.

python docs/make_pictures.py [NAME ...]     any of `DRAWN` below; without a name all
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from magdr_core import Toolkit
from magdr_core.cli.attacks import chosen_attack, ready_attack
from magdr_core.cli.demo import EXAMPLE_SHOWS, asked_for, in_words, source_of
from magdr_core.cli.faces import grid
from magdr_core.cli.media_commands import chosen_conditions
from magdr_core.components.batch import Condition
from magdr_core.components.objective import build_objective, symmetric_mse
from magdr_core.functional import PARTS
from magdr_core.inference.demonstration import Demonstration, Version, demonstrate
from magdr_core.inference.loaded import load
from magdr_core.magdr import Verdict
from magdr_core.magdr.evidence import ITSELF
from magdr_core.media.pictures import to_levels
from magdr_core.runtime.samples import draw_samples

OUT = Path("docs/pictures")
FIRST = 1000
SIDE = 96
LABELS = ("input", "edited", "attacked input", "edited", "restored input", "edited")
COLOURS = torch.tensor(
    [
        *([40, 40, 48], [240, 190, 150], [120, 70, 30], [60, 120, 220], [90, 220, 220], [220, 120, 90]),
        *([250, 220, 120], [210, 50, 80], [200, 150, 110], [90, 100, 160], [110, 60, 140], [60, 160, 90]),
    ]
).float()


class Scene:
    """Test faces whose edit PGD disrupts, and MagDR in front of the editor."""

    def __init__(self, count: int) -> None:
        self.toolkit = Toolkit.from_registry("registry.toml", device="cpu")
        self.magdr = self.toolkit.magdr("editing", photographs=False)
        self.G = self.magdr.generator
        split = self.toolkit.build("dataset", "faces").split("test")
        self.samples, _ = draw_samples(split, self.G, first=FIRST, count=count, seed=0)
        clean, c = self.samples.images, self.samples.conditions
        objective = build_objective("untargeted", self.G, clean, c)
        rng = self.toolkit.rng("overview", self.samples.ids)
        self.attacked = self.toolkit.build("attack", "pgd")(clean, objective, rng=rng)
        self.reference = objective.reference
        with torch.no_grad():
            self.disrupted = self.G(self.attacked, c)

    def worst(self, count: int) -> Tensor:
        """The images that the attack hurts most, in the order of the faces."""
        return symmetric_mse(self.disrupted, self.reference).argsort(descending=True)[:count].sort().values


def faces() -> None:
    toolkit = Toolkit.from_registry("registry.toml", device="cpu")
    big = toolkit.sibling("dataset", "procedural-faces", size=128)
    Image.fromarray(grid(big.split("train")[list(range(40))].images, 10)).save(OUT / "faces.png")


def overview() -> None:
    """Clean, disrupted, and restored by MagDR; inputs and outputs."""
    scene = Scene(24)
    worst = scene.worst(8)
    c, seen = scene.samples.conditions[worst], scene.attacked[worst]
    restored = scene.magdr.defend(seen, c).restored
    rows = [
        *(scene.samples.images[worst], scene.reference[worst], seen, scene.disrupted[worst]),
        *(restored, output(scene, restored, c)),
    ]
    sheet(rows, LABELS, [""] * 8, side=128).save(OUT / "overview.png")


def demonstration() -> None:
    """What `magdr demo` does to the astronaut: every picture, verdict and figure is what came out."""
    toolkit = Toolkit.from_registry("builtin:photos", device="cpu")
    label, wanted = asked_for(toolkit, None, {})
    generator = toolkit.generator(label)
    one = load(source_of(None), generator.size, toolkit.finder())
    condition = chosen_conditions(generator, wanted, dict.fromkeys(EXAMPLE_SHOWS, 1.0))(one.face[None])
    attack = ready_attack(toolkit, label, chosen_attack(toolkit), Path("runs/cache"))
    seed, pipeline = toolkit.registry.seed, toolkit.magdr(label)
    done = demonstrate(one, condition, attack, pipeline, seed=seed)
    before, after = done.verdict_on_photograph, done.verdict_on_attacked
    asked = " and ".join(in_words(name, value) for name, value in wanted.items())
    columns = [
        ("A photograph", done.photograph, judged(before), not before.disrupted),
        (f"Attacked: {done.moved} of 255 levels", done.attacked, judged(after), after.disrupted),
        ("Restored", done.restored, *restored(done)),
    ]
    storyboard(columns, asked).save(OUT / "demonstration.png")


def judged(verdict: Verdict) -> str:
    side = "over" if verdict.disrupted else "under"
    word = "disrupted" if verdict.disrupted else "not disrupted"
    return f"{word} (score {verdict.score:.2f}, {side} {verdict.threshold:.2f})"


def restored(done: Demonstration) -> tuple[str, bool]:
    return f"{1 - done.kept:.0%} of the damage is gone", done.kept < 0.5


def masks() -> None:
    """What the parser sees, the target region of an edit, and what lies outside."""
    scene = Scene(6)
    x, c = scene.samples.images, scene.samples.conditions
    parts = scene.magdr.magdr.evidence.probe.masks(x, c)
    painted = torch.einsum("bnhw,nk->bkhw", parts, COLOURS / 255)
    target = target_of(scene, parts, c)
    rows = [x, scene.reference, painted, x * target + (1 - target) * 0.9, x * (1 - target) + target * 0.9]
    names = [edit(scene, c[i : i + 1]) for i in range(len(x))]
    picture = sheet(rows, ["input x", "output G(x,c)", "face parts", "target", "outside"], names)
    legend(picture).save(OUT / "masks.png")


def evidence() -> None:
    """Where the output differs from the input outside the target, and from outputs on processed inputs."""
    scene = Scene(6)
    i = scene.worst(1)
    c, probe = scene.samples.conditions[i], scene.magdr.magdr.evidence.probe
    rows: list[Tensor] = []
    for x in (scene.samples.images[i], scene.attacked[i]):
        outside = 1 - target_of(scene, probe.masks(x, c), c)
        made = probe.outputs(x, c, scene.G, probe.augmentations)
        y = made[ITSELF]
        others = [heat((y - made[f.label]).abs()) for f in probe.augmentations]
        rows.append(torch.cat([x, y, heat((x - y).abs() * outside), *others]))
    columns = ["input", "output", "outside target", *(f.label for f in probe.augmentations)]
    sheet(rows, ["clean", "PGD 6/255"], columns).save(OUT / "evidence.png")


def recnet() -> None:
    """What some candidates make of one disrupted face, and which one Rec-Net takes."""
    scene = Scene(6)
    i = scene.worst(1)
    x, c = scene.attacked[i], scene.samples.conditions[i]
    shown = {"received": x}
    for label in ("median", "nlm", "jpeg", "purifier", "purifier-editing"):
        shown[label] = scene.toolkit.build("restoration", label)(x)
    outcome = scene.magdr.defend(x, c)
    shown["MagDR"] = outcome.restored
    images = torch.cat(list(shown.values()))
    y = output(scene, images, c.repeat(len(images)))
    error = (y - scene.reference[i]).square().flatten(1).mean(1) * 255**2
    short = {"purifier-editing": "Eq. 8 purifier"}
    names = [f"{short.get(n, n)}: {e:.0f}" for n, e in zip(shown, error.tolist(), strict=True)]
    rows = [torch.cat([scene.samples.images[i], images]), torch.cat([scene.reference[i], y])]
    print("taken:", outcome.plans[0])
    sheet(rows, ["input", "output"], ["clean: 0", *names]).save(OUT / "recnet.png")


# -- drawing -------------------------------------------------------------------------------------------------


@torch.no_grad()
def output(scene: Scene, x: Tensor, c: Condition) -> Tensor:
    return scene.G(x, c)


def edit(scene: Scene, c: Condition) -> str:
    pairs = zip(scene.G.condition_names, c.values[0], c.changed[0], strict=True)
    return ", ".join(
        f"{n} {v:+.0f}" if v else f"no {n}" for n, v, on in pairs if on and (v or "Hair" not in n)
    )


def target_of(scene: Scene, parts: Tensor, c: Condition) -> Tensor:
    """The target region, `[B,1,H,W]`, of masks `[B,N,H,W]`."""
    own = scene.magdr.magdr.evidence.probe.target(c, scene.G)
    return (parts * own[:, :, None, None]).sum(1, keepdim=True)


def heat(difference: Tensor) -> Tensor:
    """`[B,3,H,W]` differences as black to yellow; .25 of the range is full."""
    level = (difference.mean(1, keepdim=True) * 4).clamp(0, 1)
    return torch.cat([(2 * level).clamp(0, 1), level, level * 0.15], 1)


def sheet(
    rows: Sequence[Tensor], labels: Sequence[str], columns: Sequence[str], side: int = SIDE
) -> Image.Image:
    """Rows of `[n,3,S,S]` with their names at the left and above."""
    margin, head = 100, 18 if any(columns) else 0
    canvas = Image.new("RGB", (margin + side * len(columns), head + side * len(rows)), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for k, name in enumerate(columns):
        draw.text((margin + k * side + 3, 3), name, fill="black", font=font)
    for r, (row, label) in enumerate(zip(rows, labels, strict=True)):
        draw.text((6, head + (r + 0.5) * side - 7), label, fill="black", font=font)
        for k, image in enumerate(row):
            small = Image.fromarray(to_levels(image)).resize((side, side), Image.Resampling.LANCZOS)
            canvas.paste(small, (margin + k * side, head + r * side))
    return canvas


def storyboard(columns: Sequence[tuple[str, Version, str, bool]], asked: str) -> Image.Image:
    """A column for each version of a face: its name, the picture, what magdr said of it, the edit of it."""
    side, margin, gap, pad = 256, 150, 24, 12
    rows = {"title": pad, "picture": 42, "said": 42 + side + 8, "output": 42 + side + 40}
    size = (margin + len(columns) * (side + gap), rows["output"] + side + pad)
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for text, row, lines in (
        ("picture", "picture", ("the picture",)),
        ("said", "said", ("what magdr says",)),
        ("output", "output", ("what a face editor", f"asked for {asked}", "makes of it")),
    ):
        top = rows[row] + (0 if text == "said" else side // 2 - 10 * len(lines))
        for number, line in enumerate(lines):
            draw.text((pad, top + 20 * number), line, fill="#555555", font=ImageFont.load_default(14))
    for number, (title, version, said, good) in enumerate(columns):
        left = margin + number * (side + gap)
        draw.text((left, rows["title"]), title, fill="black", font=ImageFont.load_default(19))
        for row, image in (("picture", version.image), ("output", version.output)):
            large = Image.fromarray(to_levels(image)).resize((side, side), Image.Resampling.LANCZOS)
            canvas.paste(large, (left, rows[row]))
        colour = "#1a7f37" if good else "#b42318"
        draw.text((left, rows["said"]), said, fill=colour, font=ImageFont.load_default(16))
    return canvas


def legend(picture: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", (picture.width, picture.height + 20), "white")
    canvas.paste(picture, (0, 0))
    draw, font, at = ImageDraw.Draw(canvas), ImageFont.load_default(11), 6
    for part, colour in zip(PARTS, COLOURS.int().tolist(), strict=True):
        draw.rectangle((at, picture.height + 5, at + 8, picture.height + 13), fill=tuple(colour))
        draw.text((at + 11, picture.height + 3), part, fill="black", font=font)
        at += 17 + int(draw.textlength(part, font=font))
    return canvas


DRAWN = (demonstration, faces, overview, masks, evidence, recnet)
PICTURES: dict[str, Callable[[], None]] = {f.__name__: f for f in DRAWN}

if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or PICTURES:
        PICTURES[name]()
