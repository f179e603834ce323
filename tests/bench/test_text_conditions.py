"""A generator that is told a text: conditions are embeddings `[B,77,768]`, and everything runs with them."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import pytest
import torch

from magdr_core.api import (
    AnyCondition,
    Condition,
    GeneratorSpec,
    SampleRng,
    TensorCondition,
    VectorCondition,
)
from magdr_core.bench.run import Bench
from magdr_core.components.condition import Condition as Interface
from magdr_core.errors import ComponentError, DataError
from magdr_core.functional import PARTS, part_index
from magdr_core.guards import GuardedGenerator
from magdr_core.guards.output_cache import OutputMemory
from magdr_core.isolation.copies import private
from magdr_core.runtime.samples import draw_samples

TOKENS, WIDTH = 77, 768


@dataclass(frozen=True, eq=False)
class Prompt(TensorCondition):
    embedding: torch.Tensor


class Texts:
    """Tints a picture and sharpens it, both by what the text says."""

    size = 32
    condition_names = ("text",)

    def __call__(self, x, c):
        """`[B,3,H,W]` in [0,1], texts `[B,77,768]` -> `[B,3,H,W]` in [0,1]."""
        tint = c.embedding[:, 0, :3].sigmoid()[:, :, None, None]
        around = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
        strength = c.embedding[:, 1, :1].sigmoid()[:, :, None, None]
        return (0.8 * x + 0.2 * tint + 3 * strength * (x - around)).clamp(0, 1)

    def edited(self, c):
        hair = torch.arange(len(PARTS)) == part_index("hair")
        return hair.expand(len(c), -1).clone()

    def draw(self, batch, rng):
        return Prompt(rng.normal(TOKENS, WIDTH))


TEXTS = GeneratorSpec(name="texts", build=Texts)

REGISTRY = """
[registry]
name = "texts"
[dataset.faces]
use = "procedural-faces"
params = { size = 32 }
[generator.texts]
use = "acme/texts"
[parser.faces]
use = "unet"
params = { weights = "random", width = 8 }
[attack.pgd]
params = { eps = "6/255", steps = 2 }
[detector.magdr]
[detector.otd]
params = { steps = 2, check_every = 1, width = 4 }
[detector.magnet]
params = { filters = [3], iterations = 2 }
[defense.magdr]
params = { detector = "magdr" }
[restoration.jpeg]
[magdr]
parser = "faces"
criteria = ["l1"]
augmentations = ["flip"]
candidate_augmentations = ["flip"]
layers = [["median"], ["jpeg"]]
[calibration]
fit = 40
clean = 40
attacked = 6
train = 6
attacks = ["pgd"]
[profile.quick]
samples = 3
attacks = ["pgd", "noise"]
detectors = ["magdr", "otd", "magnet"]
defenses = ["magdr", "jpeg"]
pictures = 2
[[profile.quick.transfer]]
attack = "pgd"
condition = "unknown"
[profile.quick.adaptive]
attacks = ["pgd"]
detectors = ["magdr"]
steps = 2
restarts = 1
queries = 4
"""


@pytest.fixture
def kit(toolkit_from):
    return toolkit_from(REGISTRY, plugins={"acme": [TEXTS]})


def prompts(n, seed=0):
    return Prompt(torch.randn(n, TOKENS, WIDTH, generator=torch.Generator().manual_seed(seed)))


def pictures(n):
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(n))


def test_a_text_is_a_condition_and_a_vector_is_one():
    assert isinstance(prompts(2), AnyCondition)
    assert AnyCondition is Interface
    assert not isinstance(prompts(2), Condition), "which is the vector"
    vector = Condition(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool))
    assert isinstance(vector, AnyCondition)
    assert Condition is VectorCondition
    assert type(Interface(vector.values, vector.changed)) is VectorCondition
    assert not isinstance(torch.zeros(2, 3), AnyCondition)


def test_a_text_is_taken_apart_and_put_together():
    c = prompts(3)
    assert len(c) == 3
    assert torch.equal(c[[2, 0]].embedding, c.embedding[[2, 0]])
    assert torch.equal(c.repeat(2).embedding, torch.cat([c.embedding, c.embedding]))
    for cat in (Prompt.cat, Condition.cat, Interface.cat):
        joined = cat([c[:1], c[1:]])
        assert type(joined) is Prompt
        assert torch.equal(joined.embedding, c.embedding)
    other = Prompt(c.embedding.clone())
    assert not other.differs(c).any()
    other.embedding[1, 76, 767] += 1e-3
    assert other.differs(c).tolist() == [False, True, False]
    assert private(c).embedding.data_ptr() != c.embedding.data_ptr()


@torch.no_grad()
def test_an_output_is_remembered_by_the_whole_text():
    G, x, c = GuardedGenerator(Texts(), "generator texts"), pictures(2), prompts(2)
    G.memory = OutputMemory(2**20)
    first = G(x, c)
    asked: list[int] = []
    compute = G.forward
    G.forward = lambda x, c: asked.append(len(x)) or compute(x, c)
    G.memory = OutputMemory(2**20)
    assert torch.equal(G(x, c), first)
    assert torch.equal(G(x, c), first)
    assert sum(asked) == 2, "the second time nothing was computed"
    c.embedding[1, 76, 767] += 1
    G(x, c)
    assert sum(asked) == 4, "another text (an image that is left over goes in twice)"
    half = Prompt(c.embedding.bfloat16())
    assert G(x, half).shape == x.shape


def test_a_generator_is_told_of_a_wrong_number_of_texts():
    G = GuardedGenerator(Texts(), "generator texts")
    with pytest.raises(ComponentError, match="got 2 images and 3 conditions"):
        G(pictures(2), prompts(3))


def test_a_stochastic_generator_draws_by_the_text():
    class Grainy(Texts):
        def __call__(self, x, c, *, rng: SampleRng):
            return (super().__call__(x, c) + 0.05 * rng.normal(*x.shape[1:])).clamp(0, 1)

    G = GuardedGenerator(Grainy(), "generator texts", stochastic=True)
    x, c = pictures(3), prompts(3)
    assert torch.equal(G(x, c)[1:], G(x[1:], c[1:]))
    other = Prompt(c.embedding.clone())
    other.embedding[:, 70] += 1  # which the output itself does not depend on
    assert not torch.equal(G(x, c), G(x, other))


def test_samples_of_texts_are_drawn_and_have_no_exact_masks(kit):
    split = kit.build("dataset", "faces").split("test")
    samples, _ = draw_samples(split, kit.generator("texts"), first=0, count=3, seed=0)
    assert samples.conditions.embedding.shape == (3, TOKENS, WIDTH)
    again, _ = draw_samples(split, kit.generator("texts"), first=1, count=1, seed=0)
    assert torch.equal(samples.conditions.embedding[1:2], again.conditions.embedding)
    with pytest.raises(DataError, match="whose conditions are vectors"):
        draw_samples(split, kit.generator("texts"), first=0, count=1, seed=0, oracle=True)


def test_a_benchmark_of_texts_runs(kit, tmp_path):
    result = Bench(kit, "quick", out=tmp_path / "run", cache=tmp_path / "cache").run()
    assert not result.failures
    rows = list(csv.DictReader((result.folder / "results.csv").open()))
    measured = {(r["role"], r["component"], r["knowledge"]) for r in rows}
    assert {
        ("attack", "pgd", "none"),
        ("detector", "magdr", "oblivious"),
        ("detector", "otd", "oblivious"),
        ("detector", "magnet", "transfer"),
        ("detector", "magdr", "adaptive"),
        ("defense", "magdr", "oblivious"),
        ("defense", "jpeg", "transfer"),
    } <= measured
    errors = [float(r["value"]) for r in rows if r["metric"] == "mse_o" and r["attack"] == "pgd"]
    assert max(errors) > 0
