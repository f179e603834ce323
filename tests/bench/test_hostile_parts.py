"""Components at fault that a whole registry stands on: what does not need them is as it would be without."""

from __future__ import annotations

import csv
import itertools

import pytest
import torch

from magdr_core.bench.run import Bench
from magdr_core.components.specs import (
    AttackSpec,
    AugmentationSpec,
    DatasetSpec,
    DefenseSpec,
    DetectorSpec,
    GeneratorSpec,
    ParserSpec,
)
from magdr_core.errors import DataError, RegistryError, WeightsError
from magdr_core.guards.generator_handle import GeneratorHandle
from magdr_core.registry.read import parse_registry
from magdr_core.testing import toys
from magdr_core.toolkit import Toolkit
from tests.bench import reachable
from tests.edits import edited

REGISTRY = """
[registry]
name = "tiny"
device = "cpu"
[plugins]
local = { toys = "magdr_core.testing.toys" }
[dataset.faces]
use = "toys/toy"
[generator.editing]
use = "toys/toy"
[parser.faces]
use = "toys/toy"
[attack.pgd]
params = { eps = "6/255", steps = 2 }
[restoration.jpeg]
[detector.toy]
use = "toys/toy"
[calibration]
fit = 12
clean = 20
attacked = 4
[profile.quick]
samples = 3
attacks = ["pgd"]
detectors = ["toy"]
defenses = ["jpeg"]
benign = ["flip"]
pictures = 0
"""


def raises(*given, **named):
    raise SystemExit(0)


