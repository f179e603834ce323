"""torchattacks on a generator: every class that works, every class that cannot, and what is kept out."""

from __future__ import annotations

import inspect
import sys

import numpy as np
import pytest
import torch
from magdr_plugins.attacks import _torchattacks_list
from magdr_plugins.attacks._classifier import Classifier, own_randomness
from magdr_plugins.attacks.torchattacks_adapter import ATTACKS, UNSUPPORTED, TorchAttack
from torch import nn

from magdr_core.components.batch import Condition
from magdr_core.components.objective import build_objective
from magdr_core.errors import ComponentError, MagdrError
from magdr_core.functional import round_toward
from magdr_core.guards import GuardedGenerator

EPS = 16 / 255

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# Enough to pass tau on the toy where the class's own default is not; fewer where it is slow.
STEPS = {"SPSA": 10, "FAB": 30, "Square": 300, "SparseFool": 5, "EADEN": 20, "EADL1": 20}
OPTIONS = {
    "PGDL2": {"eps": 2.0, "alpha": 0.5},
    "PGDRSL2": {"eps": 2.0, "alpha": 0.5, "noise_sd": 0.1},
    "PGDRS": {"noise_sd": 0.1},
    "SPSA": {"nb_sample": 32},
    "Pixle": {"restarts": 5},
}


class Edges(nn.Module):
    """A generator that exaggerates edges: easy to disrupt, and nowhere saturated."""

    size, condition_names = 12, ("Blond_Hair",)

    def __init__(self):
        super().__init__()
        weight = torch.arange(81.0).mul(7).sin().reshape(3, 3, 3, 3)
        weight = weight - weight.mean((1, 2, 3), keepdim=True)
        norm = weight.flatten(1).norm(dim=1)[:, None, None, None]
        self.weight = nn.Parameter(8 * weight / norm)

    def forward(self, x, c):
        return torch.sigmoid(nn.functional.conv2d(x, self.weight, padding=1))


@pytest.fixture
def kit(toolkit_from):
    return toolkit_from()


def case(batch=3):
    """Clean images with a black and a white row, conditions, ids."""
    levels = torch.randint(80, 176, (batch, 3, 12, 12), generator=torch.Generator().manual_seed(0))
    x = levels.float() / 255
    x[:, :, 0], x[:, :, 1] = 0.0, 1.0
    values = torch.ones(batch, 1)
    return x, Condition(values, values > 0), [f"face-{i}" for i in range(batch)]


def objective_of(x, c, kind="untargeted"):
    return build_objective(kind, GuardedGenerator(Edges(), "generator edges"), x, c)


def run(kit, x, c, ids, seed=0, kind="untargeted", use="torchattacks", **params):
    objective = objective_of(x, c, kind)
    attack = kit.sibling("attack", use, **{"eps": EPS, **params})
    return attack(x, objective, rng=kit.rng(use, ids, seed)), objective


def usual(attack):
    return {"attack": attack, "steps": STEPS.get(attack, 0), "options": OPTIONS.get(attack, {})}


def test_torchattacks_every_class_is_listed_once():
    import torchattacks

    assert set(ATTACKS) | set(UNSUPPORTED) == set(torchattacks.__all__)
    assert not set(ATTACKS) & set(UNSUPPORTED)
    assert all(reason and "\n" not in reason for reason in UNSUPPORTED.values())


# -- what works -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", ATTACKS)
def test_torchattacks_disrupts_more_than_noise_whatever_the_batch(kit, attack):
    x, c, ids = case()
    whole, objective = run(kit, x, c, ids, **usual(attack))  # the guard checks ball, modes and global RNGs
    noisy, _ = run(kit, x, c, ids, use="noise")
    assert torch.equal((whole * 255).round() / 255, whole)
    assert (whole - x).abs().max() <= EPS + 2e-6
    assert (objective(whole) > objective(noisy)).all()
    assert (objective(whole) > 0.05).all() or attack == "Pixle", "as it is delivered, in 8 bits"
    if ATTACKS[attack].batched:
        alone, _ = run(kit, x[1:2], c[1:2], ids[1:2], **usual(attack))
        assert torch.equal(alone[0], whole[1]), "alone as in the batch"
    back, _ = run(kit, x[[2, 0]], c[[2, 0]], [ids[2], ids[0]], **usual(attack))
    assert torch.equal(back, whole[[2, 0]]), "in a smaller batch and another order"


