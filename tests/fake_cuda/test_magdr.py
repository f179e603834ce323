"""The whole of MagDR on the shipped registry, on the pretended device: detect, reconstruct, generate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from magdr_core.components.objective import build_objective
from magdr_core.magdr import Outcome
from magdr_core.testing.fake_cuda import WAIT, Event, fake_cuda
from magdr_core.toolkit import Toolkit
from tests.fake_cuda.places import SETTLED, doubles, unlisted, waits

REGISTRY = Path(__file__).parents[2] / "registry.toml"

WAITS = {
    SETTLED: "the checks of a whole call are looked at together, once",
    "magdr_core.inference.asked:_finite": "a user's edits are looked at first",
    "magdr_core.inference.tensors:_checked.<locals>.<genexpr>": "a user's images are looked at first",
    "magdr_core.magdr.loop:MagDR._run": "which images go on to another round decides what is computed at all",
    "magdr_core.magdr.shortlist:Shortlist.pick": "the names of the chains that were chosen",
    "magdr_core.magdr.second_opinions:SecondOpinions.edits": "units are kept by the name of an edit",
    "magdr_core.magdr.standardise:target_names": "figures are kept by the name of a target region",
}
DOUBLES = {
    "magdr_core.functional.constants": "tables that double arithmetic is done with",
    "magdr_core.functional.eightbit": "rounding of JPEG's double levels",
    "magdr_core.functional.jpeg": "a coefficient on the wrong side of a tie is a visible difference",
    "magdr_core.magdr.ranker": "trees whose leaves were fitted in double; a few numbers a candidate",
}


@dataclass
class Run:
    outcome: Outcome
    output: torch.Tensor
    slope: torch.Tensor
    events: list[Event]


def defended(device, cache, events=None) -> Run:
    """Two faces, one with noise on it; every image is sent through one round."""
    kit = Toolkit.from_registry(REGISTRY, device=device)
    magdr = kit.magdr("editing", photographs=False, cache=cache)
    magdr.magdr.gate, magdr.magdr.rounds = -torch.inf, 1
    G = magdr.generator
    batch = kit.build("dataset", "faces").split("test")[[0, 1]]
    c = G.draw(batch, kit.rng("conditions", batch.ids))
    objective = build_objective("untargeted", G, batch.images, c)
    noisy = kit.build("attack", "noise")(batch.images, objective, rng=kit.rng("noise", batch.ids))
    slope = objective.gradient(noisy)[1]
    x = torch.cat([batch.images[:1], noisy[1:]])
    if events is not None:
        events.clear()
    outcome = magdr.defend(x, c)
    seen = list(events or ())
    return Run(outcome, magdr.generator(outcome.restored, c), slope, seen)


@pytest.fixture(scope="module")
def there(tmp_path_factory) -> Run:
    return defended("cpu", tmp_path_factory.mktemp("cpu"))


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Run:
    with fake_cuda() as card:
        run = defended("cuda", tmp_path_factory.mktemp("cuda"), card.events)
        for name in ("output", "slope"):
            assert getattr(run, name).is_cuda
            setattr(run, name, getattr(run, name).cpu())
        run.restored, run.scores = run.outcome.restored.cpu(), run.outcome.score.cpu()
    return run


def test_magdr_gives_the_images_and_the_plans_of_the_cpu(here, there):
    assert torch.equal(here.restored, there.outcome.restored)
    assert here.outcome.plans == there.outcome.plans
    assert any(there.outcome.plans), "an image must have been restored"
    assert (here.scores - there.outcome.score).abs().max() < 1e-4
    assert (here.output - there.output).abs().max() < 1e-5


def test_the_gradient_of_an_attack_is_that_of_the_cpu(here, there):
    assert (here.slope - there.slope).abs().max() <= 1e-5 * there.slope.abs().max()


def test_magdr_waits_only_where_listed(here):
    assert unlisted(waits(here.events), WAITS) == ([], [])


def test_magdr_waits_a_few_times_for_a_batch_however_many_components_it_asks(here):
    assert sum(e.kind == WAIT for e in here.events) <= 14


def test_magdr_is_double_only_where_listed(here):
    assert unlisted(doubles(here.events), DOUBLES) == ([], [])
