"""Training of forensic classifiers in miniature: pairs, adversaries, and what each of them is worth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from magdr_plugins.forensics._networks import PlainNet

from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError
from magdr_core.functional import pixelwise_blur
from magdr_core.train import forensic
from magdr_core.train.evasions import (
    BlurGame,
    BlurSteps,
    RandomBlur,
    SignSteps,
    cross_entropy,
    uniform_blur,
)
from magdr_core.train.forensic import ForensicTrainer
from magdr_core.train.forensic_recipes import FAMILY, FORENSIC_RECIPES, GROUPS, left_out
from magdr_core.train.forged_pairs import draw_pairs, families_of
from magdr_core.train.ordinary_augmentation import augmented
from magdr_core.train.runner import find_recipe
from tests.train.forensic_world import FAMILIES, Counting, context, seeded

CPU = torch.device("cpu")
TWO = {f"{FAMILY}swap": 1.0, f"{FAMILY}inpainted": 1.0}


def small():
    return seeded(lambda: PlainNet(width=8))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A classifier after 40 updates without an adversary, with its losses."""
    trainer = ForensicTrainer(context(tmp_path_factory.mktemp("plain"), small(), TWO), families=FAMILIES)
    return trainer, [trainer.step(i) for i in range(40)]


def frozen(trainer):
    trainer.net.eval()
    return trainer.classify


def test_a_classifier_learns_to_tell_forgeries_and_is_measured_on_test_faces(trained):
    trainer, losses = trained
    assert sum(x["clean"] for x in losses[-5:]) < 0.85 * sum(x["clean"] for x in losses[:5])
    quality = trainer.evaluate()
    assert set(quality) == {"auc", "auc_swap", "auc_inpainted", "auc_innocent"}
    assert quality["auc"] > 0.6


def test_a_batch_holds_reals_and_the_forgeries_of_the_same_scenes(trained):
    trainer, _ = trained
    x, fake, _ = trainer.drawn(3)
    assert fake.tolist() == [0.0] * 8 + [1.0] * 8
    real, forged = x.split(8)
    same = (real == forged).all(1).float().mean((1, 2))
    assert (same > 0.3).all(), "most of a scene is untouched"
    assert (same < 1).all()
    assert not torch.equal(x, trainer.drawn(4)[0])
    assert torch.equal(x, trainer.drawn(3)[0])


def test_pictures_are_augmented_where_the_recipe_says_so_real_and_fake_each_in_its_way(tmp_path, trained):
    plain = trained[0].drawn(3)[0]
    x = ForensicTrainer(context(tmp_path, small(), {**TWO, "augment": 1.0}), families=FAMILIES).drawn(3)[0]
    changed = (x - plain).abs().flatten(1).amax(1) > 0
    assert changed.float().mean() > 0.6
    background = (plain[:8] == plain[8:]).all(1, keepdim=True)
    apart = ((x[:8] - x[8:]).abs() * background).flatten(1).amax(1)
    assert (apart > 0.05).sum() >= 4


def test_an_adversary_keeps_the_labels(tmp_path, monkeypatch):
    """With one that changes nothing, the second half of the loss is the first."""

    class Nothing:
        gradients, modules, optimisers = 0, {}, {}

        def __call__(self, classify, x, fake, rng):
            return x

        def learn(self, classify, x, fake):
            pass

    trainer = ForensicTrainer(context(tmp_path, small(), TWO, pool=16, batch=8), Nothing(), FAMILIES)
    losses = trainer.step(0)
    assert losses["adversarial"] == pytest.approx(losses["clean"], rel=1e-3)


def test_quality_is_measured_on_faces_of_the_test_split(tmp_path):
    family = Counting(FAMILIES["swap"])
    settings = {f"{FAMILY}swap": 1.0}
    trainer = ForensicTrainer(context(tmp_path, small(), settings, pool=16), families={"swap": family})
    assert set(family.ids) == {f"face-{i}" for i in range(16)}
    family.ids.clear()
    trainer.evaluate()
    assert set(family.ids) == {f"face-{2_010_000 + i}" for i in range(16)}


def test_a_family_that_is_not_named_is_neither_built_nor_drawn(tmp_path):
    class Never:
        def __call__(self, batch, donors, rng):
            raise AssertionError("a held-out family was drawn")

    built = []

    class Toolkit:
        def sibling(self, kind, use):
            built.append((kind, use))

    trainer = ForensicTrainer(context(tmp_path, small(), TWO), families={**FAMILIES, "splice": Never()})
    trainer.step(0)
    trainer.evaluate()
    assert trainer.pairs.names == ("swap", "inpainted")
    families_of(type("Context", (), {"recipe": trainer.context.recipe, "toolkit": Toolkit()}))
    assert built == [("forgery", "swap"), ("forgery", "inpainted")]


