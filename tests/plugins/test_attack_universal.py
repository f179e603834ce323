"""One perturbation for all faces and several generators: the published training, and how core keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from magdr_plugins.attacks.universal import Universal

from magdr_core.bench.group import GroupRun
from magdr_core.bench.images import Workplace
from magdr_core.bench.plan import plan
from magdr_core.components.objective import build_objective
from magdr_core.components.rng import SampleRng
from magdr_core.errors import ComponentError, RegistryError
from magdr_core.guards import GuardedGenerator
from magdr_core.registry.read import parse_registry
from magdr_core.results.store import Store
from magdr_core.runtime.samples import attack_samples, draw_samples
from magdr_core.testing.fit_data import make_fit_data
from magdr_core.testing.toys import ToyDataset, ToyGenerator
from magdr_core.toolkit import Toolkit
from tests.edits import edited
from tests.plugins.disruptor_case import noise, picky, toy

EPS = 8 / 255

REGISTRY = """
[plugins]
local = { toys = "magdr_core.testing.toys" }

[generator.toy]
use = "toys/toy"

[generator.grainy]
use = "toys/grainy"

[generator.swap]
use = "cyclegan"
params = { weights = "random", width = 8, blocks = 1, size = 16 }

[dataset.toy]
use = "toys/toy"

[attack.universal]
params = { steps = 2, batch = 6 }

[attack.of-both]
use = "universal"
params = { generators = ["swap", "toy"], method = "balanced", steps = 2, batch = 6 }

[attack.pgd]
params = { steps = 2 }

[calibration]
train = 12
fit = 24
clean = 40
attacked = 6

