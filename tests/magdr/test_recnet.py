"""Algorithm 1 on a toy search: images are constants, filters add, the score is the distance to a goal."""

import pytest
import torch

from magdr_core.components.protocols import Family, Setting
from magdr_core.magdr.recnet import RecNet


class Add:
    def __init__(self, amount, calls=None, name=""):
        self.amount, self.calls, self.name = amount, calls if calls is not None else [], name

    def __call__(self, x):
        self.calls.append((self.name, len(x)))
        return x + self.amount


def family(name, *amounts, calls=None):
    return Family(name, tuple(Setting({"by": a}, Add(a, calls, f"{name}{a}")) for a in amounts))


def distance_to(goal):
    return lambda images, rows: (images.mean((1, 2, 3)) - goal[rows]).abs()[:, None]


def images(*values):
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 2, 2).clone()


WHOLE = torch.ones(1, 1, 2, 2)


def whole(n):
    return WHOLE.expand(n, -1, -1, -1)


def test_pretraining_keeps_the_best_mean_setting_of_each_category():
    net = RecNet(((family("a", 0.1, 0.3, 0.5), family("b", -0.2, 0.2)),))
    trained = net.pretrain(images(0.0, 0.2), whole(2), distance_to(torch.tensor([0.4, 0.5])))
    # a: mean distances .3/.2, .1/0, .1/.2 -> .3 wins; b: .6/.5, .2/.1 -> .2 wins.
    assert trained.best == ((1, 1),)


def test_pretraining_chooses_the_order_with_the_lowest_mean_score():
    double = Family("double", (Setting({}, lambda x: x * 2),))
    add = Family("add", (Setting({}, lambda x: x + 0.1),))
    net = RecNet(((double,), (add,)), keep=False, min_gain=-torch.inf)
    score = distance_to(torch.tensor([0.4]))  # (0.1 + 0.1) * 2 = 0.4, but 0.1 * 2 + 0.1 = 0.3
    trained = net.pretrain(images(0.1), whole(1), score, orders=[(0, 1), (1, 0)])
    assert trained.order == (1, 0)


def test_inference_searches_all_settings_of_the_top_categories_only():
    calls = []
    families = tuple(
        family(name, *amounts, calls=calls)
        for name, amounts in {"a": (0.1, 0.15), "b": (0.2, 0.25), "c": (0.3, 0.35), "d": (-0.5, 0.4)}.items()
    )
    # q(k) is the first setting: d looks worst, so its good second setting is never tried (line 8).
    net = RecNet((families,), best=((0, 0, 0, 0),), top=3, keep=False, min_gain=-torch.inf)
    found, _, plans = net.search(images(0.0), whole(1), distance_to(torch.tensor([0.4])))
    assert plans == [[["c(by=0.35)"]]]
    assert found.mean().item() == pytest.approx(0.35)
    assert ("d0.4", 1) not in calls
    assert sum(n for _, n in calls) == 4 + 3  # K screenings and the other settings of three categories


def test_each_image_gets_its_own_choice():
    net = RecNet(((family("a", 0.1, 0.3), family("b", -0.1, -0.3)),))
    goal = torch.tensor([0.8, 0.2, 0.6])
    found, scores, plans = net.search(images(0.5, 0.5, 0.5), whole(3), distance_to(goal))
    assert [p[0][0] for p in plans] == ["a(by=0.3)", "b(by=-0.3)", "a(by=0.1)"]
    assert scores.flatten().tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    assert found.mean((1, 2, 3)).tolist() == pytest.approx([0.8, 0.2, 0.6])


def test_layers_run_one_after_the_other_on_the_result_of_the_last():
    net = RecNet(((family("a", 0.2),), (family("b", 0.1),)))
    found, _, plans = net.search(images(0.0), whole(1), distance_to(torch.tensor([0.3])))
    assert plans == [[["a(by=0.2)"], ["b(by=0.1)"]]]
    assert found.mean().item() == pytest.approx(0.3)


def test_a_layer_that_gains_too_little_is_not_taken():
    net = RecNet(((family("a", 0.1),),), min_gain=0.2)
    found, scores, plans = net.search(images(0.0), whole(1), distance_to(torch.tensor([0.5])))
    assert plans == [[[""]]]
    assert found.abs().max() == 0
    assert scores.item() == pytest.approx(0.5)


def test_a_clean_image_is_left_alone_since_keeping_it_competes():
    net = RecNet(((family("a", 0.1, -0.1),),))
    _, _, plans = net.search(images(0.5), whole(1), distance_to(torch.tensor([0.5])))
    assert plans == [[[""]]]


def test_as_printed_the_best_candidate_is_taken_even_if_it_is_worse():
    net = RecNet(((family("a", 0.1, -0.2),),), keep=False, min_gain=-torch.inf)
    _, _, plans = net.search(images(0.5), whole(1), distance_to(torch.tensor([0.5])))
    assert plans == [[["a(by=0.1)"]]]


def test_regions_choose_for_themselves_and_are_blended_by_the_masks():
    masks = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])[None]
    goals = torch.tensor([0.2, 0.4])

    def score(candidates, rows):
        means = (candidates.mean(1, keepdim=True) * masks).sum((2, 3)) / masks.sum((2, 3))
        return (means - goals).abs()

    net = RecNet(((family("a", 0.2), family("b", 0.4)),))
    found, _, plans = net.search(images(0.0), masks, score)
    assert plans == [[["a(by=0.2)", "b(by=0.4)"]]]
    assert found[0, 0].tolist() == [pytest.approx([0.2, 0.4]), pytest.approx([0.2, 0.4])]


def test_state_survives_a_round_trip_and_refuses_another_grid():
    net = RecNet(((family("a", 0.1, 0.3), family("b", 0.2)),), best=((1, 0),), order=(0,))
    again = RecNet(net.layers).with_state(net.state())
    assert again.best == ((1, 0),)
    with pytest.raises((ValueError, KeyError)):
        RecNet(((family("a", 0.5), family("b", 0.2)),)).with_state(net.state())