def test_shares_say_how_often_a_family_forges(tmp_path):
    settings = {f"{FAMILY}swap": 3.0, f"{FAMILY}splice": 1.0, f"{FAMILY}warped": 0.0}
    pairs = draw_pairs(context(tmp_path, small(), settings), FAMILIES, 96)
    assert pairs.names == ("swap", "splice")
    assert 0.6 < (pairs.family == 0).float().mean() < 0.9
    with pytest.raises(MagdrError, match="forgery:NAME"):
        draw_pairs(context(tmp_path, small(), {"augment": 1.0}), FAMILIES, 4)


def test_a_pair_does_not_depend_on_which_pairs_are_drawn_with_it(tmp_path, monkeypatch):
    drawn = context(tmp_path, small(), TWO)
    many = draw_pairs(drawn, FAMILIES, 40)
    monkeypatch.setattr("magdr_core.train.forged_pairs.TOGETHER", 7)
    again = draw_pairs(drawn, FAMILIES, 40)
    assert torch.equal(many.fake, again.fake)
    assert torch.equal(many.masks, again.masks)


def test_reals_that_went_through_the_pipeline_have_their_family_s_traces_and_count_as_real(tmp_path):
    drawn = context(tmp_path, small(), TWO)
    plain, half, all_of = (draw_pairs(drawn, FAMILIES, 40, innocent=share) for share in (0.0, 0.5, 1.0))
    assert torch.equal(half.fake, plain.fake)
    swapped, inpainted = (plain.family == k for k in (0, 1))
    moved = (all_of.real != plain.real).flatten(1).any(1)
    assert moved[swapped].all()
    assert not moved[inpainted].any(), "inpainting without its fill leaves nothing"
    some = (half.real != plain.real).flatten(1).any(1)
    assert 0.2 < some[swapped].float().mean() < 0.8
    assert torch.equal(half.real[some], all_of.real[some])
    batch = drawn.split[[int(swapped.nonzero()[0])]]
    rng = SampleRng(0, "forged-pairs", batch.ids)
    rng.uniform()
    expected = FAMILIES["swap"].innocent(batch, rng).images
    assert torch.equal(all_of.real[swapped][:1], (expected * 255).round().byte())


def test_a_family_without_an_innocent_form_leaves_its_reals_as_they_are(tmp_path):
    family = Counting(FAMILIES["swap"])
    drawn = context(tmp_path, small(), {f"{FAMILY}swap": 1.0})
    pairs = draw_pairs(drawn, {"swap": family}, 8, innocent=1.0)
    assert torch.equal(pairs.real, (drawn.split[range(8)].images * 255).round().byte())


def test_donors_are_of_the_same_stretch_of_the_split_and_never_the_face_itself(tmp_path):
    seen = []

    def family(batch, donors, rng):
        seen.extend(zip(batch.ids, donors.ids, strict=True))
        return FAMILIES["swap"](batch, donors, rng)

    draw_pairs(context(tmp_path, small(), {f"{FAMILY}swap": 1.0}), {"swap": family}, 10, first=5)
    own = {f"face-{i}" for i in range(5, 15)}
    assert {a for a, _ in seen} == {b for _, b in seen} == own
    assert all(a != b for a, b in seen)


def hostile(name):
    return {
        "random-blur": lambda: RandomBlur(1.0),
        "pgd": lambda: SignSteps(2 / 255, 3),
        "blur-gradient": lambda: BlurSteps(1.0, 3),
        "blur-game": lambda: BlurGame(1.0, 2e-3, 1, device=CPU),
    }[name]()


NAMES = ["random-blur", "pgd", "blur-gradient", "blur-game"]


@pytest.mark.parametrize("name", NAMES)
def test_evasions_keep_pictures_in_range_and_the_classifier_as_it_was(trained, name):
    trainer, _ = trained
    x, fake, rng = trainer.drawn(0)
    before = {k: v.clone() for k, v in trainer.net.state_dict().items()}
    evasion = hostile(name)
    evasion.learn(frozen(trainer), x, fake)
    y = evasion(trainer.classify, x, fake, rng)
    assert y.shape == x.shape
    assert not torch.equal(y, x)
    assert 0 <= y.min() <= y.max() <= 1
    assert all(torch.equal(v, before[k]) for k, v in trainer.net.state_dict().items())