@pytest.mark.parametrize("attack", ATTACKS)
def test_torchattacks_every_class_takes_its_parameters(attack):
    import torchattacks

    trait, own = ATTACKS[attack], inspect.signature(getattr(torchattacks, attack)).parameters
    named = {trait.bound, trait.steps} - {""} | set(trait.options) | set(trait.fixed)
    assert named <= set(own)
    assert trait.bound or trait.delivered or attack == "PGDRSL2"


def test_torchattacks_pgd_is_a_direct_pgd_on_the_loss(kit):
    x, c, ids = case()
    x_hat, objective = run(kit, x, c, ids, attack="PGD", steps=6)
    rng = kit.rng("torchattacks", ids)
    rng.uniform(3, 12, 12)  # the jitter, which a random start does not need
    direct = (x + rng.uniform(3, 12, 12, low=-EPS, high=EPS)).clamp(0, 1)
    for _ in range(6):
        _, gradient = objective.gradient(direct)
        delta = (direct + EPS / 4 * gradient.sign() - x).clamp(-EPS, EPS)
        direct = (x + delta).clamp(0, 1)
    assert (x_hat != x).float().mean() > 0.5
    assert torch.equal(x_hat, round_toward(direct, x))


def test_torchattacks_a_batch_s_mean_loss_leaves_each_image_the_gradient_of_its_own(kit):
    x, c, ids = case()
    objective = objective_of(x, c)
    z = (x + 0.03 * kit.rng("z", ids).sign(3, 12, 12)).clamp(0, 1)
    loss, uphill = objective.gradient(z)
    with own_randomness(kit.rng("t", ids), x.device) as draws:
        classifier = Classifier(x, objective, 0.05, EPS, draws, delivered=False, unit=True)
        leaf = z.clone().requires_grad_()
        logits = classifier(leaf)
        cost = nn.functional.cross_entropy(logits, torch.zeros(3, dtype=torch.long))
        assert torch.equal(torch.autograd.grad(cost, leaf)[0], uphill), "to the last bit"
    assert torch.equal(logits.detach()[:, 1], loss)
    assert (logits[:, 0] == 0.05).all()


@pytest.mark.parametrize("attack", ["BIM", "MIFGSM", "FGSM", "UPGD"])
def test_torchattacks_a_start_at_the_image_is_jittered(kit, attack):
    x, c, ids = case()
    objective = objective_of(x, c)
    assert (objective.gradient(x)[1] == 0).all(), "where these attacks would stay for ever"
    x_hat, _ = run(kit, x, c, ids, attack=attack)
    assert (x_hat != x).float().mean() > 0.5
    assert not torch.equal(run(kit, x, c, ids, seed=1, attack=attack)[0], x_hat), "by the image's own stream"


def test_torchattacks_random_numbers_are_the_image_s_own(kit):
    x, c, ids = case()
    for attack in ("PGD", "APGD", "Pixle"):  # torch's generator, torch's with a fixed seed, numpy's
        first, _ = run(kit, x, c, ids, **usual(attack))
        torch.manual_seed(5), np.random.seed(5)
        assert torch.equal(run(kit, x, c, ids, **usual(attack))[0], first), "the global ones play no part"
        assert not torch.equal(run(kit, x, c, ids, seed=1, **usual(attack))[0], first)
        same, _ = run(kit, x[[0, 0]], c[[0, 0]], ["a", "b"], **usual(attack))
        assert not torch.equal(same[0], same[1]), "two ids, two streams"


def test_torchattacks_tau_is_where_the_smallest_attacks_stop(kit):
    x, c, ids = case()
    for attack in ("CW", "FAB"):
        near, objective = run(kit, x, c, ids, tau=0.02, **usual(attack))
        far, _ = run(kit, x, c, ids, tau=0.1, **usual(attack))
        assert (objective(near) > 0.02).all()
        assert (objective(far) > 0.1).all()
        assert ((far - x).flatten(1).norm(dim=1) > (near - x).flatten(1).norm(dim=1)).all()


