"""The adaptive attack where the right answer is known."""

import pytest
import torch

from magdr_core.adaptive import AdaptiveAttack
from magdr_core.functional import to_8bit
from tests.adaptive.conftest import EPS, SIZE, averages, copies, grey

LEVEL = 1 / 255


def attacked(pipeline, f=copies, n=3, *, steps=20, restarts=1, queries=0, penalties=(), **options):
    attack = AdaptiveAttack(
        pipeline(f, 2, name="probe", **options),
        steps=steps,
        restarts=restarts,
        queries=queries,
        penalties=penalties,
    )
    return attack, attack(pipeline(f, n, **options))


def off_mean(x, c, G):
    """Suspicion: how far the mean is from that of every clean image."""
    return (x.flatten(1).mean(1) - 128 / 255).abs()


def test_a_linear_score_is_evaded_exactly_as_far_as_its_threshold_allows(pipeline):
    """G shows the mean, the detector watches it: with 3.2 of 6 levels allowed, (3/6)^2 to (3.2/6)^2 of the
    disruption is left, and not a bit more."""
    _, found = attacked(pipeline, averages, detector=off_mean, threshold=3.2 * LEVEL)
    assert found.pooled.verdict.feasible.all()
    gain = found.pooled.verdict.gain
    assert (gain >= 0.25 - 1e-3).all()
    assert (gain <= (3.2 / 6) ** 2 + 1e-4).all()


def test_a_disruption_that_the_detector_cannot_see_is_found(pipeline):
    """G copies, the detector watches the mean: half the pixels up and half down is as strong and unseen, and
    nothing is left of the oblivious attack, which brightens all of them."""
    attack, found = attacked(
        pipeline, detector=off_mean, threshold=0.3 * LEVEL, steps=30, penalties=(0.3, 1.0), restarts=2
    )
    assert found.pooled.verdict.feasible.all()
    assert (found.pooled.verdict.gain > 0.65).all()
    assert not found.modes["oblivious"].verdict.feasible.any()
    assert (found.modes["scaled"].verdict.gain < 0.01).all()
    assert attack.curve.keys() == {0.3, 1.0}


def test_the_curve_trades_detection_for_disruption(pipeline):
    attack, found = attacked(
        pipeline, averages, detector=off_mean, threshold=2 * LEVEL, penalties=(0.01, 0.5, 20.0)
    )
    light, _, heavy = (found.modes[attack.curve[b]].verdict for b in (0.01, 0.5, 20.0))
    assert not light.feasible.any()
    assert heavy.feasible.all()
    assert (light.disruption > 2 * heavy.disruption).all()


def masked(x, c, G):
    """A quantiser to 16 levels: its gradient is zero everywhere."""
    return torch.round(x * 15) / 15


def out_of_torch(x, c, G):
    """The same, where no gradient can follow."""
    return torch.from_numpy((x.detach().numpy() * 15).round() / 15)


