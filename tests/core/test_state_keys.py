"""Keys of a state dict against a network's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from magdr_core.components.state_keys import faults_between, unwrapped
from magdr_core.components.weights import load_state
from magdr_core.errors import WeightsError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


class Wrapper(nn.Module):
    """A network whose own names are those of wrappers."""

    def __init__(self):
        super().__init__()
        self.module = nn.Linear(2, 3)
        self.model = nn.Linear(2, 3)


@pytest.mark.parametrize(
    "form",
    [
        *("{}", "module.{}", "_orig_mod.{}", "module._orig_mod.{}", "_orig_mod.module.module.{}", "model.{}"),
        *("module.model.{}", "generator.model.{}", "netG.module.{}", "G.{}"),
    ],
)
def test_wrappers_around_a_network_are_taken_away(tmp_path, form):
    saved, net = Net(), Net()
    torch.save({form.format(k): v for k, v in saved.state_dict().items()}, tmp_path / "w.pth")
    load_state(net, tmp_path / "w.pth")
    assert all(torch.equal(v, saved.state_dict()[k]) for k, v in net.state_dict().items())


def test_wrappers_inside_a_network_are_taken_away():
    state = {"main.0._orig_mod.weight": torch.zeros(1), "main.1.module.weight": torch.ones(1)}
    assert list(unwrapped(state, Net().state_dict())) == ["main.0.weight", "main.1.weight"]


def test_names_of_the_network_itself_stay():
    state = Wrapper().state_dict()
    assert list(unwrapped(state, state)) == list(state)
    assert list(unwrapped({f"_orig_mod.{k}": v for k, v in state.items()}, state)) == list(state)


def test_owner_of_some_keys_only_stays():
    state = {"generator.a": torch.zeros(1), "discriminator.a": torch.zeros(1)}
    assert list(unwrapped(state, {"a": torch.zeros(1)})) == list(state)


def test_key_with_and_without_its_wrapper_is_refused():
    with pytest.raises(WeightsError, match=r"holds a twice: as a and as module\.a"):
        unwrapped({"a": torch.zeros(1), "module.a": torch.ones(1)}, {"a": torch.zeros(1)})


def test_every_kind_of_fault_is_shown_beside_the_others():
    wanted = {f"w{i}": torch.zeros(1) for i in range(9)} | {"s": torch.zeros(2), "t": torch.zeros(1)}
    state = {f"u{i}": torch.zeros(1) for i in range(5)} | {"s": torch.zeros(3), "t": torch.zeros(1).int()}
    assert faults_between(state, wanted) == [
        *("missing w0", "missing w1", "missing w2 and 6 more missing"),
        *("unexpected u0", "unexpected u1", "unexpected u2 and 2 more unexpected"),
        "s is (3,), expected (2,)",
        "t is int32, expected float32",
    ]
    assert faults_between(wanted, wanted) == []


def test_remedy_ends_the_message_and_never_breaks_it(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"unexpected a\. Say width = 3$"):
        load_state(nn.Linear(1, 1), tmp_path / "w.pth", remedy=lambda state: "Say width = 3")
    with pytest.raises(WeightsError, match=r"unexpected a$"):
        load_state(nn.Linear(1, 1), tmp_path / "w.pth", remedy=lambda state: str(state["b"]))