@pytest.mark.parametrize("name", ["pgd", "blur-gradient"])
def test_an_adversary_raises_the_cross_entropy_above_its_random_counterpart(trained, name):
    trainer, _ = trained
    x, fake, rng = trainer.drawn(0)
    classify = frozen(trainer)
    found = hostile(name)(classify, x, fake, rng)
    random = {
        "pgd": (x + 2 / 255 * rng.sign(*x.shape[1:])).clamp(0, 1),
        "blur-gradient": RandomBlur(1.0)(classify, x, fake, rng),
    }[name]
    with torch.no_grad():
        shown = {"x": x, "y": found, "r": random}
        ce = {k: float(cross_entropy(classify(v), fake).mean()) for k, v in shown.items()}
    assert ce["y"] > ce["x"] + 0.05
    assert ce["y"] > ce["r"]


def test_the_game_s_networks_learn_to_raise_the_cross_entropy(trained):
    trainer, _ = trained
    x, fake, rng = trainer.drawn(0)
    classify = frozen(trainer)
    torch.manual_seed(0)
    game = BlurGame(1.0, 5e-3, 15, device=x.device)
    first = cross_entropy(classify(game(classify, x, fake, rng)), fake).mean()
    game.learn(classify, x, fake)
    last = cross_entropy(classify(game(classify, x, fake, rng)), fake).mean()
    assert last > first + 0.01
    assert last > cross_entropy(classify(x), fake).mean()


def test_the_game_has_one_network_for_reals_and_one_for_fakes(trained):
    trainer, _ = trained
    x, fake, _ = trainer.drawn(0)
    torch.manual_seed(0)
    game = BlurGame(1.0, 5e-3, 1, device=x.device)
    game.learn(frozen(trainer), x[:8], fake[:8])
    changed = {
        name: any(not torch.equal(p, q) for p, q in zip(net.parameters(), same.parameters(), strict=True))
        for (name, net), same in zip(game.modules.items(), _fresh(x.device), strict=True)
    }
    assert changed == {"blur-real": True, "blur-fake": False}


def _fresh(device):
    torch.manual_seed(0)
    return BlurGame(1.0, 5e-3, 1, device=device).modules.values()


def test_blurs_stay_above_the_least_precision(trained):
    trainer, _ = trained
    x, fake, _ = trainer.drawn(0)
    game = BlurGame(2.0, 0.1, 3, device=x.device)
    game.learn(frozen(trainer), x, fake)
    assert game.precision(x, fake).min() >= 2
    least = RandomBlur(4.0)
    assert least.widest == pytest.approx(0.5)


def test_the_published_precision_starts_without_a_gradient_at_most_pixels_and_the_mended_one_does_not(
    trained,
):
    trainer, _ = trained
    x, fake, _ = trainer.drawn(0)

    def dead(published):
        torch.manual_seed(0)
        game = BlurGame(1.0, 1e-3, 1, device=x.device, published=published)
        raws = []
        for net in game.modules.values():
            net.register_forward_hook(lambda module, given, y: raws.append(y.retain_grad() or y))
        game.precision(x, fake).sum().backward()
        return float((torch.cat([raw.grad for raw in raws]) == 0).float().mean())

    assert dead(True) > 0.5
    assert dead(False) < 0.01


def test_the_published_step_without_a_generator_is_a_uniform_blur(trained):
    trainer, _ = trained
    x, fake, rng = trainer.drawn(0)
    y = BlurSteps(1.0, 3, published=True)(frozen(trainer), x, fake, rng)
    s = 100 / x[0].numel() ** 0.5
    assert (y - pixelwise_blur(x, torch.full_like(x, s))).abs().flatten().quantile(0.999) < 0.5 / 255
    free = BlurSteps(1.0, 3)(trainer.classify, x, fake, rng)
    assert (free - uniform_blur(x, 1.0)).abs().max() > 5 / 255


def test_sign_steps_stay_in_the_ball_around_their_own_picture_and_the_published_ones_do_not(trained):
    trainer, _ = trained
    x, fake, rng = trainer.drawn(0)
    y = SignSteps(2 / 255, 3)(frozen(trainer), x, fake, rng)
    assert (y - x).abs().max() <= 2 / 255 + 1e-6
    y = SignSteps(2 / 255, 3, published=True)(trainer.classify, x, fake, rng)
    assert (y[8:] - x[:8]).abs().max() <= 2 / 255 + 1e-6
    assert (y[8:] - x[8:]).abs().max() > 10 / 255


