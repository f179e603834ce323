"""Pre-training and picking on images whose best restoration is known."""

import numpy as np
import pytest
import torch

from magdr_core.magdr.shortlist import Shortlist, _cover
from magdr_core.protocols import Family, Setting


def family(name, *shifts):
    return Family(name, tuple(Setting({"by": s}, lambda x, s=s: (x + s).clamp(0, 1)) for s in shifts))


def images(*values):
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 4, 4).clone()


class Darkened:
    """Images that should be 0.5; a candidate's only feature is its distance from that."""

    def __init__(self, *values):
        self.x = images(*values)
        self.faces = [f"f{i}" for i in range(len(values))]

    def errors(self, candidates):
        return (candidates - 0.5).square().flatten(1).mean(1)

    @staticmethod
    def features(images, rows, prior):
        own = (images - 0.5).abs().flatten(1).mean(1)[:, None]
        return own, own[:, None].expand(-1, 2, -1)

    def trained(self, shortlist):
        attacked = torch.ones(len(self.x), dtype=torch.bool)
        state = shortlist.fit(self.x, self.faces, attacked, self.errors, self.features, form="nonnegative")
        return state


def two_planes(n):
    masks = torch.zeros(n, 2, 4, 4)
    masks[:, 0, :, :2] = 1.0
    masks[:, 1, :, 2:] = 1.0
    return masks


def test_the_image_itself_and_the_most_useful_chains_are_kept():
    shortlist = Shortlist([[family("up", 0.1, 0.3), family("down", -0.1)]], size=2)
    state = Darkened(0.2, 0.2, 0.2, 0.4, 0.4, 0.4).trained(shortlist)
    names = [str(c) for c in shortlist.chains]
    assert names[0] == ""
    assert set(names[1:]) == {"up(by=0.3)", "up(by=0.1)"}
    assert state["chains"][0] == []


def test_chains_go_through_the_layers_in_the_better_order():
    halve = Family("halve", (Setting({}, lambda x: x / 2),))
    # (.8 + .2) / 2 is right; .8 / 2 + .2 is not.
    shortlist = Shortlist([[halve], [family("up", 0.2)]], size=1)
    state = Darkened(0.8, 0.8, 0.8).trained(shortlist)
    assert str(shortlist.chains[1]) == "up(by=0.2) > halve"
    assert state["order"] == [1, 0]


def test_each_image_gets_its_own_pick():
    shortlist = Shortlist([[family("up", 0.1, 0.3)]], size=2)
    data = Darkened(0.2, 0.4, 0.2, 0.4)
    shortlist.load(data.trained(shortlist))
    x = images(0.2, 0.4, 0.5)
    pick = shortlist.pick(x, two_planes(3), data.features)
    assert pick.names == ["up(by=0.3)", "up(by=0.1)", ""]
    assert (pick.images - 0.5).abs().max() < 1 / 255


def test_a_composite_wins_where_regions_need_different_chains():
    shortlist = Shortlist([[family("up", 0.1, 0.3)]], size=2)
    data = Darkened(0.2, 0.4, 0.2, 0.4)
    shortlist.load(data.trained(shortlist))
    x = images(0.2)
    x[..., 2:] = 0.4  # the right half was darkened less

    def features(images, rows, prior):
        error = (images - 0.5).abs().mean(1)  # [M,H,W]
        halves = torch.stack([error[..., :2].mean((1, 2)), error[..., 2:].mean((1, 2))], 1)
        return error.mean((1, 2))[:, None], halves[:, :, None]

    whole = shortlist.pick(x, two_planes(1), features)
    regional = shortlist.pick(x, two_planes(1), features, regional=True)
    assert (whole.images - 0.5).abs().mean() > 0.05
    assert regional.names == ["composite"]
    assert (regional.images - 0.5).abs().max() < 1 / 255


def test_a_state_of_another_grid_is_refused():
    shortlist = Shortlist([[family("up", 0.1)]], size=1)
    state = Darkened(0.4, 0.4, 0.4).trained(shortlist)
    other = Shortlist([[family("up", 0.2)]], size=1)
    with pytest.raises(ValueError, match="another grid"):
        other.load(state)


def test_cover_takes_what_helps_most_beside_what_is_there():
    # Row 3 is the best on average, but rows 1 and 2 together are better still.
    logs = np.array([[0.0, 0.0], [-4.0, 0.0], [0.0, -4.0], [-2.5, -2.5]])
    assert _cover(logs, 1) == [0, 3]
    assert _cover(logs, 3) == [0, 3, 1, 2]
