"""What functions, classes and constants of magdr, torch and numpy are is verified, and put back."""

from __future__ import annotations

import pytest
import torch

from magdr_core.bench import evaluate
from magdr_core.functional import similarity
from magdr_core.isolation.shared_code import SharedCode
from magdr_core.measures import image_quality

EVALUATE, QUALITY = "code of magdr_core.bench.evaluate", "code of magdr_core.measures.image_quality"
CHANGES = {
    "a function": (lambda: setattr(evaluate, "changed", abs), EVALUATE),
    "a function where it is imported": (lambda: setattr(evaluate, "mse", abs), EVALUATE),
    "a constant": (lambda: setattr(evaluate, "MOST_PSNR", 0.0), EVALUATE),
    "a method": (lambda: setattr(image_quality.Yardstick, "forget", abs), QUALITY),
    "what a class inherits": (lambda: setattr(image_quality.Yardstick, "__eq__", lambda a, b: True), QUALITY),
    "defaults": (
        lambda: setattr(similarity.psnr, "__kwdefaults__", {"data_range": 2.0}),
        "code of magdr_core.functional.similarity",
    ),
    "a function of torch": (lambda: setattr(torch, "hypot", abs), "functions of torch"),
    "a method of tensors": (lambda: setattr(torch.Tensor, "hypot", abs), "methods of torch.Tensor"),
    "a layer": (lambda: setattr(torch.nn.Conv2d, "forward", abs), "layers of torch.nn"),
}


@pytest.fixture(scope="module")
def shared():
    found = SharedCode()
    found.add()
    return found


@pytest.mark.parametrize("what", CHANGES)
def test_replaced_code_is_named_and_put_back(what, shared):
    change, name = CHANGES[what]
    assert shared.restore() == []
    change()
    assert shared.restore() == [name]
    assert shared.restore() == []
    assert similarity.psnr(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)).item() == 0


@pytest.mark.parametrize("watched_with_it", [True, False])
def test_code_that_takes_the_place_of_a_harmless_name_of_a_class_is_found(watched_with_it):
    """A name that a class was given is no fault, and what comes in its place is none the less."""
    owner = image_quality.Yardstick
    watched = SharedCode(libraries=False)
    if watched_with_it:
        owner.harmless = []
    watched.add()
    if not watched_with_it:
        owner.harmless = []
    assert watched.restore() == []
    del owner.harmless
    owner.__eq__ = lambda a, b: True
    assert watched.restore() == [QUALITY]
    assert "__eq__" not in vars(owner)
    assert watched.restore() == []


def test_replaced_code_that_torch_replaces_itself_is_no_fault(shared, monkeypatch):
    monkeypatch.setattr(torch, "manual_seed", abs)
    assert shared.restore() == []
    assert torch.manual_seed is abs


def test_replaced_code_of_libraries_is_their_business_while_a_plugin_is_imported(monkeypatch):
    own = SharedCode(libraries=False)
    own.add()
    monkeypatch.setattr(torch, "hypot", abs)
    assert own.restore() == []


class Proxy:
    """Stands for what is not there yet, as flask's `request` outside of a request."""

    @property
    def __class__(self):
        raise RuntimeError("nobody is to ask it")

    def __getattr__(self, name):
        raise RuntimeError("nobody is to ask it")


def test_code_beside_a_stand_in_for_something_else_is_watched_all_the_same(monkeypatch):
    monkeypatch.setitem(vars(evaluate), "request", Proxy())  # `setattr` asks it, in the oldest pytest
    watched = SharedCode(libraries=False)
    watched.add()
    assert watched.restore() == []
    monkeypatch.setattr(evaluate, "changed", abs)
    assert watched.restore() == [EVALUATE]


def test_a_value_that_a_class_keeps_does_not_make_every_later_look_one_at_every_name(monkeypatch):
    """Each cell asks: some 25,000 names one by one would take longer than many a cell."""
    watched = SharedCode(libraries=False)
    watched.add()
    assert watched._together.is_intact()
    monkeypatch.setattr(image_quality.Yardstick, "cached", 1, raising=False)
    assert not watched._together.is_intact()
    assert watched.restore() == []
    assert watched._together.is_intact()
    image_quality.Yardstick.__eq__ = lambda a, b: True
    assert watched.restore() == [QUALITY]