[profile.matrix]
samples = 4
generators = ["toy", "swap"]
attacks = ["universal", "of-both", "pgd"]
defenses = ["identity"]
transfer = [
    { attack = "universal", surrogate = "swap", condition = "surrogate", generators = ["toy"] },
    { attack = "universal", surrogate = "toy", condition = "surrogate", generators = ["swap"] },
    { attack = "pgd", surrogate = "swap", condition = "surrogate", generators = ["toy"] },
]
"""


class Direct:
    """What fit data need of an attack: here none is made."""

    eps, objective = 6 / 255, None

    def __call__(self, x, objective, *, rng=None):
        return x


def fit_data(generator=None):
    return make_fit_data(ToyDataset(), generator or toy(), Direct())


def learned(generator=None, others=None, **options):
    attack = Universal(generators=others, **{"eps": EPS, "steps": 4, "batch": 8, **options})
    attack.load(attack.fit(fit_data(generator), generator or toy()))
    return attack


def unseen(generator, count=8):
    samples = draw_samples(ToyDataset().split("test"), generator, first=0, count=count, seed=0)[0]
    return samples.images, build_objective("untargeted", generator, samples.images, samples.conditions)


def test_the_published_training_is_that_of_the_paper():
    """Restated: batches, generators, conditions, sign steps, and half of each average."""
    pair, k, step = [toy(), picky()], 2, 1.6 / 255
    data = [fit_data().on(G) for G in pair]
    u = None
    for number in range(3):
        rows = slice(8 * number, 8 * number + 8)
        for m, (G, own) in enumerate(zip(pair, data, strict=True)):
            x = own.clean[rows].images
            start = SampleRng(number, f"universal/{m}", own.clean[rows].ids).uniform(
                3, 16, 16, low=-EPS, high=EPS
            )
            for c in ToyGenerator().classes(own.clean[rows].conditions):
                reference = G(x, c)
                seen = (x + (start if u is None else u)).clamp(0, 1)
                for _ in range(k):
                    z = seen.clone().requires_grad_(True)
                    (G(z, c) - reference).square().sum().backward()
                    average = (seen + step * z.grad.sign() - x).clamp(-EPS, EPS).mean(0)
                    u = average if u is None else (u + average) / 2
                    seen = (x + u).clamp(0, 1)
    found = learned(others=pair, steps=k, step=step).delta
    assert float((found - u).abs().max()) <= 0.51 / 255
    assert float(u.abs().max()) > 2 / 255


@pytest.mark.parametrize("method", ["cmua", "balanced"])
def test_it_disrupts_faces_that_it_never_saw_more_than_noise(method):
    for G in (toy(), picky()):
        x, objective = unseen(G)
        attack = learned(others=[toy(), picky()], method=method, steps=10, rescale=True)
        assert (objective(attack(x, objective)) > objective(noise(x, EPS))).all()


class Along(ToyGenerator):
    """Amplifies what changes along one axis of a picture."""

    def __init__(self, axis):
        super().__init__()
        self.axis = axis

    def forward(self, x, c):
        return torch.sigmoid(2 * (x - 0.5) + 4 * (x - x.roll(1, self.axis)) + 0 * c.values.sum())


def along(axis):
    return GuardedGenerator(Along(axis).eval(), f"generator along {axis}")


def test_what_is_learned_on_a_generator_does_most_to_that_one():
    across, down = along(3), along(2)
    own, other, both = (
        learned(others=some, method="balanced", steps=10) for some in ([across], [down], [across, down])
    )
    for G, best, worst in ((across, own, other), (down, other, own)):
        x, objective = unseen(G)
        losses = [objective(attack(x, objective)).mean() for attack in (best, both, worst)]
        assert losses[0] > losses[2]
        assert losses[1] > losses[2]


@pytest.mark.parametrize("method", ["cmua", "balanced"])
@pytest.mark.parametrize("eps", [0.0, 0.3 / 255, 6 / 255, 0.025])
def test_it_is_the_same_on_every_face_and_in_whole_levels_of_its_ball(method, eps):
    attack = learned(method=method, eps=eps, steps=1)
    levels = attack.delta * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert float(attack.delta.abs().max()) <= eps + 2e-6
    x = torch.full((2, 3, 16, 16), 128 / 255)
    assert torch.equal(attack(x, None)[0], attack(x, None)[1])


def test_averages_do_not_fill_the_ball_unless_they_are_stretched():
    plain, wide = (
        learned(rescale=r, eps=12 / 255, steps=1, batch=24).delta.abs().max() * 255 for r in (False, True)
    )
    assert plain < 11.5
    assert round(float(wide)) == 12


def test_factors_weigh_generators():
    only = learned(others=[toy()], method="balanced").delta
    muted = learned(others=[toy(), picky()], method="balanced", factors=(1.0, 0.0)).delta
    assert torch.equal(only, muted)
    with pytest.raises(ComponentError, match="3 factors for 2 generators"):
        Universal(generators=[toy(), picky()], factors=(1.0, 1.0, 1.0))


def test_it_has_to_learn_first_and_on_pictures_of_the_same_size():
    with pytest.raises(ComponentError, match="before it had learned anything"):
        Universal()(torch.zeros(1, 3, 16, 16), None)
    with pytest.raises(ComponentError, match="of 16x16 pixels was called on images of 24x16"):
        learned(steps=1)(torch.zeros(1, 3, 16, 24), None)


# -- in core --------------------------------------------------------------------------------------------


def toolkit_of(text=REGISTRY):
    return Toolkit(parse_registry(text, Path(__file__).parent / "universal.toml"), device="cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("cache"))


def calibrator(store, task="toy", text=REGISTRY):
    return toolkit_of(text).calibrator(task, "toy", store)


def test_what_names_its_generators_learns_the_same_whatever_is_attacked(store):
    by_task = {task: calibrator(store, task).learned("of-both") for task in ("toy", "swap")}
    assert by_task["toy"] == by_task["swap"]
    own = {task: calibrator(store, task).learned("universal") for task in ("toy", "swap")}
    assert own["toy"] != own["swap"]


def test_another_generator_in_the_list_is_another_perturbation(store):
    one = edited(REGISTRY, ('generators = ["swap", "toy"], method', 'generators = ["toy"], method'))
    assert calibrator(store, text=one).learned("of-both") != calibrator(store).learned("of-both")


def test_faces_for_another_generator_are_the_same_with_its_own_conditions(store):
    seen = {}

    class Spy(Universal):
        def fit(self, data, G):
            seen["toy"], seen["swap"] = data.on(self.generators[1]), data.on(self.generators[0])
            return super().fit(data, G)

    found = calibrator(store)
    attack = found.toolkit.build("attack", "of-both")
    component = Spy(generators=attack.component.generators, steps=1)
    attack.component = component
    found._fit_attack("of-both", attack, found.generator)
    assert torch.equal(seen["toy"].clean.images, seen["swap"].clean.images)
    assert seen["toy"].clean.ids == seen["swap"].clean.ids
    assert len(seen["toy"].clean) == 12
    assert all(name.startswith("train-") for name in seen["toy"].clean.ids)
    assert seen["toy"].clean.conditions.values.shape[1] == 2
    assert seen["swap"].clean.conditions.values.shape[1] == 0
    objective = seen["swap"].objective(seen["swap"].clean)
    assert isinstance(found.toolkit.build("generator", "swap"), GuardedGenerator)
    assert objective.target is not None, "a swap is attacked towards its input"


def run_of(store, task, text=REGISTRY):
    toolkit = toolkit_of(text)
    profile = toolkit.registry.profile("matrix")
    work = Workplace(toolkit, profile, store, {}, lambda *told: None, lambda line: None)
    (group,) = (g for g in plan(toolkit, profile) if g.task == task)
    return GroupRun(work, group)


def test_a_matrix_of_transfer_has_what_was_crafted_on_each_tested_on_the_others(store):
    for task, names in (("toy", ["universal@swap", "pgd@swap"]), ("swap", ["universal@toy"])):
        run = run_of(store, task)
        cells = {c.slice.name: run.cell(c) for c in run.group.cells if c.role == "attack"}
        assert [cell.error for cell in cells.values()] == [None] * len(cells)
        assert set(cells) == {"universal", "of-both", "pgd", *names}
        for name in names:
            assert cells[name].facts.task == task


def test_a_surrogate_of_other_conditions_is_attacked_with_its_own(store):
    run = run_of(store, "toy")
    (part,) = (s for s in run.group.slices if s.name == "pgd@swap")
    other = run.toolkit.generator("swap")
    clean = draw_samples(run.images.data.split("test"), other, first=0, count=4, seed=0)[0]
    attack = run.toolkit.build("attack", "pgd")
    expected = attack_samples(clean, attack, other, name="pgd", seed=0)
    assert torch.equal(run.images.of(part), expected)
    assert run.images.some([2, 0]).drawn_for(other).ids == (clean.ids[2], clean.ids[0])
    transfer = run.images.scenarios["transfer"]
    assert transfer.lacks(part) == ["the generator: made on swap", "the condition"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'surrogate = "swap", condition = "surrogate", generators = ["toy"] },\n    { attack = "uni',
            'surrogate = "swap", generators = ["toy"] },\n    { attack = "uni',
            'condition = "surrogate" attacks with conditions of the surrogate',
        ),
        (
            '{ attack = "universal", surrogate = "swap", condition',
            '{ attack = "universal", condition',
            'condition = "surrogate" needs surrogate = "LABEL"',
        ),
        (
            '{ attack = "universal", surrogate = "swap"',
            '{ attack = "of-both", surrogate = "swap"',
            "[attack.of-both] names the generators that it learns on",
        ),
        (
            "blocks = 1, size = 16",
            "blocks = 1, size = 32",
            "the surrogate 'swap' takes images of 32 pixels a side, toy of 16",
        ),
    ],
    ids=["conditions", "no surrogate", "own generators", "size"],
)
def test_a_transfer_that_cannot_be_is_refused_before_a_run(store, old, new, message):
    def planned():
        toolkit = toolkit_of(edited(REGISTRY, (old, new)))
        plan(toolkit, toolkit.registry.profile("matrix"))

    with pytest.raises(RegistryError) as told:
        planned()
    assert message in str(told.value)
