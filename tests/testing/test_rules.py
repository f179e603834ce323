"""Every rule of the suite finds what it is there for, and nothing else is said about it."""

from __future__ import annotations

import unittest
from contextlib import suppress
from pathlib import Path

import pytest

from magdr_core.components.specs import SPECS
from magdr_core.testing import conformance_checks
from magdr_core.testing.checks import EVERY_RULE
from magdr_core.testing.examples import EXAMPLES
from magdr_core.testing.suite import CheckedPlugin, checks_in
from magdr_core.testing.world import World
from tests.edits import edited
from tests.testing.hostile import HOSTILE

HELP = """
import itertools
import torch

COUNT = itertools.count()
OWN = torch.Generator()


def forked(x):
    with torch.random.fork_rng(devices=[]):
        return torch.rand_like(x)
"""

FITTED = """
import torch
from magdr_core.api import DetectorSpec, hookimpl
MAGDR_API = 1

class Mean:
    def __call__(self, x, c, G):
        return x.mean((1, 2, 3)) - self.level

    def fit(self, data, G):
        return {"level": float(data.clean.images.mean())}

    def load(self, state):
        self.level = state["level"]

def mean():
    return Mean()

@hookimpl
def magdr_detectors():
    return [DetectorSpec(name="mean", build=mean, gradient="exact")]
"""
KEPT = """
from magdr_core.api import AttackSpec, hookimpl
from magdr_core.functional import psnr
MAGDR_API = 1

class Lighter:
    def __init__(self, *, psnr: float = 40.0) -> None:
        self.level = 10 ** (-psnr / 20)

    def __call__(self, x, objective):
        return (x + (self.level * 255 // 1 / 255)).clamp(0, 1)

@hookimpl
def magdr_attacks():
    return [AttackSpec(name="lighter", build=Lighter, norm="psnr")]
"""
SIMILAR = """
from magdr_core.api import AttackSpec, hookimpl
from magdr_core.functional import least_ssim, to_8bit
MAGDR_API = 1

class Darker:
    def __init__(self, *, ssim: float = 0.9) -> None:
        self.ssim = ssim

    def __call__(self, x, objective):
        best = x
        for level in range(20):
            seen = to_8bit(x * (1 - level / 40))
            best = seen.where((least_ssim(x, seen) >= self.ssim)[:, None, None, None], best)
        return best

@hookimpl
def magdr_attacks():
    return [AttackSpec(name="darker", build=Darker, norm="ssim")]
"""
OUTPUT = edited(
    EXAMPLES["defense"],
    (
        "@hookimpl",
        """class Whole:
    def __call__(self, x, c, G, *, rng):
        return drown(x, c, G, rng=rng)
    def output(self, x, c, G, *, rng):
        return G(drown(x, c, G, rng=rng), c)

@hookimpl""",
    ),
    ("stateless(drown)", "lambda: Whole()"),
)
STEPWISE = edited(
    EXAMPLES["attack"],
    (
        "@hookimpl",
        """class Stepwise:
    def __init__(self, eps):
        self.eps = eps
    def __call__(self, x, objective, *, rng):
        return sign_step(x, objective, rng=rng, eps=self.eps)
    def checkpoints(self, x, objective, steps, *, rng):
        return [sign_step(x, objective, rng=rng.fork(n), eps=self.eps) for n in steps]

def stepwise(*, eps: Eps = 6 / 255):
    return Stepwise(eps)

@hookimpl""",
    ),
    ("stateless(sign_step)", "stepwise"),
)
FEATURED = edited(
    EXAMPLES["generator"],
    (
        "    def edited",
        """    def features(self, x, c):
        return [x, x[..., ::2, ::2]]

    def classes(self, c):
        return [c]

    def edited""",
    ),
)
UNIVERSAL = """
from magdr_core.api import AttackSpec, ComponentError, Eps, hookimpl
MAGDR_API = 1

class Universal:
    def __init__(self, *, eps: Eps = 6 / 255):
        self.eps = eps

    def __call__(self, x, objective):
        return (x + self.step).clamp(0, 1)

    def fit(self, data, G):
        batch = data.clean[:4]
        up = data.objective(batch).gradient(batch.images.add(0.01).clamp(0, 1))[1].mean() > 0
        return {"step": {"up": self.eps if up else -self.eps}}

    def load(self, state):
        self.step = state["step"].get("1", state["step"]["up"])

@hookimpl
def magdr_attacks():
    return [AttackSpec(name="universal", build=Universal)]
"""
PICKY = """
import torch
from magdr_core.api import Chosen, DefenseSpec, hookimpl
from magdr_core.functional import gaussian_blur
MAGDR_API = 1

class Picky:
    gate = 0.45

    def __init__(self):
        self.candidates = {"soft": lambda x: gaussian_blur(x, 0.5), "strong": lambda x: gaussian_blur(x, 1.0)}

    def evidence(self, x, c, G):
        return x.mean((1, 2, 3))

    def __call__(self, x, c, G):
        return self.run(x, c, G).restored

    def run(self, x, c, G):
        acts = self.evidence(x, c, G) > self.gate
        restored = torch.where(acts[:, None, None, None], self.candidates["soft"](x), x)
        return Chosen(restored, [["soft"] if on else [] for on in acts.tolist()])

@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="picky", build=Picky)]
"""
SOUND = {
    "universal": UNIVERSAL,
    "picky": PICKY,
    **EXAMPLES,
    "fitted": FITTED,
    "output": OUTPUT,
    "stepwise": STEPWISE,
    "kept": KEPT,
    "similar": SIMILAR,
    "featured": FEATURED,
}

