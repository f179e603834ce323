"""Pre-training and picking on images whose best restoration is known."""

import pytest
import torch

from magdr_core.components.protocols import Family, Setting
from magdr_core.magdr.shortlist import JudgedCandidates, Shortlist


def family(name, *shifts):
    return Family(name, tuple(Setting({"by": s}, lambda x, s=s: (x + s).clamp(0, 1)) for s in shifts))


def images(*values):
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 4, 4).clone()


class Darkened:
    """Images that should be 0.5; a candidate's only feature is its distance from that.

    The generator is the identity; `computed` counts the images that it was asked for.
    """

    def __init__(self, *values, screen=lambda error: error):
        self.x = images(*values)
        self.faces = [f"f{i}" for i in range(len(values))]
        self.screen = screen
        self.computed = 0

    def errors(self, candidates):
        return (candidates - 0.5).square().flatten(1).mean(1)

    def judge(self, images, rows, prior, known=None, screening=False):
        error = (images - 0.5).abs().mean(1)  # [M,H,W]
        own = error.flatten(1).mean(1)[:, None]
        halves = torch.stack([error[..., :2].mean((1, 2)), error[..., 2:].mean((1, 2))], 1)[:, :, None]
        outputs = dict(known or {})
        for name in [""] if screening else ["", "flip"]:
            if name not in outputs:
                self.computed += len(images)
                outputs[name] = images
        return JudgedCandidates(self.screen(own), own, halves, outputs)

    def trained(self, shortlist):
        attacked = torch.ones(len(self.x), dtype=torch.bool)
        return shortlist.fit(self.x, self.faces, attacked, self.errors, self.judge, form="nonnegative")


def two_planes(n):
    masks = torch.zeros(n, 2, 4, 4)
    masks[:, 0, :, :2] = 1.0
    masks[:, 1, :, 2:] = 1.0
    return masks


def test_the_image_itself_and_the_most_useful_chains_are_kept():
    shortlist = Shortlist([[family("up", 0.1, 0.3), family("down", -0.1)]], size=2)
    state = Darkened(0.2, 0.2, 0.2, 0.4, 0.4, 0.4).trained(shortlist)
    assert state["chains"] == [[], [["up", {"by": 0.3}]], [["up", {"by": 0.1}]]]


def test_chains_go_through_the_layers_in_the_better_order():
    halve = Family("halve", (Setting({}, lambda x: x / 2),))
    # (.8 + .2) / 2 is right; .8 / 2 + .2 is not.
    shortlist = Shortlist([[halve], [family("up", 0.2)]], size=1)
    state = Darkened(0.8, 0.8, 0.8).trained(shortlist)
    assert str(shortlist.with_state(state).chains[1]) == "up(by=0.2) > halve"
    assert state["order"] == [1, 0]


def test_each_image_gets_its_own_pick():
    shortlist = Shortlist([[family("up", 0.1, 0.3)]], size=2)
    data = Darkened(0.2, 0.4, 0.2, 0.4)
    shortlist = shortlist.with_state(data.trained(shortlist))
    x = images(0.2, 0.4, 0.5)
    pick = shortlist.pick(x, two_planes(3), data.judge)
    assert pick.names == ["up(by=0.3)", "up(by=0.1)", ""]
    assert (pick.images - 0.5).abs().max() < 1 / 255


def test_a_composite_wins_where_regions_need_different_chains():
    shortlist = Shortlist([[family("up", 0.1, 0.3)]], size=2)
    data = Darkened(0.2, 0.4, 0.2, 0.4)
    shortlist = shortlist.with_state(data.trained(shortlist))
    x = images(0.2)
    x[..., 2:] = 0.4  # the right half was darkened less
    whole = shortlist.pick(x, two_planes(1), data.judge)
    regional = shortlist.pick(x, two_planes(1), data.judge, regional=True)
    assert (whole.images - 0.5).abs().mean() > 0.05
    assert regional.names == ["composite"]
    assert (regional.images - 0.5).abs().max() < 1 / 255


def test_a_state_of_another_grid_is_refused():
    shortlist = Shortlist([[family("up", 0.1)]], size=1)
    state = Darkened(0.4, 0.4, 0.4).trained(shortlist)
    other = Shortlist([[family("up", 0.2)]], size=1)
    with pytest.raises(ValueError, match="another grid"):
        other.with_state(state)


SHIFTS = (0.05, 0.1, 0.2, 0.3, 0.4)


def screened(finalists, **options):
    shortlist = Shortlist([[family("up", *SHIFTS)]], size=5, finalists=finalists)
    data = Darkened(0.45, 0.4, 0.3, 0.2, 0.1, 0.45, 0.4, 0.3, 0.2, 0.1, **options)
    return shortlist.with_state(data.trained(shortlist)), data


def test_a_screening_spares_passes_and_keeps_the_pick():
    x = images(0.4, 0.2)
    full, data = screened(5)
    data.computed = 0
    everything = full.pick(x, two_planes(2), data.judge)
    assert data.computed == 2 * 6 * 2  # six candidates, the image itself and its flip
    few, data = screened(2)
    data.computed = 0
    screened_pick = few.pick(x, two_planes(2), data.judge)
    # All are screened by one pass; the image itself and two finalists need the other one.
    assert data.computed == 2 * (6 + 3)
    assert screened_pick.names == everything.names == ["up(by=0.1)", "up(by=0.3)"]
    assert torch.equal(screened_pick.images, everything.images)
    assert screened_pick.scores.isinf().sum(1).tolist() == [3, 3]


def test_what_the_screening_drops_cannot_be_picked():
    blind, data = screened(2, screen=lambda error: torch.zeros_like(error))
    # Without any evidence the first chains of the list are the finalists.
    pick = blind.pick(images(0.1), two_planes(1), data.judge)
    assert pick.names[0] in [str(chain) for chain in blind.chains[1:3]]


def test_outputs_that_are_known_are_not_computed_again():
    shortlist, data = screened(2)
    x = images(0.4)
    data.computed = 0
    pick = shortlist.pick(x, two_planes(1), data.judge, {"": x, "flip": x, "shift": x})
    assert data.computed == 5 + 2
    # What comes back belongs to the image that was picked.
    assert set(pick.outputs) == {"", "flip"}
    assert torch.equal(pick.outputs[""], pick.images)
