"""Eq. 3: what is ascended in both placements, gradients through every f_k, checkpoints of one run."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.attacks.eq3 import _Passed, _Seen

from magdr_core.components.batch import Condition
from magdr_core.components.objective import build_objective, symmetric_mse
from magdr_core.hosting.manager import PluginHost
from tests.edits import edited

TABLE = """
[attack.eq3]
params = {{ augmentations = {f}, placement = "{placement}", eps = "6/255", steps = {steps} }}
"""


@pytest.fixture
def case(toy):
    """`case(f, placement, steps)`: toolkit, clean images, conditions, ids."""

    def make(f=("flip", "gaussian"), placement="input", steps=4, batch=3):
        kit = toy(TABLE.format(f=list(f), placement=placement, steps=steps).replace("'", '"'))
        generator = torch.Generator().manual_seed(0)
        x = torch.randint(0, 256, (batch, 3, 16, 16), generator=generator).float() / 255
        values = torch.tensor([[1.0, 0.0]]).expand(batch, -1)
        return kit, x, Condition(values, values > 0), [f"face-{i}" for i in range(batch)]

    return make


def run(kit, x, c, ids, kind="untargeted", seed=0):
    objective = build_objective(kind, kit.generator("toy"), x, c)
    return kit.build("attack", "eq3")(x, objective, rng=kit.rng("eq3", ids, seed))


def seen_loss(kit, x, x_hat, c, f, placement):
    """Eq. 3, written out."""
    G = kit.generator("toy")
    r, total = G(x, c), 0.0
    for name in f:
        f_k = kit.build("augmentation", name)
        if placement == "input":
            total = total + symmetric_mse(f_k.undo(G(f_k(x_hat), c)), r)
        else:
            total = total + symmetric_mse(f_k(G(x_hat, c)), f_k(r))
    return total / len(f)


@pytest.mark.parametrize("placement", ["input", "output"])
def test_eq3_ascends_the_loss_that_its_placement_says(case, placement):
    f = ("flip", "gaussian", "brightness")
    kit, x, c, ids = case(f, placement, steps=8)
    x_hat = run(kit, x, c, ids)
    noise = (x + 6 / 255 * kit.rng("n", ids).sign(*x.shape[1:])).clamp(0, 1)
    before, after = (seen_loss(kit, x, images, c, f, placement) for images in (noise, x_hat))
    assert (after > 1.5 * before).all()
    assert (x_hat - x).abs().max() <= 6 / 255 + 2e-6


@pytest.mark.parametrize("placement", ["input", "output"])
@pytest.mark.parametrize("kind", ["untargeted", "towards-black"])
def test_eq3_objectives_equal_the_written_out_equation(case, placement, kind):
    kit, x, c, _ = case()
    G, other = kit.generator("toy"), x.flip(0)
    objective = build_objective(kind, G, x, c)
    for name in ("flip", "shift", "jpeg"):
        f = kit.build("augmentation", name)
        goal = G(x, c) if kind == "untargeted" else torch.zeros_like(x)
        sign = 1 if kind == "untargeted" else -1
        if placement == "input":
            expected, ours = symmetric_mse(f.undo(G(f(other), c)), goal), objective.preprocessed(f)
        else:
            expected, ours = symmetric_mse(f(G(other, c)), f(goal)), objective.postprocessed(f)
        assert torch.allclose(ours(other), sign * expected, atol=1e-6)
        some = torch.tensor([2, 0])
        assert torch.allclose(ours.select(some)(other[some]), sign * expected[some], atol=1e-6)


@pytest.mark.parametrize("placement", ["input", "output"])
def test_eq3_gets_a_gradient_through_every_built_in_augmentation(toy, case, placement):
    host = PluginHost()
    host.load("builtin")
    for name in sorted(e.spec.name for e in host.entries("augmentation")):
        kit, x, c, ids = case((name,), placement, steps=1)
        attack = kit.build("attack", "eq3").component
        objective = build_objective("untargeted", kit.generator("toy"), x, c)
        seen = _Seen(objective, attack.augmentations, placement, kit.rng("eq3", ids))
        moved = (x + 2 / 255 * kit.rng("n", ids).sign(*x.shape[1:])).clamp(0, 1)
        gradient = seen.gradient(moved)[1]
        assert gradient.isfinite().all(), name
        assert (gradient != 0).float().mean() > 0.2, name


def test_eq3_passes_straight_through_what_has_no_gradient(case):
    kit, x, _, ids = case()
    leaf = (x * 0.9).requires_grad_()
    y = _Passed(lambda t: (t.detach() * 7).round() / 7, kit.rng("eq3", ids))(leaf)
    assert torch.equal(y.detach(), (x * 0.9 * 7).round() / 7)
    (gradient,) = torch.autograd.grad(y.sum(), leaf)
    assert torch.equal(gradient, torch.ones_like(x))


def test_eq3_draws_random_processings_anew_in_every_step_and_per_image(case):
    kit, x, c, ids = case(("noise", "flip"), steps=3)
    whole = run(kit, x, c, ids)
    assert torch.equal(run(kit, x, c, ids), whole)
    assert torch.equal(run(kit, x[1:2], c[1:2], ids[1:2])[0], whole[1])
    attack = kit.build("attack", "eq3").component
    objective = build_objective("untargeted", kit.generator("toy"), x, c)
    seen = _Seen(objective, attack.augmentations[:1], "input", kit.rng("eq3", ids))
    moved = x.flip(0)
    assert not torch.equal(seen.evaluate(moved)[0], seen.evaluate(moved)[0])


@pytest.mark.parametrize("label", ["eq3", "pgd", "ifgsm", "iterative-classes", "joint-classes"])
def test_checkpoints_of_one_run_are_the_shorter_runs(toolkit_from, label):
    tables = """
[generator.toy]
use = "stargan"
params = { weights = "random", width = 4, blocks = 1, size = 16 }
[attack.eq3]
params = { augmentations = ["flip"] }
[attack.short]
"""
    steps = (1, 3, 6)
    kit = toolkit_from(edited(tables, ("[attack.short]", "")))
    G = kit.generator("toy")
    x = torch.randint(0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(0)).float() / 255
    values = torch.tensor([[0.0, 1, 0, 1, 0]]).expand(2, -1)
    objective = build_objective("untargeted", G, x, Condition(values, values > 0))
    ids = ["a", "b"]
    attack = kit.build("attack", label)
    found = attack.checkpoints(x, objective, steps, rng=kit.rng("run", ids))
    for n, image in zip(steps, found, strict=True):
        attack.component.steps = n
        assert torch.equal(attack(x, objective, rng=kit.rng("run", ids)), image), n
    if label != "iterative-classes":
        losses = [float(objective(image).mean()) for image in found]
        assert losses[-1] > losses[0]
