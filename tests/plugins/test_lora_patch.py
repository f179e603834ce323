"""Low-rank patches: merged weights against branches that are computed beside each layer."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from magdr_plugins.generators.cyclegan import CycleGAN
from magdr_plugins.generators.lora_patch import Adapter, LoraPatch, lora_patch
from magdr_plugins.generators.stargan import StarGAN
from torch import nn

from magdr_core.components.batch import Condition
from magdr_core.errors import MagdrError


def editor():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return StarGAN(("Smiling", "Eyeglasses"), width=4, blocks=1, size=16).eval()


def patched(rank=3):
    """An editor with patches that do something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = LoraPatch(editor(), rank)
        for adapter in net.adapters.values():
            nn.init.normal_(adapter.b, std=0.3)
    return net


def given(n=2, side=16):
    x = torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(2))
    return x, Condition(torch.ones(n, 2), torch.ones(n, 2, dtype=torch.bool))


class Branch(nn.Module):
    """The published form: a layer of the same kind with r outputs, a 1x1 layer behind it, and a gate."""

    def __init__(self, layer, adapter, rank):
        super().__init__()
        self.layer, self.a = layer, copy.deepcopy(layer)
        if isinstance(layer, nn.Linear):
            self.a, self.b = (
                nn.Linear(layer.in_features, rank, bias=False),
                nn.Linear(rank, len(adapter.b), False),
            )
        else:
            self.a.bias, self.a.out_channels = None, rank
            self.b = nn.Conv2d(rank, len(adapter.b), 1, bias=False)
        self.a.weight = nn.Parameter(adapter.a.detach().clone())
        self.b.weight = nn.Parameter(adapter.b.detach().reshape(self.b.weight.shape).clone())
        self.scale = torch.sigmoid(adapter.gate.detach()) * 2 / math.sqrt(rank)

    def forward(self, x):
        return self.layer(x) + self.scale * self.b(self.a(x))


LAYERS = [
    nn.Conv2d(4, 6, 3, stride=2, padding=1),
    nn.Conv2d(4, 6, (3, 5), padding=(1, 2), dilation=1, bias=False),
    nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1),
    nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
    nn.Linear(4, 6),
]


@pytest.mark.parametrize("layer", LAYERS, ids=["conv", "oblong", "transposed", "output-padding", "linear"])
def test_a_change_of_weights_is_the_published_branch(layer):
    layer = copy.deepcopy(layer).requires_grad_(False).double()
    adapter = Adapter(layer.weight, 2, transposed=isinstance(layer, nn.ConvTranspose2d)).double()
    nn.init.normal_(adapter.b)
    x = (
        torch.randn(2, 4, dtype=torch.float64)
        if isinstance(layer, nn.Linear)
        else torch.randn(2, 4, 7, 6).double()
    )
    expected = Branch(copy.deepcopy(layer), adapter, 2).double()(x)
    layer.weight += adapter.change().detach()
    assert torch.allclose(layer(x), expected, atol=1e-12)


def test_a_patched_network_is_the_network_of_branches():
    net, (x, c) = patched(), given()
    reference = editor().double()
    for name, layer in list(reference.named_modules()):
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            parent, _, last = name.rpartition(".")
            adapter = net.adapters[f"{name.replace('.', '-')}-weight"].double()
            setattr(reference.get_submodule(parent), last, Branch(layer, adapter, 3).double())
    expected = reference(x.double(), Condition(c.values.double(), c.changed))
    net.float()
    assert not net.merged
    through = net(x, c)
    net.eval()
    assert net.merged
    for y in (through, net(x, c)):
        assert (y - expected).abs().max() < 1e-5
    assert (through - editor()(x, c)).abs().max() > 1e-2


def test_merging_and_unmerging_leave_nothing_behind():
    net, first = patched(), editor().state_dict()
    for _ in range(3):
        net.merge()
        assert any(not torch.equal(v, net.base.state_dict()[k]) for k, v in first.items())
        net.unmerge()
    assert all(torch.equal(v, net.base.state_dict()[k]) for k, v in first.items())
    net.merge()
    once = net.base.state_dict()["main.0.weight"].clone()
    net.merge()
    assert torch.equal(once, net.base.state_dict()["main.0.weight"])


def test_new_patches_replace_merged_ones():
    net, (x, c) = patched().eval(), given()
    net.load_state_dict({k: torch.zeros_like(v) for k, v in net.state_dict().items()})
    assert torch.equal(net(x, c), editor()(x, c))


def test_before_training_it_is_the_generator_itself():
    net, (x, c) = LoraPatch(editor(), 8), given()
    assert torch.equal(net(x, c), editor()(x, c))
    assert torch.equal(net.eval()(x, c), editor()(x, c))


def test_patches_alone_are_kept_and_learn():
    net, (x, c) = patched(), given()
    whole, own = (sum(p.numel() for p in m.parameters()) for m in (editor(), net))
    assert own < whole
    assert {k.split(".")[0] for k in net.state_dict()} == {"adapters"}
    net(x, c).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())
    assert all(p.grad is None and not p.requires_grad for p in net.base.parameters())


def test_the_first_generator_stays_as_it_is():
    first = editor()
    before = {k: v.clone() for k, v in first.state_dict().items()}
    LoraPatch(first, 2).eval().unmerge()
    assert all(torch.equal(v, before[k]) for k, v in first.state_dict().items())


def test_it_answers_for_the_generator_that_it_patches():
    net, (x, c) = patched().eval(), given()
    assert (net.size, net.condition_names) == (16, ("Smiling", "Eyeglasses"))
    assert torch.equal(net.edited(c), editor().edited(c))
    assert len(net.classes(c)) == 2
    # Features are those of the patched weights, so that criteria that look inside see what it does.
    assert not torch.allclose(net.features(x, c)[0], editor().features(x, c)[0])
    assert not hasattr(net, "heads")
    with pytest.raises(AttributeError):
        _ = net.nonsense


def test_another_generator_is_patched_too():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        swapper = CycleGAN(width=4, blocks=1, dropout=False, size=16).eval()
    net = LoraPatch(swapper, 2).eval()
    x = given()[0]
    c = Condition(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool))
    assert torch.equal(net(x, c), swapper(x, c))


def test_numbers_of_another_type_reach_the_copy_and_come_back():
    net = patched().eval()
    net.double()
    assert net(given()[0].double(), given()[1]).dtype == torch.float64
    net.float().unmerge()
    assert all(torch.equal(v, net.base.state_dict()[k]) for k, v in editor().state_dict().items())


def test_what_is_no_network_is_refused_in_one_line():
    with pytest.raises(MagdrError, match="only a torch network can be patched, not a function"):
        lora_patch(generator=lambda x, c: x, weights=None)
    with pytest.raises(MagdrError, match="no convolution"):
        LoraPatch(nn.ReLU(), 2)


TABLES = """
[generator.patched]
use = "lora-patch"
params = { generator = "toy", weights = "random", rank = 2 }

[defense.patch]
use = "twin"
params = { twins = ["patched"] }
"""


def test_as_a_twin_it_is_a_defense(toy):
    kit = toy(TABLES)
    d, G = kit.build("defense", "patch"), kit.generator("toy")
    x, c = given()
    y = d.output(d(x, c, G), x, c, G)
    assert torch.equal(y, kit.generator("patched")(x, c))
