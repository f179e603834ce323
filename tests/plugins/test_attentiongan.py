"""AttentionGAN, version 2: the published layout, its weights, what it computes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from magdr_core.errors import RegistryError
from magdr_core.functional import PARTS
from tests.plugins.layouts import (
    disturbed,
    faces,
    instance_normalised,
    invented,
    mirrored,
    pictures,
    rng_of,
    table,
)
from tests.plugins.test_cyclegan import empty

SMALL = {"width": 4, "blocks": 1, "size": 16}


@pytest.fixture
def attentiongan(toolkit_from):
    def make(**params):
        text = table("generator", "attentiongan", **{"weights": "random", **params})
        return toolkit_from(text).generator("g")

    return make


def published(blocks=9):
    """State-dict keys and shapes of `ResnetGenerator_our(3, 3, 64, 9)`."""
    shapes = {
        "conv1": (64, 3, 7, 7),
        "conv2": (128, 64, 3, 3),
        "conv3": (256, 128, 3, 3),
        "deconv3_content": (27, 64, 7, 7),
        "deconv3_attention": (10, 64, 1, 1),
    }
    for i in range(blocks):
        shapes |= {f"resnet_blocks.{i}.conv{j}": (256, 256, 3, 3) for j in (1, 2)}
    ups = {}
    for branch in ("content", "attention"):
        ups |= {f"deconv1_{branch}": (256, 128, 3, 3), f"deconv2_{branch}": (128, 64, 3, 3)}
    keys = {}
    for name, shape in (shapes | ups).items():
        keys |= {f"{name}.weight": shape, f"{name}.bias": (shape[1] if name in ups else shape[0],)}
    return keys


def reference(state, x):
    """(nine images, ten masks, output) as published, in [-1,1] units but the masks."""

    def conv(name, h, **how):
        return F.conv2d(h, state[f"{name}.weight"], state[f"{name}.bias"], **how)

    def enlarged(h, branch):
        for i in (1, 2):
            name = f"deconv{i}_{branch}"
            weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
            h = F.conv_transpose2d(h, weight, bias, stride=2, padding=1, output_padding=1)
            h = torch.relu(instance_normalised(h))
        return h

    sym = 2 * x - 1
    h = torch.relu(instance_normalised(conv("conv1", mirrored(sym, 3))))
    for name in ("conv2", "conv3"):
        h = torch.relu(instance_normalised(conv(name, h, stride=2, padding=1)))
    for i in range(9):
        r = torch.relu(instance_normalised(conv(f"resnet_blocks.{i}.conv1", mirrored(h, 1))))
        h = h + instance_normalised(conv(f"resnet_blocks.{i}.conv2", mirrored(r, 1)))
    images = torch.tanh(conv("deconv3_content", mirrored(enlarged(h, "content"), 3)))
    logits = conv("deconv3_attention", enlarged(h, "attention")).exp()
    masks = logits / logits.sum(1, keepdim=True)
    total = sym * masks[:, 9:10]
    for k in range(9):
        total = total + images[:, 3 * k : 3 * k + 3] * masks[:, k : k + 1]
    return images, masks, total


def test_attentiongan_public_checkpoint_agrees_with_the_reference(attentiongan, tmp_path):
    keys = published()
    assert len(keys) == 54
    state = invented(keys)
    torch.save(state, tmp_path / "latest_net_G_A.pth")
    G = attentiongan(weights="latest_net_G_A.pth")
    assert G.size == 256
    own = G.component.state_dict()
    assert {k: tuple(v.shape) for k, v in own.items()} == keys
    assert sum(v.numel() for v in own.values()) == 11_822_949
    x = pictures(2, 24, 32)
    images, masks, expected = reference(state, x)
    assert masks.std() > 0.01
    torch.testing.assert_close(G(x, empty(2)), (expected + 1) / 2, atol=1e-5, rtol=0)
    painted, attention = G.component.heads(x, empty(2))
    torch.testing.assert_close(painted.flatten(1, 2), (images + 1) / 2, atol=1e-5, rtol=0)
    torch.testing.assert_close(attention, masks, atol=1e-5, rtol=0)


def test_attentiongan_other_files_are_refused_in_one_line(attentiongan, toolkit_from, tmp_path):
    torch.save({"model.1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "cycle.pth")
    with pytest.raises(RegistryError, match=r'for a CycleGAN.s file, use = "cyclegan"$'):
        attentiongan(weights="cycle.pth")
    torch.save(attentiongan(**SMALL).component.state_dict(), tmp_path / "small.pth")
    with pytest.raises(RegistryError, match=r"The file was made with width = 4, blocks = 1$"):
        attentiongan(weights="small.pth")
    state = attentiongan(**SMALL).component.state_dict()
    del state["conv1.bias"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(RegistryError) as e:
        attentiongan(weights="short.pth", **SMALL)
    said = "bad.toml [generator.g]: short.pth does not fit AttentionGAN: missing conv1.bias"
    assert str(e.value) == said


def test_attentiongan_gradients_and_independence_of_batch_and_mode(attentiongan):
    G = attentiongan(**SMALL)
    x = pictures(3, 16, 20)
    assert disturbed(G, x, empty(3)).flatten(1).abs().amax(1).min() > 0
    before = G(x, empty(3))
    assert torch.equal(before[1:2], G(x[1:2], empty(1)))
    G.component.train()
    assert torch.equal(G(x, empty(3)), before)
    with pytest.raises(Exception, match="multiples of 4 from 16 on, got"):
        G(pictures(1, 18, 20), empty(1))


def test_attentiongan_edits_the_face_towards_the_input(attentiongan):
    G = attentiongan(**SMALL)
    assert G.objective == "towards-input"
    batch = faces(("Smiling",), 2)
    c = G.draw(batch, rng_of(batch))
    assert c.values.shape == (2, 0)
    named = {PARTS[i] for i in G.edited(c)[0].nonzero().flatten().tolist()}
    assert named == {"skin", "brows", "eyes", "glasses", "ears", "nose", "mouth"}
