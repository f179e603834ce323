"""An attack that learns from faces of the train split, and is ready wherever an attack is wanted."""

from __future__ import annotations

import unittest
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from magdr_core.bench.checks.attack_jobs import AttackJobs
from magdr_core.bench.group import GroupRun
from magdr_core.bench.images import Workplace
from magdr_core.bench.plan import plan
from magdr_core.bench.threat import Threats
from magdr_core.cli.attacks import ready_attack
from magdr_core.components.objective import DisruptionObjective
from magdr_core.components.rng import SampleRng
from magdr_core.errors import BrokenPluginError, ComponentError
from magdr_core.registry.read import parse_registry
from magdr_core.registry.settings import Checks
from magdr_core.results.store import Store
from magdr_core.runtime.samples import attack_samples, draw_samples
from magdr_core.testing import conformance_checks
from magdr_core.toolkit import Toolkit
from tests.edits import edited

TRAIN = 12

REGISTRY = """
[plugins]
local = { toys = "magdr_core.testing.toys", third = "./universal_toy.py", gated = "./gated_toy.py" }

[generator.toy]
use = "gated/sharpener"

[generator.other]
use = "gated/sharpener"
params = { strength = 1.0 }

[dataset.toy]
use = "toys/toy"

[attack.universal]
use = "third/universal"

[attack.pgd]
params = { steps = 2 }

[calibration]
train = 12
fit = 24
clean = 40
attacked = 6
attacks = ["universal"]

[detector.rough]
use = "toys/toy"

[profile.small]
samples = 6
generators = ["toy"]
attacks = ["universal", "pgd"]
defenses = ["identity"]
transfer = [{ attack = "universal", surrogate = "other" }]
"""


def toolkit_of(text: str = REGISTRY) -> Toolkit:
    return Toolkit(parse_registry(text, Path(__file__).parent / "third.toml"), device="cpu")


def calibrator(store: Store, text: str = REGISTRY):
    return toolkit_of(text).calibrator("toy", "toy", store)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("cache"))


class Watched:
    """A dataset that notes which faces are drawn of it."""

    def __init__(self, data):
        self.data, self.drawn = data, set()

    def __getattr__(self, name):
        return getattr(self.data, name)

    def split(self, name):
        whole, drawn = self.data.split(name), self.drawn

        class Split:
            def __len__(self):
                return len(whole)

            def __getitem__(self, indices):
                drawn.update((name, i) for i in indices)
                return whole[indices]

        return Split()


def test_it_learns_from_faces_of_the_train_split_alone(tmp_path):
    found = calibrator(Store(tmp_path))
    found.data = watched = Watched(found.data)
    found.attack("universal")
    assert watched.drawn == {("train", i) for i in range(TRAIN)}


def test_what_it_has_learned_disturbs_faces_that_it_never_saw(store):
    found = calibrator(store)
    clean, _ = draw_samples(found.data.split("test"), found.generator, first=0, count=8, seed=0)
    aim = DisruptionObjective(found.generator, clean.images, clean.conditions)
    attacked = attack_samples(clean, found.attack("universal"), found.generator, name="universal", seed=0)
    moved = attacked - clean.images
    alike = (moved[0].sign() == moved[1].sign()) | (moved[0] == 0) | (moved[1] == 0)
    assert alike.all()  # the same on every face, but for clamping
    noise = found.toolkit.sibling("attack", "noise", eps=6 / 255)
    shaken = noise(clean.images, aim, rng=SampleRng(0, "noise", clean.ids))
    assert (aim(attacked) > 1.1 * aim(shaken)).all()


def test_it_learns_once_and_loads_the_same_afterwards(store):
    first = calibrator(store)
    learned = first.learned("universal")
    again = calibrator(store)
    before = again.generator.passes
    assert again.learned("universal") == learned
    assert again.generator.passes == before
    deltas = [found.attack("universal").component.delta for found in (first, again)]
    assert torch.equal(*deltas)


def test_what_it_depends_on_is_in_its_key(store, tmp_path):
    learned = {
        "as it is": calibrator(store).learned("universal"),
        "fewer faces": calibrator(store, edited(REGISTRY, ("train = 12", "train = 8"))).learned("universal"),
        "a surrogate": calibrator(store).learned("universal", "other"),
        "another aim": calibrator(
            store,
            edited(REGISTRY, ("[attack.universal]", '[attack.universal]\nobjective = "towards-black"')),
        ).learned("universal"),
    }
    assert len(set(learned.values())) == 4
    assert None not in learned.values()
    # How thresholds are set is no business of an attacker's.
    other = calibrator(Store(tmp_path), edited(REGISTRY, ("clean = 40", "clean = 50")))
    assert other.learned("universal") == learned["as it is"]
    assert calibrator(store).learned("pgd") is None