WEIGHTS = torch.randn(3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def weighs(x):
    """A generator that shows one weighted mean of the pixels."""
    seen = torch.sigmoid(10 * ((x - 0.5) * WEIGHTS).flatten(1).mean(1))
    return seen[:, None, None, None].expand_as(x)


@pytest.mark.parametrize("defense", [masked, out_of_torch])
def test_a_quantiser_that_hides_its_gradient_is_broken(pipeline, defense):
    attack, found = attacked(pipeline, weighs, defense=defense, steps=20)
    x = grey(3)
    corners = [weighs(x + sign * EPS * WEIGHTS.sign()) for sign in (1, -1)]
    best = torch.stack([4 * (y - weighs(x)).square().flatten(1).mean(1) for y in corners]).amax(0)
    # As much as the best attack does without any defense, and far more than the oblivious one.
    assert (found.pooled.verdict.disruption > 0.9 * best).all()
    assert (found.modes["oblivious"].verdict.disruption < 0.3 * best).all()
    assert attack.probed["autograd"].zero == 1.0
    usable = [name for name, seen in attack.probed.items() if seen.usable]
    assert usable == (["lifted", "uncut"] if defense is masked else [])


def test_a_defense_that_detaches_its_input_is_attacked_all_the_same(pipeline):
    def detached(x, c, G):
        with torch.no_grad():
            return (x.detach() * 0.5 + 0.25).clamp(0, 1)

    attack, found = attacked(pipeline, defense=detached)
    assert attack.probed["autograd"].zero == attack.probed["lifted"].zero == 1.0
    assert attack.probed["uncut"].usable
    assert (
        found.modes["uncut"].verdict.disruption >= found.modes["oblivious"].verdict.disruption - 1e-6
    ).all()


def test_exact_gradients_are_those_of_autograd(pipeline):
    from magdr_core.adaptive.gradient_paths import scored, through
    from magdr_core.adaptive.losses import Mode, look

    def f(x):
        return torch.sigmoid(4 * x - 2)

    def detector(x, c, G):
        return G(x, c).square().flatten(1).mean(1)

    def defense(x, c, G):
        return x * 0.9 + 0.05

    t = pipeline(f, detector=detector, defense=defense, threshold=0.0)
    at = t.oblivious
    mode = Mode("m", through(t, "autograd"), scored(t, "autograd"), "penalty", 0.7, t.excess)
    x = at.clone().requires_grad_(True)
    restored = to_8bit(x * 0.9 + 0.05).detach() + (x * 0.9 - (x * 0.9).detach())
    gain = 4 * (f(restored) - f(t.x)).square().flatten(1).mean(1) / t.gain_unit
    excess = f(x).square().flatten(1).mean(1) / t.score_unit
    (wanted,) = torch.autograd.grad((gain - 0.7 * excess).sum(), x)
    seen = look(t, mode, at, 1)
    assert torch.allclose(seen.gradient, wanted, rtol=1e-4, atol=1e-9)
    assert torch.allclose(seen.loss, (gain - 0.7 * excess).detach(), rtol=1e-5)


def rolls(x, c, G, *, rng):
    """Shifts the picture by a random number of columns."""
    shift = rng.integers(1, high=SIZE)
    columns = (torch.arange(SIZE)[None] + shift) % SIZE
    return x.gather(3, columns[:, None, None].expand(-1, 3, SIZE, -1))


def test_a_random_defense_needs_the_expectation_over_its_draws(pipeline):
    weights = torch.randn(SIZE, generator=torch.Generator().manual_seed(0)) + 0.4

    def f(x):
        """Sees one weighted mean of the columns."""
        return torch.sigmoid(20 * ((x - 0.5) * weights).flatten(1).mean(1))[:, None, None, None].expand_as(x)

    reached = {}
    for draws in (1, 20):
        x = torch.full((6, 3, SIZE, SIZE), 128 / 255)
        options = {"x": x, "oblivious": x + 1 / 255, "defense": rolls, "stochastic": True, "draws": draws}
        probe = pipeline(f, 6, name="probe", **options)
        # Few steps: over many, momentum is a mean over draws, too, and there is less to gain.
        attack = AdaptiveAttack(probe, steps=4, queries=0)
        found = attack(pipeline(f, 6, **options)).pooled.images
        fresh = pipeline(f, 6, name="defender", **options | {"draws": 100})
        reached[draws] = fresh.judge(found).disruption.mean()
    assert reached[20] > 1.5 * reached[1]


def swapped(x, c, G):
    """Exchanges the two halves of the picture, where no gradient can follow."""
    return torch.from_numpy(x.detach().roll(SIZE // 2, 3).numpy())


def test_a_defense_without_gradient_is_followed_through_a_fitted_stand_in(pipeline):
    """The identity's gradient points at the wrong pixels; that of a network that learned what the defense
    does, at the right ones."""

    def halves(x):
        """Sees how much brighter the left half is, red alone."""
        seen = torch.sigmoid(20 * (x[:, 0, :, : SIZE // 2] - x[:, 0, :, SIZE // 2 :]).flatten(1).mean(1))
        return seen[:, None, None, None].expand_as(x)

    options = {"defense": swapped, "oblivious": grey(3)}
    attack = AdaptiveAttack(pipeline(halves, 3, name="probe", **options), steps=10, queries=0)
    found = attack(pipeline(halves, 3, **options))
    network, identity = attack.modes.reproduction.error
    assert network < 0.5 * identity
    plain = {"oblivious", "bpda", "bpda-fitted", "finish"}
    assert set(found.modes) == plain | {"low-frequency, bpda", "concentrated, bpda"}


def test_the_fitted_stand_in_has_the_defenses_values_and_its_own_gradient(pipeline):
    from magdr_core.adaptive.defense_surrogate import reproduce

    def dims(x, c, G):
        return torch.from_numpy(x.detach().numpy() * 0.5)

    t = pipeline(defense=dims)
    x = t.oblivious.clone().requires_grad_(True)
    value = reproduce(t).way(t).value(x, next(t.forks(0)))
    assert torch.equal(value.detach(), t.judge(t.oblivious).gain)
    (slope,) = torch.autograd.grad(value.sum(), x)
    hard = to_8bit(t.oblivious * 0.5)
    straight = 8 * (hard - t.x) / (3 * SIZE * SIZE) / t.gain_unit[:, None, None, None]
    # The identity's gradient is twice the defense's own.
    ratio = slope.flatten(1).norm(dim=1) / straight.flatten(1).norm(dim=1)
    assert ((ratio > 0.3) & (ratio < 0.8)).all()


def test_lagrangian_weights_rise_while_an_image_is_detected_and_fall_while_it_is_not(pipeline):
    from magdr_core.adaptive.gradient_paths import scored, through
    from magdr_core.adaptive.losses import Mode

    t = pipeline(detector=off_mean, threshold=LEVEL)
    mode = Mode("m", through(t, "autograd"), scored(t, "autograd"), "lagrangian", excess=t.excess)
    first = mode.weighed(None, torch.zeros(2))
    assert first.tolist() == [1.0, 1.0]
    after = mode.weighed(first, torch.tensor([0.5, -0.5]))
    assert after[0] > 1 > after[1]
    for _ in range(100):
        after = mode.weighed(after, torch.tensor([0.5, -0.5]))
    assert after.tolist() == pytest.approx([1e3, 1e-2])
    gain, excess = torch.tensor([0.4, 0.4]), torch.tensor([0.5, -0.5])
    assert mode.loss(gain, excess, torch.tensor([2.0, 2.0])).tolist() == pytest.approx([-0.6, 0.402])


def test_a_weight_of_its_own_finds_what_each_image_can_keep(pipeline):
    _, found = attacked(pipeline, averages, detector=off_mean, threshold=3.2 * LEVEL)
    verdict = found.modes["lagrangian via autograd"].verdict
    assert verdict.feasible.all()
    assert (verdict.gain >= 0.25 - 1e-3).all()


def test_half_precision_is_for_looking_and_not_for_judging(pipeline):
    """A generator that a cast to bfloat16 changes: what is found is still worth what it says."""
    weight = torch.randn(3, 3, 3, 3, generator=torch.Generator().manual_seed(2))

    def convolves(x):
        return torch.sigmoid(torch.nn.functional.conv2d(x - 0.5, weight, padding=1))

    options = {"detector": off_mean, "threshold": 2 * LEVEL, "rough": True}
    exact = attacked(pipeline, convolves, **options | {"rough": False}, steps=20)[1].pooled.verdict
    _, found = attacked(pipeline, convolves, **options, steps=20)
    again = pipeline(convolves, **options | {"rough": False}).judge(found.pooled.images)
    assert torch.equal(found.pooled.verdict.gain, again.gain)
    assert torch.equal(found.pooled.verdict.score, again.score)
    assert again.feasible.all()
    assert (again.gain > 0.8 * exact.gain).all()


def test_the_generator_in_half_precision_is_counted_and_gone_afterwards(pipeline):
    t = pipeline(rough=True)
    before, exact = t.G.passes, t.G
    with t.roughly():
        assert t.G(t.x, t.c).dtype == torch.float32
        assert t.G is not exact
    assert t.G is exact
    assert exact.passes == before + len(t)


def out_of_sight(x, c, G):
    """A smooth score that leaves torch."""
    return torch.from_numpy(abs(x.detach().numpy().reshape(len(x), -1).mean(1) - 128 / 255))


def test_a_detector_without_gradient_is_evaded_by_stand_in_and_by_queries(pipeline):
    attack, found = attacked(pipeline, detector=out_of_sight, threshold=0.5 * LEVEL, steps=20)
    assert attack.modes.surrogate is not None
    assert not any(seen.usable for seen in attack.probed.values())
    assert found.modes["lagrangian via queries"].verdict.feasible.all()
    assert found.modes["lagrangian via surrogate"].verdict.feasible.any()
    # Scaled down, nothing is left at this threshold; knowing where the score goes keeps much more.
    assert (found.modes["scaled"].verdict.gain < 0.01).all()
    assert (found.modes["lagrangian via queries"].verdict.gain > 0.4).all()


def test_the_random_search_needs_no_gradient(pipeline):
    _, found = attacked(pipeline, detector=out_of_sight, threshold=1.0 * LEVEL, steps=1, queries=80)
    assert found.modes["square"].verdict.feasible.all()
    assert (found.modes["square"].verdict.gain > 0.4).all()


def hashes(x, c, G):
    """A score that has nothing to do with neighbouring images."""
    place = torch.arange(1, 1 + x[0].numel()).reshape(x[0].shape)
    return ((x * 255).round().double() * place).flatten(1).sum(1).remainder(97).div(97).float()


def test_a_detector_that_hashes_the_image_is_evaded_at_full_strength(pipeline):
    _, found = attacked(pipeline, detector=hashes, threshold=0.5, steps=10, queries=40)
    assert found.pooled.verdict.feasible.all()
    assert (found.pooled.verdict.gain > 0.9).all()


def test_a_detector_with_nothing_to_follow_is_tried_again_and_again(pipeline):
    def blind(x, c, G):
        return hashes((x.detach() * 255).long() / 255, c, G)

    _, found = attacked(pipeline, detector=blind, threshold=0.5, steps=20)
    verdict = found.modes["tries via scores"].verdict
    assert verdict.feasible.all()
    assert (verdict.gain > 0.9).all()


@pytest.fixture(scope="module")
def busy():
    from tests.adaptive.conftest import target

    options = {"detector": off_mean, "threshold": 1.3 * LEVEL, "defense": masked}
    attack = AdaptiveAttack(
        target(copies, 2, name="probe", **options), steps=8, restarts=2, penalties=(0.5, 5.0), queries=10
    )
    return attack, target, options


def test_images_stay_in_the_ball_after_rounding_and_flagged_ones_are_no_success(busy):
    attack, target, options = busy
    t = target(copies, 4, **options)
    result = attack(t, {"other": to_8bit(t.x - 2 * LEVEL)})
    for found in [*result.modes.values(), result.pooled]:
        assert (found.images - t.x).abs().max() <= EPS + 1e-6
        assert torch.equal(found.images, to_8bit(found.images))
        flagged = off_mean(found.images, None, None) > t.threshold
        assert not (flagged & found.verdict.feasible).any()


def test_the_pool_is_as_good_as_every_mode(busy):
    attack, target, options = busy
    t = target(copies, 4, **options)
    result = attack(t, {"other": to_8bit(t.x - 2 * LEVEL)})
    assert "other" in result.modes
    for found in result.modes.values():
        assert (result.pooled.verdict.merit >= found.verdict.merit).all()
    for i, name in enumerate(result.which):
        assert name in result.modes
        assert (
            result.pooled.verdict.gain[i] >= result.modes[name].verdict.gain[i]
            or not (result.modes[name].verdict.feasible[i])
        )


def test_an_image_is_attacked_alike_in_every_batch(busy):
    attack, target, options = busy
    together = attack(target(copies, 3, **options))
    x = grey(3)
    for i in range(3):
        t = target(copies, 3, **options)
        rows = torch.tensor([i])
        alone = target(
            copies, 1, **options | {"x": x[rows], "oblivious": t.oblivious[rows]}, rng_of=t.rng.select(rows)
        )
        one = attack(alone)
        for name, found in one.modes.items():
            assert torch.equal(found.images[0], together.modes[name].images[i]), name
        assert torch.equal(one.pooled.images[0], together.pooled.images[i])


def test_an_image_outside_the_ball_is_not_feasible(pipeline):
    t = pipeline()
    assert t.judge(t.oblivious).feasible.all()
    assert not t.judge(t.x + 7 * LEVEL).feasible.any()
    assert not t.judge(t.x + 0.5 * LEVEL).feasible.any()
