"""Components of regions and conditions of their own pass the suite, and it says what is wrong with them."""

from __future__ import annotations

import unittest

import pytest

from magdr_core.testing import conformance_checks
from tests.edits import edited

BANDS = '''\
"""The picture in three bands."""
import torch
from magdr_core.api import ParserSpec, Regions, hookimpl

MAGDR_API = 1

class Bands:
    """One above the other."""
    regions = Regions(("top", "middle", "bottom"))

    def __call__(self, x):
        row = torch.arange(x.shape[2], device=x.device) * 3 // x.shape[2]
        masks = torch.stack([row == i for i in range(3)]).to(x.dtype)
        return masks[None, :, :, None].expand(len(x), -1, -1, x.shape[3]).clone()

@hookimpl
def magdr_parsers():
    return [ParserSpec(name="bands", build=Bands)]
'''

TEXTS = '''\
"""A generator that is told a text."""
from dataclasses import dataclass
import torch
from magdr_core.api import GeneratorSpec, Regions, TensorCondition, hookimpl

MAGDR_API = 1

@dataclass(frozen=True, eq=False)
class Prompt(TensorCondition):
    embedding: torch.Tensor

class Texts:
    """Tints a picture by the first token."""
    size = 32
    condition_names = ("text",)
    regions = Regions(("face", "rest"), {"face": ("skin",), "rest": ("background",)})

    def __call__(self, x, c):
        return 0.8 * x + 0.2 * c.embedding[:, 0, :3].sigmoid()[:, :, None, None].to(x)

    def edited(self, c):
        return torch.tensor([True, False], device=c.embedding.device).expand(len(c), -1).clone()

    def draw(self, batch, rng):
        return Prompt(rng.normal(7, 16))

    def classes(self, c):
        return [Prompt(c.embedding), Prompt(-c.embedding)]

@hookimpl
def magdr_generators():
    return [GeneratorSpec(name="texts", build=Texts)]
'''


def findings(tmp_path, text):
    path = tmp_path / "own.py"
    path.write_text(text, encoding="utf-8")
    found = {}
    for check in conformance_checks(path):
        try:
            check()
        except unittest.SkipTest:
            continue
        except AssertionError as e:
            found[str(check).rpartition(" ")[2]] = str(e)
    return found


@pytest.mark.parametrize("text", [BANDS, TEXTS], ids=["parser", "generator"])
def test_regions_and_conditions_of_one_s_own_pass_the_suite(tmp_path, text):
    assert findings(tmp_path, text) == {}


@pytest.mark.parametrize(
    ("text", "edit", "told"),
    [
        (BANDS, ('"middle", "bottom"', '"rest"'), "expected (5, 2,"),
        (TEXTS, ("[True, False]", "[True]"), "edited returns torch.bool (3, 1), expected torch.bool (3, 2)"),
        (TEXTS, ("[Prompt(c.embedding), Prompt(-c.embedding)]", "[c.embedding]"), "expected Conditions like"),
        (TEXTS, ("rng.normal(7, 16)", "rng.normal(7, 16)[:1]"), "expected a Condition [3,1]"),
        (
            TEXTS,
            ("rng.normal(7, 16)", "rng.normal(7, 16) * len(batch)"),
            "draw gives an image another condition alone than in a batch",
        ),
    ],
    ids=["masks", "edited", "classes", "draw", "alone"],
)
def test_what_is_wrong_with_them_is_found(tmp_path, text, edit, told):
    found = findings(tmp_path, edited(text, edit))
    assert any(told in message for message in found.values()), found
