"""The pretended device itself: it takes and refuses what a card does, and tells of waits."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from magdr_core.testing.fake_cuda import DOUBLE, UPLOAD, WAIT, fake_cuda


@pytest.fixture
def card():
    with fake_cuda() as card:
        yield card


def on_card(*shape):
    return torch.ones(shape, device="cuda")


def test_torch_finds_a_card_within_the_block_only():
    before = torch.cuda.is_available()
    with fake_cuda():
        assert torch.cuda.is_available()
        assert torch.zeros(2, device="cuda").device == torch.device("cuda", 0)
    assert torch.cuda.is_available() == before


MIXED = {
    "sum": lambda a, b: a + b,
    "stack": lambda a, b: torch.stack([a, b]),
    "product": lambda a, b: a @ b,
    "convolution": lambda a, b: F.conv2d(a[None, None], b[None, None]),
    "choice": lambda a, b: torch.where(a > 0, a, b),
    "edit": lambda a, b: a.add_(b),
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("card_first", [True, False])
def test_tensors_of_two_devices_are_refused_as_torch_refuses_them(name, card_first):
    def pair():
        a, b = torch.ones(3, 3, device="cuda"), torch.ones(3, 3)
        return (a, b) if card_first else (b, a)

    for mode in (FakeTensorMode(), fake_cuda()):
        with mode, pytest.raises(RuntimeError, match="device"):
            MIXED[name](*pair())


def test_numbers_and_indices_of_the_host_go_with_the_device(card):
    x = on_card(3)
    assert (x + torch.tensor(2.0)).device == x.device
    assert x[torch.tensor([0, 2])].device == x.device
    assert x[[0, 2]].cpu().tolist() == [1, 1]
    x[[1]] = 5.0
    assert x.cpu().tolist() == [1, 5, 1]


def test_indices_of_the_device_do_not_go_with_the_host(card):
    with pytest.raises(RuntimeError, match="same device"):
        torch.ones(3)[torch.tensor([0], device="cuda")]


def test_numpy_is_refused(card):
    with pytest.raises(TypeError, match=r"Tensor\.cpu"):
        on_card(2).numpy()


WAITING = {
    "item": lambda x: x[0].item(),
    "float": lambda x: float(x[0]),
    "bool": lambda x: bool(x[0] > 0),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "equal": lambda x: torch.equal(x, x),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "masked values": lambda x: x.__setitem__(x > 0, torch.ones(3, device="cuda")),
    "synchronize": lambda x: torch.cuda.synchronize(),
}


@pytest.mark.parametrize("name", WAITING)
def test_reads_are_told_with_their_place(name, card):
    x = torch.zeros(3, device="cuda") + 1
    card.events.clear()
    WAITING[name](x)
    assert [e.kind for e in card.events] == [WAIT]
    assert card.events[0].place == "tests.fake_cuda.test_device:<lambda>"


QUIET = {
    "arithmetic": lambda x: (x * 2 + 1).sum(),
    "masked fill": lambda x: x.__setitem__(x > 0, 0.0),
    "choice": lambda x: torch.where(x > 0, x, -x),
    "copy that does not block": lambda x: torch.ones(3).to("cuda", non_blocking=True),
    "same device": lambda x: x.to("cuda"),
    "sort": lambda x: x.sort(),
}


@pytest.mark.parametrize("name", QUIET)
def test_what_does_not_wait_is_not_told(name, card):
    x = on_card(3)
    card.events.clear()
    QUIET[name](x)
    assert not card.events


def test_blocking_copies_and_double_precision_are_told(card):
    x = torch.tensor([1.0, 2.0], device="cuda")
    x.double()
    assert [e.kind for e in card.events] == [UPLOAD, DOUBLE]


def test_networks_and_gradients_give_the_numbers_of_the_cpu():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.InstanceNorm2d(4, affine=True))
    x = torch.rand(2, 3, 8, 8)

    def slope(x):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(net(x).square().sum(), x)[0]

    there = slope(x)
    with fake_cuda():
        net.to("cuda")
        here = slope(x.to("cuda"))
        assert here.is_cuda
        assert torch.equal(here.cpu(), there)


def test_views_share_memory_and_edits_are_counted(card):
    x = torch.zeros(2, 3, device="cuda")
    version = x._version
    x[0].add_(1)
    assert x._version > version
    assert x.sum().item() == 3
