"""Several tasks in one benchmark: each with its own objective and its own faces."""

from __future__ import annotations

import json

import pytest
import torch

from magdr_core.bench.run import Bench
from magdr_core.components.objective import TARGET_TAU, symmetric_mse
from magdr_core.errors import MagdrError
from magdr_core.runtime.samples import draw_samples, objective_of
from magdr_core.toolkit import Toolkit
from tests.edits import edited

TASKS = """
[dataset.faces]
use = "procedural-faces"
params = { size = 32 }

[dataset.person-a]
use = "procedural-faces"
params = { size = 32, identity = "A" }

[generator.editing]
use = "stargan"
params = { weights = "random", width = 8, blocks = 1, size = 32 }

[generator.replacement]
use = "cyclegan"
params = { weights = "random", width = 8, blocks = 1, size = 32 }
dataset = "person-a"

[attack.pgd]
params = { eps = "6/255", steps = 3 }

[attack.away]
use = "pgd"
params = { eps = "6/255", steps = 3 }
objective = "untargeted"

[profile.quick]
samples = 4
attacks = ["pgd", "away"]
"""


@pytest.fixture
def bench(tmp_path):
    def make(text=TASKS, **options):
        path = tmp_path / "tasks.toml"
        path.write_text(text, encoding="utf-8")
        return Bench(
            Toolkit.from_registry(path), "quick", out=tmp_path / "run", cache=tmp_path / "cache", **options
        )

    return make


@pytest.fixture
def objective(toolkit_from):
    """`objective(task, attack)` on two faces of the task."""
    toolkit = toolkit_from(TASKS)

    def make(task, attack):
        G = toolkit.generator(task)
        split = toolkit.build("dataset", toolkit.registry.dataset_of(task)).split("test")
        clean = draw_samples(split, G, first=0, count=2, seed=0)[0]
        return objective_of(toolkit.build("attack", attack), G, clean), clean

    return make


def test_the_generator_says_what_an_attack_aims_at_unless_its_table_does(objective):
    assert objective("editing", "pgd")[0].target is None
    replacing, clean = objective("replacement", "pgd")
    assert torch.equal(replacing.target, clean.images)
    assert objective("replacement", "away")[0].target is None


def test_a_target_is_reached_within_tau_and_a_disruption_beyond_it(objective):
    replacing, clean = objective("replacement", "pgd")
    near, far = clean.images + 0.05, clean.images + 0.1  # squared and doubled: .01 and .04
    assert symmetric_mse(near, clean.images).max() < TARGET_TAU
    assert replacing.reached(near).all()
    assert not replacing.reached(far).any(), "untouched, a replaced face is not much farther than that"
    editing = objective("editing", "pgd")[0]
    assert not editing.reached(editing.reference + 0.05).any()
    assert editing.reached(editing.reference + 0.2).all()


def test_every_task_is_run_on_its_own_faces(bench):
    ran = bench()
    assert {g.task: g.dataset for g in ran.groups} == {"editing": "faces", "replacement": "person-a"}
    cells = [c for c in ran.run().cells if c.facts.role == "attack"]
    assert {(c.facts.task, c.facts.attack) for c in cells} == {
        (task, attack) for task in ("editing", "replacement") for attack in ("pgd", "away")
    }
    # Aiming elsewhere gives other pictures of the same faces.
    values = {c.facts.attack: c.values for c in cells if c.facts.task == "replacement"}
    assert values["pgd"]["mse_o"] != values["away"]["mse_o"]


def test_a_profile_s_dataset_takes_the_place_of_the_tasks_own(bench):
    text = edited(TASKS, ("samples = 4", 'samples = 4\ndataset = "faces"'))
    assert {g.dataset for g in bench(text).groups} == {"faces"}


def test_too_few_images_are_said_before_anything_is_written(bench, tmp_path):
    text = edited(
        TASKS,
        (
            '[dataset.faces]\nuse = "procedural-faces"\nparams = { size = 32 }',
            '[dataset.faces]\nuse = "folder"\nparams = { path = "pictures", size = 32 }',
        ),
    )
    (tmp_path / "pictures").mkdir()
    from PIL import Image

    for i in range(3):
        Image.new("RGB", (40, 40), (i * 20, 90, 60)).save(tmp_path / "pictures" / f"{i}.png")
    with pytest.raises(MagdrError) as e:
        bench(text)
    assert "[dataset.faces]: its test split has" in str(e.value)
    assert "(--limit takes fewer)" in str(e.value)
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_that_does_not_fit_is_said_before_anything_is_written(bench, tmp_path):
    torch.save({"nothing": torch.zeros(1)}, tmp_path / "w.pth")
    text = edited(
        TASKS,
        ('use = "cyclegan"\nparams = { weights = "random"', 'use = "cyclegan"\nparams = { weights = "w.pth"'),
    )
    with pytest.raises(MagdrError, match=r"tasks.toml \[generator.replacement\]: w.pth does not fit"):
        bench(text)
    assert not (tmp_path / "run").exists()
    assert json.dumps(sorted(p.name for p in tmp_path.iterdir())) == '["tasks.toml", "w.pth"]'
