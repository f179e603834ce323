"""A component that replaces functions, constants or parts of networks of others loses its own cells alone."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

from magdr_core.bench import evaluate
from magdr_core.measures import image_quality
from magdr_core.testing import toys
from tests.bench.test_hostile_components import Scores, control, of_others, run  # noqa: F401


def generators():
    """The toy generators that a component finds with the garbage collector."""
    return [one for one in gc.get_objects() if type(one) is toys.ToyGenerator]


def doubled(function):
    return lambda *given, **named: function(*given, **named) * 2


def replaces_the_code():
    image_quality.psnr.__code__ = (lambda a, b, *more: a.flatten(1).mean(1)).__code__


def hooks_networks():
    for one in generators():
        one.register_forward_hook(lambda module, given, y: y * 0)


def replaces_forward():
    for one in generators():
        one.forward = lambda x, c: x * 0


REPLACES = {
    "a function of a measure": lambda: setattr(image_quality, "psnr", doubled(image_quality.psnr)),
    "a function where it is called": lambda: setattr(evaluate, "to_8bit", lambda x: x * 0),
    "a method": lambda: setattr(image_quality.Yardstick, "compare", lambda self, other, suffix: {}),
    "the code of a function": replaces_the_code,
    "a constant": lambda: setattr(evaluate, "CHANGED", 0.0),
    "a function of torch that few call": lambda: setattr(torch, "log10", doubled(torch.log10)),
    "an inherited method of tensors": lambda: setattr(torch.Tensor, "log10", lambda self: self * 0),
    "how layers compute": lambda: setattr(nn.Conv2d, "forward", lambda self, x: x * 0),
    "hooks of a network": hooks_networks,
    "how a network computes": replaces_forward,
}


@pytest.mark.parametrize("name", REPLACES)
def test_hostile_defense_that_replaces_what_others_use_loses_its_own_cells_alone(name, tmp_path, control):  # noqa: F811
    def replaces(self, x, c, G):
        REPLACES[name]()
        return x.clone()

    result, rows, _ = run(tmp_path, "run", defense=type("Bad", (), {"__call__": replaces}))
    assert all("changes what it shares with others" in c.error for c in result.failures)
    assert {(c.facts.role, c.facts.component) for c in result.failures} == {("defense", "bad")}
    assert of_others(rows) == of_others(control)


def test_what_a_library_replaces_when_a_component_is_built_is_put_back_and_no_fault(
    tmp_path,
    control,  # noqa: F811
    monkeypatch,
):
    """Some replace `torch.load` when they are imported, and heavy ones are imported where they are needed."""
    original, left = torch.hypot, []
    monkeypatch.setattr(torch, "hypot", original)  # put back whatever happens

    class Late(Scores):
        def __init__(self):
            torch.hypot = doubled(original)

        def __call__(self, x, c, G):
            left.append(torch.hypot is not original)
            return super().__call__(x, c, G)

    result, rows, _ = run(tmp_path, "run", detector=Late)
    assert not result.failures
    assert left
    assert not any(left), "nobody's numbers depend on who was built before"
    assert of_others(rows) == of_others(control)