# Sound plugin, what is changed, the rule that says so, words of what it says.
# fmt: off
CASES = [
    ("restoration", "= 1):", "= 9):", "builds", "less than or equal to 5"),
    ("restoration", "return median_blur(x,", "raise SystemExit\n    return (", "output", "SystemExit"),
    ("detector", ".mean((1, 2, 3))", ".mean()", "output", "returns shape (), expected (5,)"),
    ("restoration", "return med", "return x.double() + 0 * med", "output", "torch.float64, expected"),
    ("parser", "    return masks", "    return masks / 0", "finite", "values are not finite"),
    ("defense", "1.0)\n", "1.0) + 0.6\n", "range", "expected [0, 1]"),
    ("augmentation", "return x.roll",
     "x[:, 0] = 0\n    return x.roll", "inputs", "edits its images in place"),
    ("metric", "d = a - b", "d = a.sub_(b)", "inputs", "edits its images in place"),
    ("detector", "return (", "c.values.zero_()\n    return (", "inputs", "edits its conditions in place"),
    ("attack", "loss, gr", "x.requires_grad_()\n    loss, gr", "inputs", "require a gradient"),
    ("detector", "return (",
     "G.component.train()\n    return (", "networks", "the generator in training mode"),
    ("defense", "rng.normal(*x.shape[1:]).to(x)",
     "__import__('numpy').random.rand()", "randomness", "numpy's global"),
    ("defense", "rng.normal(*x.shape[1:])",
     "forked(x)", "randomness", "with the seed of the global generators"),
    ("defense", "rng.normal(*x.shape[1:])",
     "torch.rand(x.shape, generator=OWN)", "repeats", "the same call again differs by"),
    ("detector", ".mean((1, 2, 3))", ".mean((1, 2, 3)) + 0.1 * len(x)", "batch", "alone and in a batch of 5"),
    ("restoration", "return", "x = x.view(-1).reshape(x.shape)\n    return", "batch", "channels last"),
    ("augmentation", "return x.roll(p",
     "x.shape[3] % 2 and 1 / 0\n    return x.roll(p", "sizes", "2x3x17x23"),
    ("restoration", "[1, 2, 3]", "[1, 2, 7]", "grid", "less than or equal to 5"),
    ("restoration", "* radius + 1)",
     "* radius + 1) * (radius if radius > 2 else 1)", "grid", "radius=3: values in"),
    ("detector", "- G(gaussian",
     "- 0.5 * G(gaussian_blur(x, sigma), c).detach() - 0.5 * G(gaussian", "gradient", "finite differences"),
    ("defense", "return g", "x = x.detach()\n    return g", "gradient", "claims a gradient"),
    ("parser", "1 - skin\n", "1 - 0.9 * skin\n", "masks", "the masks of a pixel sum to 1."),
    ("metric", "return masked", "return 0.1 + masked", "distance", "the value of an empty region is 0.1"),
    ("metric", "d = a - b", "d = a - 0.5 * b", "distance", "the distance of an image to itself is"),
    ("attack", "return project_linf(start + eps * gradient.sign(), x, eps)",
     "return (x + 2 * eps * gradient.sign()).clamp(0, 1)", "ball", "a pixel moved by 0.04"),
    ("attack", "gradient.sign(), x, eps)", "gradient.sign() + 0.01, x, eps + 0.01)", "ball", "eps is 0"),
    ("kept", "self.level *", "0.02 + self.level *", "ball", "has a PSNR of"),
    ("similar", ">= self.ssim", ">= self.ssim - 0.05", "ball", "has an SSIM of 0.8"),
    ("similar", "return best",
     "return best if self.ssim < 0.95 else seen", "ball", "at least 0.99 is asked for"),
    ("stepwise", "for n in steps]", "for n in steps[1:]]", "checkpoints", "returned a list of 1"),
    ("augmentation", "y.roll(-pixels", "y.roll(pixels", "undo", "undo leaves a mean difference of"),
    ("output", "return G(drown(x, c, G, rng=rng), c)", "return 2 * x", "own output", "values in [0"),
    ("output", "return G(drown(",
     "x.zero_()\n        return G(drown(", "own output", "edits its images in place"),
    ("generator", "return c.changed & hair",
     "return (c.changed & hair).float()", "conditions", "expected torch.bool"),
    ("generator", "dtype=torch.bool)",
     "dtype=torch.bool).logical_not()", "conditions", "gives image 0 no change"),
    ("featured", "return [x, x[..., ::2, ::2]]", "return x", "features", "expected a list of [B,C,h,w]"),
    ("fitted", "float(data.clean.images.mean())", "data.clean.images.mean()", "fit", "what JSON cannot hold"),
    ("fitted", "float(data.clean.images.mean())",
     "float(torch.rand(()))", "fit", "draws from torch's global"),
    ("fitted", "float(data.clean.images.mean())",
     "id(self.fit(data, G)) if 0 else next(COUNT)", "fit", "fitting again on the same data differs in level"),
    ("universal", '{"up": self.eps if up else -self.eps}', "set()", "fit", "what JSON cannot hold"),
    ("universal", '{"step": {', '{"stop": {', "fit", "load fails"),
    ("universal", "(x + self.step)", "(x + 2 * self.step)", "ball", "a pixel moved by 0.04"),
    ("universal", '"up": self.eps if up else -self.eps}',
     '"up": self.eps, 1: 0.0}', "state", "other results than through JSON"),
    ("picky", "c, G) > self.gate", "c, G) < self.gate", "choice", "whose evidence is not above the gate"),
    ("picky", '[["soft"] if on', '[["strong"] if on', "choice", "gives another image than restored"),
    ("dataset", "if name not in LENGTHS:",
     "if name == 'train':\n            raise KeyError(name)\n        if 0:",
     "splits", "split 'train': KeyError"),
    ("dataset", "images=to_8bit(images)", "images=images", "images", "off the 8-bit levels"),
    ("dataset", "images=to_8bit(images)", "images=to_8bit(images[..., 1:])", "images", ", 3, 64, 63)"),
    ("dataset", '{self.name}-{i}" for', '{self.name}-{i // 2}" for', "ids", "names several pictures"),
    ("dataset", 'return f"discs-1-', 'return f"{id(self)}-', "stable", "after a rebuild"),
    ("dataset", "ids=ids,", 'ids=tuple(f"{one}-of-{len(ids)}" for one in ids),', "stable", "in a batch"),
    ("dataset", "disc-{self.name}-{i}", "disc-{i}", "disjoint", "is in train and in calibration"),
    ("dataset", ").float()\n        return", ").float() * 2\n        return", "facts", "'Blond_Hair' is"),
    ("forgery", "inside.to(x.dtype)", "0.7 * inside.to(x.dtype)", "forged", "masks that are not 0 and 1"),
    ("forgery", "(inside, donors.images, x)",
     "(inside, donors.images, x.roll(1, 3))", "forged", "where nothing is forged"),
    ("forgery", "(rows < top + height)", "(rows < top)", "forged", "an empty mask for image 0"),
    ("forgery", "donors.images, x), ma", "donors.images * 0.999, x), ma", "forged", "not 8-bit"),
    ("finder", "score=0.5)]", "score=0.5)].pop()", "found", "returned a FoundFace, expected a list"),
    ("finder", "width / 2, side)", "2 * width, side)", "found", "lies beside the picture of 16 x 16"),
    ("finder", "score=0.5)]", "score=float('nan'))]", "found", "score = nan, expected a number in [0,1]"),
    ("finder", "score=0.5)]",
     "score=0.5), FoundFace(Box(0, 0, 1), score=0.9)]", "found", "a score of 0.9 after 0.5"),
    ("finder", "height, width = picture.shape[1:]\n",
     "height, width = picture.shape\n", "found", "fails on 3x16x16: ValueError"),
    ("finder", "    def __call__(self, picture):",
     "    def places(self, picture):\n        return None\n\n    def __call__(self, picture):",
     "found", "places: on 3x1x1: returned a NoneType"),
    ("finder", "        height, width =", "        picture[0, 0, 0] = 7\n        height, width =",
     "kept", "edits the picture in place"),
    ("finder", "        height, width =", "        torch.rand(1)\n        height, width =",
     "kept", "draws from torch's global generator"),
    ("finder", "score=0.5)", "score=1 / (1 + next(COUNT)))", "alike", "other faces the second time"),
    ("finder", "self.share = share", "self.share = share / (1 + next(COUNT))",
     "alike", "other faces after a rebuild"),
    ("finder", "< 16:", "< 0:", "nothing", "finds 1 in a picture that is 0 everywhere"),
    ("identity_encoder", "return parts / parts.square().sum(1, keepdim=True).sqrt()",
     "return parts", "identities", "expected 1"),
    ("identity_encoder", "dimension = 27", "dimension = 27.0", "identities", "dimension is 27.0"),
    ("forensic", "return 1 / (1", "return 2 / (1", "located", "expected [0, 1]"),
    ("forensic", "(2, 3), keepdim=True)",
     "(0, 2, 3), keepdim=True)", "located", "differs alone and in a batch of 5"),
]
# fmt: on