def test_torchattacks_towards_a_target(kit):
    x, c, ids = case()
    for attack in ("PGD", "APGD"):
        x_hat, objective = run(kit, x, c, ids, kind="towards-input", attack=attack, keep_best=True)
        assert (objective(x_hat) > objective(x) + 0.01).all()


def test_torchattacks_keep_best_returns_what_never_passed_tau(kit):
    x, c, ids = case()
    for attack in ("APGD", "Square", "DIFGSM"):
        options = {"attack": attack, "steps": 60, "tau": 4.0}
        returned, objective = run(kit, x, c, ids, **options)
        assert torch.equal(returned, x) == (attack != "DIFGSM"), "only adversarial images are returned"
        best, _ = run(kit, x, c, ids, keep_best=True, **options)
        assert (objective(best) > 0.01).all()
        assert (objective(best) >= objective(returned) - 1e-4).all()
        assert (best - x).abs().max() <= EPS + 2e-6


@pytest.mark.parametrize("attack", ["PGD", "DeepFool", "FAB"])
def test_torchattacks_leaves_networks_as_they_are(kit, attack):
    x, c, ids = case()
    G = GuardedGenerator(Edges(), "generator edges")
    G.component.requires_grad_(True)

    class Both(nn.Module):
        """An objective that is a module itself, half of it in training mode."""

        def __init__(self):
            super().__init__()
            self.inner = build_objective("untargeted", G, x, c)
            self.net, self.frozen = nn.Dropout(), nn.Dropout().eval()
            self.gradient, self.evaluate = self.inner.gradient, self.inner.evaluate
            self.goal = self.inner.goal

        def select(self, idx):
            return self.inner.select(idx)

    objective = Both()
    modes = []
    objective.net.train = lambda mode=True: modes.append(mode)
    run_ = kit.sibling("attack", "torchattacks", eps=EPS, attack=attack)
    run_(x, objective, rng=kit.rng("t", ids))
    assert objective.training
    assert not objective.frozen.training
    assert modes == [], "never told"
    assert all(p.grad is None for p in G.component.parameters())


def test_torchattacks_eps_0_is_the_clean_image(kit):
    x, c, ids = case()
    assert torch.equal(run(kit, x, c, ids, eps=0.0)[0], x)


def test_torchattacks_in_a_registry(toolkit_from):
    kit = toolkit_from("""
[attack.momentum]
use = "torchattacks"
params = { attack = "MIFGSM", eps = "6/255", steps = 7, options = { decay = 0.5, alpha = "1/255" } }
""")
    params = kit.resolve("attack", "momentum").params
    assert params["options"] == {"decay": 0.5, "alpha": 1 / 255}
    assert params["steps"] == 7
    attack = kit.build("attack", "momentum")
    assert attack.eps == 6 / 255
    x, c, ids = case()
    x_hat = attack(x, objective_of(x, c), rng=kit.rng("momentum", ids))
    assert ((x_hat - x).abs().amax((1, 2, 3)) > 5.5 / 255).all()


def test_torchattacks_steps_and_step_size(kit):
    def arguments(**params):
        return kit.sibling("attack", "torchattacks", **params).component.arguments

    assert arguments(eps=EPS)["steps"] == 10, "the class's default"
    assert arguments(eps=EPS, attack="SPSA", steps=7)["nb_iter"] == 7
    assert arguments(eps=EPS)["alpha"] == pytest.approx(EPS / 4), "2/255 for 8/255"
    assert arguments(eps=EPS, options={"alpha": "1/255"})["alpha"] == pytest.approx(1 / 255)
    assert arguments(eps=EPS, attack="PIFGSM")["max_epsilon"] == EPS
    assert arguments(attack="CW", options={"c": 5})["c"] == 5.0


