"""A defense's gate, candidates and choice are asked with copies, and what is wrong with them is its fault."""

from __future__ import annotations

from types import MappingProxyType

import pytest
import torch

from magdr_core.api import Choice, Choosing, Chosen, FixedChain, Gated, MagDR
from magdr_core.components.batch import Condition
from magdr_core.errors import ComponentError
from magdr_core.guards import GuardedDefense, GuardedDetector
from magdr_core.guards.generator_handle import GeneratorHandle
from magdr_core.runtime.choosing import choices_of
from tests.adaptive.conftest import target


class Chooser:
    """Darkens or brightens what is brighter than its gate."""

    gate = 0.4

    def __init__(self):
        self.candidates = {"darker": lambda x: x * 0.5, "brighter": lambda x: 1 - 0.5 * (1 - x)}

    def evidence(self, x, c, G):
        return x.mean((1, 2, 3))

    def __call__(self, x, c, G):
        return self.run(x, c, G).restored

    def run(self, x, c, G):
        scores = torch.tensor([[0.0, 1.0]]).expand(len(x), 2)
        return Chosen(x * 0.5, [["darker"]] * len(x), choices=[Choice(scores, [["darker"]] * len(x))])


X = torch.full((2, 3, 4, 4), 0.6)
C = Condition(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool))


def ask(**changed):
    """What core sees of a chooser of which something is replaced."""
    component = Chooser()
    for name, value in changed.items():
        setattr(component, name, value)
    return GuardedDefense(component, "defense third of p.py").choosing


def first_candidate(seen):
    return seen.candidates["a"](X)


def run(told):
    return ask(run=lambda x, c, G: told).run(X, C, None)


def test_a_chooser_is_seen_with_its_gate_and_its_choice():
    seen = ask()
    assert (seen.gated, seen.chooses, seen.gate) == (True, True, 0.4)
    assert torch.allclose(seen.evidence(X, C, None), torch.full((2,), 0.6))
    outcome = seen.run(X, C, None)
    assert outcome.plans == [("darker",), ("darker",)]
    assert outcome.choices[0].active.tolist() == [True, True]
    assert torch.equal(seen.candidates["brighter"](X), 1 - 0.5 * (1 - X))


def test_each_part_may_be_missing():
    class OnlyGate:
        gate = 0.0
        evidence = staticmethod(lambda x, c, G: x.mean((1, 2, 3)))

        def __call__(self, x, c, G):
            return x

    class OnlyChoice:
        candidates = MappingProxyType({"": lambda x: x})
        run = Chooser.run

        def __call__(self, x, c, G):
            return x

    gate, choice = (GuardedDefense(made(), "defense x").choosing for made in (OnlyGate, OnlyChoice))
    assert (gate.gated, gate.chooses) == (True, False)
    assert (choice.gated, choice.chooses) == (False, True)
    assert choices_of(gate.guard) == {}
    assert list(choices_of(choice.guard)) == [""]


def test_magdr_is_gated_and_choosing_and_a_fixed_chain_is_neither():
    chain = FixedChain([])
    assert not isinstance(chain, Gated)
    assert not isinstance(chain, Choosing)
    bare = MagDR.__new__(MagDR)
    bare.gate, bare.evidence, bare.reconstructor = 0.0, None, None
    assert isinstance(bare, Gated)
    assert isinstance(bare, Choosing)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (X, "run returned a Tensor, expected `restored` and `plans`"),
        (Chosen(X[:1], [[], []]), "run restored shape"),
        (Chosen(X * 3, [[], []]), r"run restored values in \[1.8, 1.8\]"),
        (Chosen(X, [[]]), "plans: expected a list of names for each of 2 images"),
        (Chosen(X, ["darker", "darker"]), "plans: expected a list of names"),
        (Chosen(X, [[], []], score=torch.full((2,), torch.nan)), "NaN"),
        (Chosen(X, [[], []], choices=3), "choices: is a int"),
        (Chosen(X, [[], []], choices=[Choice(torch.zeros(2, 3), [[], []])]), r"scores of a choice: \(2, 3\)"),
        (Chosen(X, [[], []], choices=[Choice(torch.zeros(2, 2) / 0, [[], []])]), "infinite"),
        (Chosen(X, [[], []], choices=[Choice(torch.zeros(2, 2), [[], []], X)]), "active of a choice"),
    ],
)
def test_what_run_tells_wrongly_is_the_defenses_fault(told, message):
    with pytest.raises(ComponentError, match=f"^defense third of p.py: .*{message}"):
        run(told)


@pytest.mark.parametrize(
    ("changed", "asked", "message"),
    [
        ({"gate": "high"}, lambda s: s.gate, "gate: is a str, expected a number"),
        ({"gate": torch.zeros(2)}, lambda s: s.gate, "gate: is a Tensor"),
        ({"candidates": [len]}, lambda s: s.candidates, "candidates: expected image maps by their names"),
        ({"steps": {1: len}}, lambda s: s.maps, "steps: expected image maps by their names"),
        (
            {"candidates": {"a": lambda x: x[:1]}},
            lambda s: s.candidates["a"](X),
            "a candidate returned shape",
        ),
        (
            {"candidates": {"a": lambda x: x.mul_(0.5)}},
            lambda s: s.candidates["a"](X),
            "edits its input in place",
        ),
        ({"candidates": {"a": lambda x: 1 / 0}}, lambda s: s.candidates["a"](X), "ZeroDivisionError"),
        ({"evidence": lambda x, c, G: x}, lambda s: s.evidence(X, C, None), r"expected shape \(2,\)"),
        ({"run": lambda x, c, G: 1 / 0}, lambda s: s.run(X, C, None), "ZeroDivisionError"),
    ],
)
def test_a_wrong_part_is_the_defenses_fault(changed, asked, message):
    with pytest.raises(ComponentError, match=f"^defense third of p.py.*{message}"):
        asked(ask(**changed))


def test_a_choosers_run_gets_copies_and_a_handle():
    kept = {}

    def greedy(x, c, G):
        kept.update(x=x, G=G)
        return Chosen(x, [[]] * len(x))

    pipeline = target(defense=type("Greedy", (Chooser,), {"run": staticmethod(greedy)})())
    found = pipeline.chosen(pipeline.x, pipeline.rng)
    kept["x"].fill_(0)
    assert isinstance(kept["G"], GeneratorHandle)
    assert (pipeline.x > 0).all()
    assert (found.restored > 0).all()


def test_a_detector_is_given_the_output_that_is_there():
    asked = []

    class Detector:
        def __call__(self, x, c, G):
            return G(x, c).mean((1, 2, 3))

        def with_output(self, x, c, G, y):
            asked.append(len(y))
            return y.mean((1, 2, 3))

    pipeline = target(detector=Detector())
    before = pipeline.G.passes
    verdict = pipeline.judge(pipeline.oblivious)
    assert pipeline.G.passes - before == len(pipeline)  # one pass for output and score
    assert asked == [len(pipeline)]
    assert torch.equal(verdict.score, pipeline.detector(pipeline.oblivious, pipeline.c, pipeline.G))


def test_a_detector_without_the_short_cut_asks_itself():
    guarded = GuardedDetector(lambda x, c, G: x.mean((1, 2, 3)), "detector plain")
    assert torch.allclose(guarded.with_output(X, C, None, X * 0), torch.full((2,), 0.6))
