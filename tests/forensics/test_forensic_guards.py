"""What a forgery and a forensic model give back is checked."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from magdr_core.api import ComponentError, Forged, ForgerySpec, stateless
from magdr_core.components.batch import Batch
from magdr_core.components.rng import SampleRng
from magdr_core.forensics.guards import GuardedForensic, GuardedForgery
from magdr_core.functional import to_8bit

SIDE = 12
X = to_8bit(torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)))
BATCH = Batch(X, ("a", "b", "c"))
MASK = torch.zeros(3, 1, SIDE, SIDE)
MASK[:, :, 2:4, 2:4] = 1
SPEC = ForgerySpec(name="f", build=stateless(lambda batch, donors, rng: None), reach=1)


def forged(made, spec=SPEC):
    guard = GuardedForgery(lambda batch, donors, rng: made, "forgery f", spec=spec)
    return guard(BATCH, BATCH[:0], SampleRng(0, "f", BATCH.ids))


def with_pixel(down, right):
    images = X.clone()
    images[:, :, down, right] = 1 - images[:, :, down, right]
    return to_8bit(images)


def test_a_sound_forgery_passes_as_it_is():
    found = forged(Forged(with_pixel(3, 3), MASK))
    assert torch.equal(found.images, with_pixel(3, 3))
    assert torch.equal(found.masks, MASK)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (X, "returned a Tensor, expected Forged"),
        (Forged(X[:2], MASK), "expected (3, 3, 12, 12)"),
        (Forged(X + 0.001, MASK), "images"),
        (Forged((X + 0.001).clamp(0, 1), MASK), "not 8-bit"),
        (Forged(X, MASK[:, 0]), "expected shape (3, 1, 12, 12)"),
        (Forged(X, 0.5 * MASK), "masks that are not 0 and 1"),
        (Forged(X, MASK * torch.tensor([1, 0, 1.0])[:, None, None, None]), "an empty mask for image 1"),
        (Forged(with_pixel(3, 6), MASK), "changed image 0 where nothing is forged"),
        (Forged(with_pixel(4, 4), MASK, MASK), "changed image 0 where nothing is forged"),
    ],
)
def test_what_no_forgery_may_be_is_told(made, words):
    with pytest.raises(ComponentError, match=r"forgery f: ") as error:
        forged(made)
    assert words in str(error.value)


def test_a_forgery_may_reach_a_little_beyond_its_mask_and_a_whole_one_anywhere():
    forged(Forged(with_pixel(4, 4), MASK))
    whole = replace(SPEC, group="whole")
    forged(Forged(with_pixel(9, 9), torch.ones_like(MASK)), whole)


def test_a_null_forgery_changes_what_it_likes_and_has_no_mask():
    null = replace(SPEC, null=True)
    forged(Forged(with_pixel(9, 9), torch.zeros_like(MASK)), null)
    with pytest.raises(ComponentError, match="is a null forgery"):
        forged(Forged(X, MASK), null)


def test_recorded_masks_may_be_empty_where_nobody_knows_them():
    some = MASK * torch.tensor([1, 0, 1.0])[:, None, None, None]
    made = Forged(X, some, torch.ones_like(MASK))
    assert torch.equal(forged(made, replace(SPEC, definition="recorded")).masks, some)
    with pytest.raises(ComponentError, match="an empty mask for image 1"):
        forged(made)


def test_families_are_named_and_grouped_by_parameters_that_there_are():
    def build(*, which: str = ""):
        """Some."""

    assert ForgerySpec(name="f", build=build, named_by="which").named_by == "which"
    with pytest.raises(TypeError, match="f: what is no parameter of build"):
        ForgerySpec(name="f", build=build, grouped_by="what")


class Model:
    def __init__(self, score=lambda x: x.mean((1, 2, 3)), locate=lambda x: x[:, :1]):
        self.score, self.locate = score, locate


def test_scores_and_masks_of_a_sound_model_pass():
    model = GuardedForensic(Model(), "forensic m")
    assert torch.equal(model.score(X), X.mean((1, 2, 3)))
    assert torch.equal(model.locate(X), X[:, :1])
    assert model.locates
    assert not model.learns


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Model(score=lambda x: x.mean((1, 2))), "expected shape (3,)"),
        (Model(score=lambda x: x.mean((1, 2, 3)) / 0), "NaN or infinite"),
        (Model(score=lambda x: x.sub_(1).mean((1, 2, 3))), "edits its input in place"),
    ],
)
def test_what_no_score_may_be_is_told(model, words):
    with pytest.raises(ComponentError, match=r"forensic m: ") as error:
        GuardedForensic(model, "forensic m").score(X)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("locate", "words"),
    [
        (lambda x: x, "expected shape (3, 1, 12, 12)"),
        (lambda x: 2 * x[:, :1], "located with values in"),
        (None, "does not say where"),
    ],
)
def test_what_no_located_mask_may_be_is_told(locate, words):
    with pytest.raises(ComponentError, match=r"forensic m: ") as error:
        GuardedForensic(Model(locate=locate), "forensic m").locate(X)
    assert words in str(error.value)