def rules_of(path):
    found = {}
    for check in conformance_checks(path):
        with suppress(unittest.SkipTest):
            for finding in check.findings():
                found.setdefault(finding.rule, []).append(finding.message)
    return found


@pytest.mark.parametrize("name", SOUND)
def test_suite_says_nothing_of_a_sound_plugin(tmp_path, name):
    path = tmp_path / "acme.py"
    path.write_text(SOUND[name])
    assert rules_of(path) == {}


def test_suite_says_nothing_of_its_own_toys():
    world = World({"toys": "magdr_core.testing.toys"}, base=Path.cwd())
    checks = checks_in(world, CheckedPlugin("toys", {}, Path.cwd()))
    assert {check.component.split()[0] for check in checks} == set(SPECS)
    for check in checks:
        assert check.findings() == [], check


@pytest.mark.parametrize(
    ("sound", "old", "new", "rule", "words"),
    CASES,
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
def test_rule_finds_its_fault_alone(tmp_path, sound, old, new, rule, words):
    text = SOUND[sound]
    assert old in text
    path = tmp_path / "acme.py"
    path.write_text(HELP + edited(text, (old, new), first=True))
    found = rules_of(path)
    assert set(found) == {rule}, found
    assert words in found[rule][0]
    assert "\n" not in found[rule][0]


def test_every_rule_has_a_fault_here():
    told = {case[3] for case in CASES} | {rule for _, rule, _ in HOSTILE.values()}
    assert {rule.name for rule in EVERY_RULE} <= told
