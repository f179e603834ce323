"""Joint and iterative class-transferable attacks: every condition of the face, in the public code's order."""

from __future__ import annotations

import pytest
import torch

from magdr_core.components.batch import Condition
from magdr_core.components.objective import build_objective, symmetric_mse
from magdr_core.errors import ComponentError

TABLES = """
[generator.editing]
use = "stargan"
params = { weights = "random", width = 8, blocks = 1, size = 16 }
[generator.swap]
use = "cyclegan"
params = { weights = "random", width = 4, blocks = 1, size = 16 }
[attack.joint-classes]
params = { eps = "8/255", steps = 10 }
[attack.iterative-classes]
params = { eps = "8/255", steps = 10 }
[attack.quirk]
use = "joint-classes"
params = { eps = "8/255", steps = 10, first_reference = true }
[attack.pgd]
params = { eps = "8/255", steps = 10 }
"""
# Black, blond, brown hair, smiling, glasses: a blond face with glasses is made to smile.
VALUES, CHANGED = [0.0, 1.0, 0.0, 1.0, 1.0], [False, False, False, True, False]


@pytest.fixture
def case(toolkit_from):
    kit = toolkit_from(TABLES)
    x = torch.randint(0, 256, (3, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float() / 255
    c = Condition(torch.tensor([VALUES]).repeat(3, 1), torch.tensor([CHANGED]).repeat(3, 1))
    return kit, kit.generator("editing"), x, c


def test_classes_are_every_single_edit_of_the_same_face(case):
    _, G, _, c = case
    found = [(k.values[0].tolist(), k.changed[0].tolist()) for k in G.classes(c)]
    assert found == [
        ([1, 0, 0, 0, 1], [True, True, False, False, False]),
        ([0, 1, 0, 0, 1], [False] * 5),
        ([0, 0, 1, 0, 1], [False, True, True, False, False]),
        ([0, 1, 0, 1, 1], [False, False, False, True, False]),
        ([0, 1, 0, 0, 0], [False, False, False, False, True]),
    ]


def test_classes_do_not_depend_on_the_edit_at_hand(case):
    _, G, _, c = case
    other = G.classes(c)[2]
    again = [k.values for k in G.classes(other)]
    assert all(torch.equal(a, b.values) for a, b in zip(again, G.classes(c), strict=True))


def test_every_class_gets_away_from_its_own_clean_output_unless_asked(case):
    _, G, x, c = case
    objective = build_objective("untargeted", G, x, c)
    other = x.flip(0)
    own, first = objective.classes(), objective.classes(first_reference=True)
    for k, one, quirk in zip(G.classes(c), own, first, strict=True):
        assert torch.allclose(one(other), symmetric_mse(G(other, k), G(x, k)))
        assert torch.allclose(quirk(other), symmetric_mse(G(other, k), G(x, G.classes(c)[0])))


def disruptions(kit, G, x, c, label):
    """`[classes,B]` output MSE of every class."""
    objective = build_objective("untargeted", G, x, c)
    x_hat = kit.build("attack", label)(x, objective, rng=kit.rng("attack", ["a", "b", "c"]))
    assert (x_hat - x).abs().max() <= 8 / 255 + 2e-6
    return torch.stack([symmetric_mse(G(x_hat, k), G(x, k)) for k in G.classes(c)])


def test_joint_disrupts_the_mean_of_all_classes_most(case):
    means = {a: disruptions(*case, a).mean() for a in ("joint-classes", "iterative-classes", "pgd", "quirk")}
    assert means["joint-classes"] > means["pgd"]
    assert means["joint-classes"] > means["quirk"]
    assert means["iterative-classes"] > 0.5 * means["joint-classes"]


def test_iterative_takes_one_class_per_step_in_turn(case):
    kit, _, x, _ = case
    seen = []

    class Told:
        def __init__(self, i):
            self.i = i

        def gradient(self, images):
            seen.append(self.i)
            return torch.zeros(len(images)), torch.ones_like(images)

    class Objective:
        def classes(self, *, first_reference):
            return [Told(i) for i in range(3)]

    attack = kit.build("attack", "iterative-classes").component
    attack.steps = 7
    attack(x, Objective(), rng=kit.rng("attack", ["a", "b", "c"]))
    assert seen == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize("label", ["joint-classes", "iterative-classes"])
def test_result_is_per_image(case, label):
    kit, G, x, c = case
    attack = kit.build("attack", label)

    def run(rows, ids):
        objective = build_objective("untargeted", G, x[rows], c[rows])
        return attack(x[rows], objective, rng=kit.rng("attack", ids))

    assert torch.equal(run([1], ["b"])[0], run([0, 1, 2], ["a", "b", "c"])[1])


def test_a_generator_without_conditions_has_one_class(case):
    kit, _, x, _ = case
    G = kit.generator("swap")
    none = Condition(torch.zeros(3, 0), torch.zeros(3, 0, dtype=torch.bool))
    assert len(build_objective("towards-input", G, x, none).classes()) == 1


def test_a_generator_that_lists_no_classes_is_refused(toy):
    kit = toy("[attack.joint-classes]\n")
    x = torch.full((1, 3, 16, 16), 0.5)
    c = Condition(torch.tensor([[1.0, 0.0]]), torch.tensor([[True, False]]))
    objective = build_objective("untargeted", kit.generator("toy"), x, c)
    with pytest.raises(ComponentError, match=r"toy/net.*does not list its conditions"):
        kit.build("attack", "joint-classes")(x, objective, rng=kit.rng("attack", ["a"]))