class Fails(toys.ToyDataset):
    """A dataset of which one thing fails."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def split(self, name):
        return raises() if self.what == "split" else FailingSplit(name, self.device, self.what)

    def fingerprint(self):
        return raises() if self.what == "fingerprint" else "failing faces"


class FailingSplit(toys.ToySplit):
    def __init__(self, name, device, what):
        super().__init__(name, device)
        self.what = what

    def __len__(self):
        return raises() if self.what == "len" else 1000

    def __getitem__(self, indices):
        return None if self.what == "batch" else super().__getitem__(indices)


def attack(*, eps: toys.Eps = 6 / 255):
    return raises()


def spec(kind, build, **fields):
    def made():
        return build()

    made.fingerprint = "1"
    return kind(name="bad", build=made if kind is not AttackSpec else attack, **fields)


numbers = itertools.count()


def run(folder, *specs, changes=(), more="", cache=None):
    """(result, rows of csv, messages) of the registry with `hostile/bad` of these specs."""
    attack.fingerprint = "1"
    text = edited(REGISTRY, *changes) + more
    kit = Toolkit(parse_registry(text, folder / "tiny.toml"), plugins={"hostile": specs} if specs else {})
    said, out = [], folder / f"run-{next(numbers)}"
    result = Bench(
        kit, "quick", out=out, cache=cache or folder / f"{out.name}-cache", report=said.append
    ).run()
    with (out / "results.csv").open(newline="") as file:
        rows = [tuple(v for k, v in row.items() if k != "seconds") for row in csv.DictReader(file)]
    return result, rows, said


@pytest.fixture(autouse=True)
def spared():
    with reachable.sparing_what_there_is():
        yield


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    result, rows, _ = run(tmp_path_factory.mktemp("control"))
    assert not result.failures
    return rows


def failed(result):
    return {(c.facts.task, c.facts.role, c.facts.component) for c in result.failures}


def of_editing(rows):
    return [row for row in rows if row[1] == "editing"]


def test_a_generator_that_cannot_be_built_fails_the_cells_of_its_task_alone(tmp_path, control):
    more = '[generator.other]\nuse = "hostile/bad"\n'
    result, rows, _ = run(tmp_path, spec(GeneratorSpec, raises), more=more)
    assert {task for task, _, _ in failed(result)} == {"other"}
    assert all("generator hostile/bad of hostile" in c.error for c in result.failures)
    assert "[generator.other]" in result.failures[0].error
    assert of_editing(rows) == control


@pytest.mark.parametrize("what", ["split", "len", "batch", "fingerprint"])
def test_a_dataset_at_fault_fails_the_cells_of_its_task_alone(what, tmp_path, control):
    more = '[dataset.bad]\nuse = "hostile/bad"\n[generator.other]\nuse = "toys/toy"\ndataset = "bad"\n'
    result, rows, _ = run(tmp_path, spec(DatasetSpec, lambda: Fails(what)), more=more)
    assert {task for task, _, _ in failed(result)} == {"other"}
    assert all("dataset hostile/bad of hostile" in c.error for c in result.failures)
    assert of_editing(rows) == control


USES = {
    "sweep": ("", '[profile.quick.sweep]\nattacks = ["bad"]\nsteps = [1]\n', AttackSpec, "bad"),
    "adaptive": ("", '[profile.quick.adaptive]\nattacks = ["bad"]\ndetectors = ["toy"]\n', AttackSpec, "bad"),
    "ensemble": ('ensemble = ["bad"]', "", AugmentationSpec, ""),
    "benign": ('benign = ["flip", "bad"]', "", AugmentationSpec, "benign:bad"),
}


@pytest.mark.parametrize("use", USES)
def test_a_part_of_a_profile_that_cannot_be_built_fails_what_needs_it(use, tmp_path, control):
    line, more, kind, name = USES[use]
    table = "attack" if kind is AttackSpec else "augmentation"
    old = 'benign = ["flip"]'
    changes = [(old, line if use == "benign" else f"{old}\n{line}")]
    more = f'{more}[{table}.bad]\nuse = "hostile/bad"\n'
    result, rows, _ = run(tmp_path, spec(kind, raises), changes=changes, more=more)
    assert result.failures
    assert all(f"{table} hostile/bad of hostile" in c.error for c in result.failures)
    if name:
        assert {c.facts.attack for c in result.failures} == {name}
        assert [row for row in rows if name not in row] == control
    else:
        assert {c.facts.role for c in result.failures} == {"defense"}
        assert [row for row in rows if "defense" not in row] == [r for r in control if "defense" not in r]


def test_a_registry_that_names_what_is_not_there_is_still_refused(tmp_path):
    with pytest.raises(RegistryError, match=r"\[generator.other\]: nowhere"):
        run(tmp_path, spec(GeneratorSpec, absent), more='[generator.other]\nuse = "hostile/bad"\n')


def absent():
    raise WeightsError("nowhere.safetensors: there is no such file")


def test_a_parser_that_cannot_be_built_is_passed_over_by_the_measures(tmp_path, control):
    changes = [('[parser.faces]\nuse = "toys/toy"', '[parser.bad]\nuse = "hostile/bad"\n' + PARSER)]
    result, rows, _ = run(tmp_path, spec(ParserSpec, raises), changes=changes)
    assert not result.failures
    assert rows == control


PARSER = '[parser.faces]\nuse = "toys/toy"'


def answers(result):
    return type("Bad", (), {"__call__": lambda self, x, c, G: result(x, c, G)})


def beside(tmp_path, result, kind=DefenseSpec):
    table = "defense" if kind is DefenseSpec else "detector"
    own = {"defense": 'defenses = ["jpeg"', "detector": 'detectors = ["toy"'}[table]
    more = f'[{table}.bad]\nuse = "hostile/bad"\n'
    changes = [(own + "]", own + ', "bad"]')]
    result, rows, _ = run(tmp_path, spec(kind, answers(result)), changes=changes, more=more)
    rows = [row for row in rows if "bad" not in row and not any(v.startswith("to ") for v in row)]
    return result, rows


def halves_all_tensors(x, c, G):
    for one in reachable.tensors():
        if type(one) is torch.Tensor and one.dtype == torch.float32 and one.numel() > 4:
            one.data.mul_(0.5)
    return x.clone()


def nests(x, c, G):
    return torch.nested.nested_tensor([x], layout=torch.jagged)


def replaces_cat(x, c, G):
    torch.cat = lambda tensors, *more, **named: tensors[0]
    return x.clone()


def replaces_the_handles_call(x, c, G):
    type.__setattr__(type(G), "__call__", lambda self, x, c: x)
    return x.clone()


def refuses(x, c, G):
    raise DataError("too small")


ANSWERS = {
    "a sparse tensor": (lambda x, c, G: x.to_sparse(), "returned a sparse, nested or quantized tensor"),
    "a nested tensor": (nests, "returned a sparse, nested or quantized tensor"),
    "halves of all tensors": (halves_all_tensors, "edits its input in place"),
    "another torch.cat": (replaces_cat, "changes functions of torch, numpy or Python"),
    "another call of the handle": (replaces_the_handles_call, "changes functions of torch, numpy or Python"),
    "an error of core's kind": (refuses, "too small [defense hostile/bad of hostile"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_defense_that_answers_with_what_it_must_not_loses_its_own_cells_alone(name, tmp_path, control):
    answer, message = ANSWERS[name]
    cat, call = torch.cat, GeneratorHandle.__call__
    result, rows = beside(tmp_path, answer)
    assert failed(result) == {("editing", "defense", "bad")}
    assert all(message in c.error for c in result.failures)
    assert rows == [row for row in control if not any(v.startswith("to ") for v in row)]
    assert torch.cat is cat
    assert GeneratorHandle.__call__ is call


class Sly(torch.Tensor):
    """Runs among core's own work, if it gets there."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function in (torch.Tensor.mean, torch.cat):
            raise SystemExit(0)
        return super().__torch_function__(function, types, args, kwargs or {})