# -- what does not --------------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", UNSUPPORTED)
def test_torchattacks_says_why_a_class_cannot(kit, attack):
    with pytest.raises(MagdrError) as e:
        kit.sibling("attack", "torchattacks", attack=attack)
    assert f"{attack!r} of torchattacks cannot attack a generator: {UNSUPPORTED[attack]}" in str(e.value)


@pytest.mark.parametrize(
    ("attack", "trait"),
    [
        ("APGDT", {}),
        ("AutoAttack", {"steps": ""}),
        ("GN", {"bound": "", "steps": ""}),
        ("JSMA", {"bound": "", "steps": ""}),
        ("OnePixel", {"bound": ""}),
        ("VANILA", {"bound": "", "steps": ""}),
    ],
)
def test_torchattacks_the_others_really_fail(kit, monkeypatch, attack, trait):
    trait = _torchattacks_list.Trait(**{"batched": False, **trait})
    monkeypatch.setitem(_torchattacks_list.ATTACKS, attack, trait)
    x, c, ids = case()
    objective = objective_of(x, c)
    tau = 4.0 if attack == "AutoAttack" else 0.05  # it stops while APGD alone is enough
    component = TorchAttack(attack=attack, eps=EPS, steps=10, tau=tau)
    if attack in ("APGDT", "AutoAttack"):
        with pytest.raises(IndexError):
            component(x, objective, rng=kit.rng("t", ids))
        return
    x_hat = component(x, objective, rng=kit.rng("t", ids))
    noisy = kit.sibling("attack", "noise", eps=EPS)(x, objective, rng=kit.rng("n", ids))
    pgd = kit.sibling("attack", "torchattacks", eps=EPS)(x, objective, rng=kit.rng("t", ids))
    assert (objective(x_hat) < objective(pgd) / 3).all()
    assert (objective(x_hat).median() < 1.3 * objective(noisy).median()).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"attack": "PDG"}, "torchattacks has no usable attack 'PDG'; did you mean 'PGD'?"),
        ({"attack": "pgd"}, "torchattacks has no usable attack 'pgd'; did you mean 'PGD'?"),
        ({"atack": "PGD"}, "has no parameter 'atack'; did you mean 'attack'?"),
        ({"eps": 6}, 'write 8-bit steps as "6/255"'),
        ({"tau": 0}, "parameter 'tau' of torchattacks"),
        ({"attack": "FGSM", "steps": 3}, "'FGSM' takes a single step, got 3"),
        ({"options": {"alhpa": 0.1}}, "'PGD' has no option 'alhpa'; did you mean 'alpha'?"),
        ({"options": {"eps": 0.1}}, "option 'eps' of PGD cannot be set: it is the parameter 'eps'"),
        ({"attack": "SPSA", "options": {"nb_iter": 2}}, "it is the parameter 'steps'"),
        ({"attack": "APGD", "options": {"norm": "L2"}}, "eps is an L-infinity bound"),
        ({"attack": "APGD", "options": {"loss": "dlr"}}, "option 'loss' of APGD cannot be set: the others"),
        ({"attack": "Square", "options": {"seed": 1}}, "keyed by the registry's seed"),
        ({"options": {"alpha": "much"}}, "option 'alpha' of PGD is a number or a fraction such as"),
        ({"options": {"random_start": 1}}, "option 'random_start' of PGD takes bool, got 1"),
        ({"attack": "EOTPGD", "options": {"eot_iter": 1.5}}, "takes int, got 1.5"),
    ],
)
def test_torchattacks_wrong_parameters_are_found_before_a_run(kit, params, message):
    with pytest.raises(MagdrError) as e:
        kit.sibling("attack", "torchattacks", **params)
    assert message in str(e.value)


def test_torchattacks_an_option_that_changes_the_image_size_is_attributed(kit):
    x, c, ids = case()
    with pytest.raises(ComponentError, match="images"):
        run(kit, x, c, ids, attack="DIFGSM", options={"resize_rate": 1.5, "diversity_prob": 1.0})


def test_torchattacks_needs_no_torchvision(monkeypatch):
    for name in [m for m in sys.modules if m.split(".")[0] in ("torchattacks", "torchvision")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)  # an import of it fails
    import torchattacks

    assert torchattacks.PGD