def test_a_detector_is_calibrated_on_what_it_has_learned(store):
    found = calibrator(store)
    key = found.key("detector", "rough")
    assert found.detector("rough").thresholds["f1"] < torch.inf
    fewer = calibrator(store, edited(REGISTRY, ("train = 12", "train = 8")))
    assert fewer.key("detector", "rough") != key


@pytest.fixture(scope="module")
def run(store) -> GroupRun:
    toolkit = toolkit_of()
    profile = toolkit.registry.profile("small")
    work = Workplace(toolkit, profile, store, {}, lambda *told: None, lambda line: None)
    return GroupRun(work, plan(toolkit, profile)[0])


def test_a_benchmark_attacks_with_it(run):
    cells = [run.cell(cell) for cell in run.group.cells if cell.role == "attack"]
    assert [cell.error for cell in cells] == [None] * 3
    by_name = {cell.facts.attack: cell.values for cell in cells}
    assert min(by_name["universal"]["mse_o"]) > 0
    learned = [e["state"]["reached"] for e in run.calibrator.used.values() if e["kind"] == "attack"]
    assert len(set(learned)) == 2  # one on the task's generator, one on the surrogate


def test_only_keys_of_images_that_were_learned_for_say_so(run):
    keys = {part.name: run.images.key(part) for part in run.group.slices}
    assert keys["universal"]["learned"] == run.calibrator.learned("universal")
    assert keys["universal@other"]["learned"] == run.calibrator.learned("universal", "other")
    assert not any("learned" in key for name, key in keys.items() if not name.startswith("universal"))


def test_it_is_called_by_nobody_before_it_has_learned(run):
    clean = run.images.clean(False)
    raw = run.toolkit.build("attack", "universal")
    assert raw.learns
    with pytest.raises(ComponentError, match="load"):
        attack_samples(clean, raw, run.G, name="universal", seed=0)


def test_an_attack_that_cannot_be_built_spoils_no_calibration_that_is_there(store, monkeypatch):
    plain = edited(REGISTRY, ('attacks = ["universal"]\n', 'attacks = ["pgd"]\n'))
    thresholds = calibrator(store, plain).detector("rough").thresholds
    later = calibrator(store, plain)

    def fails(kind, label, **injected):
        if kind == "attack":
            raise BrokenPluginError("attack pgd: cannot be built today")
        return build(kind, label, **injected)

    build = later.toolkit.build
    monkeypatch.setattr(later.toolkit, "build", fails)
    assert later.detector("rough").thresholds == thresholds
    with pytest.raises(BrokenPluginError, match="today"):
        later.attack("pgd")


def test_the_command_attacks_with_what_was_learned(tmp_path):
    toolkit = toolkit_of()
    ready = ready_attack(toolkit, "toy", "universal", tmp_path / "cache")
    assert ready.component.delta is not None
    ready_attack(toolkit, "toy", "pgd", tmp_path / "other")
    assert not (tmp_path / "other").exists()  # nothing was calibrated for an attack that learns nothing


def test_checks_leave_out_what_would_have_to_learn_at_every_strength(run):
    jobs = AttackJobs(run, Checks(faces=4), Threats(run))
    attacks = [part for part in run.group.slices if part.scenario == "attack"]
    assert [part.name for part in attacks] == ["universal", "pgd"]
    assert [job.component for job in jobs.of(attacks)] == ["pgd"]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"delta": torch.zeros(1)}, "cannot be kept"),
        ({"delta": 3}, "cannot be loaded"),
        (3, "cannot be kept"),
    ],
)
def test_what_cannot_be_kept_or_loaded_is_its_fault(tmp_path, monkeypatch, state, message):
    found = calibrator(Store(tmp_path))
    universal = type(found.toolkit.build("attack", "universal").component)
    monkeypatch.setattr(universal, "fit", lambda self, data, G: state)
    with pytest.raises(ComponentError, match=f"attack third/universal of third.*{message}"):
        found.attack("universal")
    assert found.used == {}


def test_both_toys_hold_to_the_suite():
    here = Path(__file__).parent
    for plugin in ("universal_toy.py", "gated_toy.py"):
        judged = set()
        for check in conformance_checks(here / plugin):
            judged.add(check.rule)
            with suppress(unittest.SkipTest):
                assert check.findings() == [], check
        assert {"universal_toy.py": "state", "gated_toy.py": "choice"}[plugin] in judged