def test_a_subclass_of_tensor_does_nothing_among_cores_own_work(tmp_path):
    result, _ = beside(tmp_path, lambda x, c, G: x.clone().as_subclass(Sly))
    assert not result.failures


def test_scores_without_values_are_refused(tmp_path, control):
    result, _ = beside(tmp_path, lambda x, c, G: x.mean((1, 2, 3)).to("meta"), DetectorSpec)
    assert failed(result) == {("editing", "detector", "bad")}
    assert "on meta, expected real numbers" in result.failures[0].error


class FitsOnHalves(answers(lambda x, c, G: x.mean((1, 2, 3)))):
    def fit(self, data, G):
        halve_weights()
        return {}

    def load(self, state):
        pass


def halve_weights():
    for one in reachable.tensors():
        if type(one) is torch.nn.Parameter:
            one.data.mul_(0.5)


def test_a_fit_that_reaches_the_generators_weights_is_not_kept(tmp_path, control):
    cache = tmp_path / "cache"
    changes = [('detectors = ["toy"]', 'detectors = ["bad", "toy"]')]
    more = '[detector.bad]\nuse = "hostile/bad"\n'
    result, _, _ = run(tmp_path, spec(DetectorSpec, FitsOnHalves), changes=changes, more=more, cache=cache)
    assert failed(result) == {("editing", "detector", "bad")}
    assert "changes what it shares with others (the generator)" in result.failures[0].error
    _, rows, _ = run(tmp_path, cache=cache)
    assert rows == control


class Digs:
    eps = 6 / 255

    def __call__(self, x, objective):
        halves_all_tensors(x, None, None)
        return x

    def checkpoints(self, x, objective, steps):
        return [x.clone() for _ in steps]


def test_what_is_changed_between_cells_is_nobody_elses_fault(tmp_path, control, monkeypatch):
    """The call that counts what an attack asks of the generator belongs to no cell."""
    monkeypatch.setitem(globals(), "raises", Digs)
    more = '[profile.quick.sweep]\nattacks = ["bad"]\nsteps = [1]\n[attack.bad]\nuse = "hostile/bad"\n'
    result, rows, _ = run(tmp_path, spec(AttackSpec, Digs), more=more)
    assert not result.failures
    assert [row for row in rows if "bad" not in row] == control