ARMS = {
    "plain": (forensic.plain, {}, 0),
    "random_blur": (forensic.random_blur, {"s_min": 1.0}, 0),
    "pgd": (forensic.pgd, {"eps": 1 / 255, "attack_steps": 2.0}, 2),
    "blur_gradient": (forensic.blur_gradient, {"s_min": 1.0, "attack_steps": 2.0}, 2),
    "blur_game": (forensic.blur_game, {"s_min": 1.0, "attack_steps": 1.0, "game_lr": 2e-3}, 1),
}


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_makes_one_update_a_step_and_says_what_it_cost(tmp_path, monkeypatch, name):
    make, settings, gradients = ARMS[name]
    monkeypatch.setattr("magdr_core.train.forensic.families_of", lambda c: FAMILIES)
    monkeypatch.setattr("magdr_core.train.forensic.REPORT", 2)
    trainer = make(context(tmp_path, small(), {**TWO, "augment": 1.0, **settings}, pool=16, batch=8))
    updates, seen = [], []
    whole = trainer._net.step
    monkeypatch.setattr(
        trainer._net, "step", lambda loss: (updates.append(trainer.net.training), whole(loss))
    )
    trainer.net.register_forward_pre_hook(lambda net, given: seen.append((net.training, len(given[0]))))
    before = {n: [p.clone() for p in net.parameters()] for n, net in trainer.modules.items()}
    losses = [trainer.step(i) for i in range(3)]
    for n, net in trainer.modules.items():
        assert any(not torch.equal(p, q) for p, q in zip(net.parameters(), before[n], strict=True))
    assert updates == [True] * 3
    assert [n for training, n in seen if training] == [8 if name == "plain" else 16] * 3
    assert losses[-1]["gradients"] == gradients
    reported = {"ce_clean", "ce_uniform", "ce_random"} | ({"ce_adversary"} if name != "plain" else set())
    assert reported <= set(losses[-1])
    assert ("adversarial" in losses[-1]) == (name != "plain")
    assert losses[0]["ce_clean"] != losses[1]["ce_clean"] == losses[2]["ce_clean"], "reported now and then"
    assert set(trainer.modules) == {"net"} | ({"blur-real", "blur-fake"} if name == "blur_game" else set())
    assert len(trainer.optimisers) == (3 if name == "blur_game" else 1)


def test_augmentation_changes_a_picture_alike_in_any_batch_and_each_in_its_way():
    x = torch.rand(24, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ids = [str(i) for i in range(24)]
    y = augmented(x, SampleRng(0, "a", ids))
    assert 0 <= y.min() <= y.max() <= 1
    assert torch.equal(augmented(x[5:9], SampleRng(0, "a", ids[5:9])), y[5:9])
    changes = (y - x).abs().mean((1, 2, 3))
    assert len(changes.unique()) > 15
    same = augmented(x[:1].repeat(24, 1, 1, 1), SampleRng(0, "a", ids))
    untouched = (same == x[0]).flatten(1).all(1)
    assert 0 < untouched.sum() < 12, "some come through as they were"
    grey = (same[:, 0] - same[:, 1]).abs().amax((1, 2)) < 0.2
    assert 0 < grey.sum() < 12


@pytest.mark.parametrize("name", FORENSIC_RECIPES)
def test_recipes_name_trainers_that_exist_and_arms_differ_in_the_adversary_alone(name):
    recipe = FORENSIC_RECIPES[name]
    module, _, trainer = recipe.trainer_name.partition(":")
    assert callable(getattr(__import__(module, fromlist=[trainer]), trainer))
    assert recipe.name == name
    plain = FORENSIC_RECIPES["forensic-plain64"]
    if module == "magdr_core.train.forensic":
        assert (recipe.steps, recipe.batch, recipe.pool) == (plain.steps, plain.batch, plain.pool)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_is_left_out_with_all_its_relatives(group):
    recipe = left_out(FORENSIC_RECIPES["forensic-blur64"], group)
    assert recipe.name == f"forensic-blur64-without-{group}"
    there = {k.removeprefix(FAMILY) for k in recipe.settings if k.startswith(FAMILY)}
    assert there == {name for names in GROUPS.values() for name in names} - set(GROUPS[group])
    assert recipe.settings["s_min"] == 1.0


def test_a_name_says_what_is_left_out_and_of_which_seed():
    found = find_recipe("forensic-blur64-without-local-seed2")
    assert found.name == "forensic-blur64-without-local-seed2"
    assert found.seed == 2
    assert found.settings == left_out(FORENSIC_RECIPES["forensic-blur64"], "local").settings
    assert find_recipe("recovery64-seed1") == replace(
        FORENSIC_RECIPES["recovery64"], name="recovery64-seed1", seed=1
    )
    assert find_recipe("forensic-plain64-without-blends").seed == 0
    for wrong in ("forensic-plain-without-local", "forensic-plain64-without-", "forensic-plain64-seed"):
        with pytest.raises(MagdrError):
            find_recipe(wrong)


def test_nothing_is_left_of_a_recipe_without_all_its_families():
    with pytest.raises(MagdrError, match="blends alone"):
        left_out(FORENSIC_RECIPES["forensic-x-ray64"], "blends")
    with pytest.raises(MagdrError, match="groups are"):
        left_out(FORENSIC_RECIPES["forensic-blur64"], "blend")
