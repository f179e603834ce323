"""Several tasks in one benchmark: each with its own objective and its own faces."""

from __future__ import annotations

import json

import pytest
import torch

from magdr_core.bench.run import Bench
from magdr_core.components.objective import SUCCESS
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


CW = """
[attack.cw]
params = { eps = "6/255", steps = 2, searches = 1 }

[attack.nearer]
use = "cw"
params = { eps = "6/255", steps = 2, searches = 1, tau = 0.02 }

[profile.quick]
samples = 4
attacks = ["cw"]
"""


def with_cw(said='attacks = { cw = "nearer" }'):
    """The registry whose replacement says what it means by cw."""
    head = TASKS.partition("[profile.quick]")[0]
    return edited(head, ('dataset = "person-a"\n', f'dataset = "person-a"\n{said}\n')) + CW


def test_a_task_may_mean_another_attack_by_a_profiles_label(bench):
    result = bench(with_cw())
    parts = {g.task: next(s for s in g.slices if s.scenario == "attack") for g in result.groups}
    assert (parts["editing"].name, parts["editing"].label) == ("cw", "cw")
    assert (parts["replacement"].name, parts["replacement"].label) == ("cw", "nearer")
    assert {part.component for part in parts.values()} == {"cw"}
    rows = [c for c in result.run().cells if c.facts.role == "attack"]
    assert {(c.facts.task, c.facts.attack, c.failed) for c in rows} == {
        ("editing", "cw", False),
        ("replacement", "cw", False),
    }


def test_the_images_of_the_other_attack_are_the_ones_that_are_measured(bench, tmp_path):
    meant = next(c for c in bench(with_cw()).run().cells if c.facts.task == "replacement" and c.values)
    text = edited(with_cw(""), ('attacks = ["cw"]', 'attacks = ["nearer"]'))
    told = bench(text).run().cells
    named = next(c for c in told if c.facts.task == "replacement" and c.facts.attack == "nearer" and c.values)
    assert meant.key == named.key, "labels are in no key, so the store serves both"
    assert meant.values == named.values


@pytest.mark.parametrize("said", ['attacks = { cw = "neaerr" }', 'attacks = { cww = "nearer" }'])
def test_what_a_task_means_by_an_attack_must_be_there(bench, said):
    with pytest.raises(MagdrError, match=r"did you mean '(nearer|cw)'"):
        bench(with_cw(said))


def test_a_target_is_reached_with_less_than_half_the_error_and_a_disruption_beyond_a_distance(objective):
    replacing, clean = objective("replacement", "pgd")
    whole = replacing.reference - clean.images
    for share, reached in ((0.7, True), (0.72, False), (1.0, False)):  # squared: .49 and .52 of the error
        assert replacing.reached(clean.images + share * whole).tolist() == [reached] * 2
    assert replacing.success.tolist() == pytest.approx((-2 * whole.square().mean((1, 2, 3))).tolist())
    editing = objective("editing", "pgd")[0]
    assert not editing.reached(editing.reference + 0.05).any()
    assert editing.reached(editing.reference + 0.2).all()
    assert editing.success.tolist() == pytest.approx([SUCCESS] * 2)


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


def test_of_a_targeted_attack_the_distance_to_its_aim_is_measured_too(bench):
    result = bench(edited(TASKS, ("steps = 3 }\n\n[attack.away]", "steps = 20 }\n\n[attack.away]"))).run()
    cells = {(c.facts.task, c.facts.attack): c for c in result.cells if c.facts.role == "attack"}
    assert all(("mse_aim" in c.values) == (name == ("replacement", "pgd")) for name, c in cells.items())
    rows = {(r["task"], r["attack"]): r["value"] for r in result.rows if r["metric"] == "mse_aim"}
    found = cells["replacement", "pgd"].array("mse_aim")
    assert rows == {("replacement", "pgd"): pytest.approx(found.mean())}


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
