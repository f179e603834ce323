"""ArcFace networks: both published layouts, their weights, and identities as directions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from magdr_plugins.identity_encoders._arcface import IResNet, SEResNet
from magdr_plugins.identity_encoders.arcface import DEPTHS, SE_BLOCKS

from magdr_core.errors import RegistryError
from tests.plugins.layouts import batch_normalised, invented, norm_keys, pictures, table

WIDTHS = (64, 128, 256, 512)


@pytest.fixture
def encoder(toolkit_from):
    def make(use, **params):
        text = table("identity_encoder", use, **{"weights": "random", **params})
        return toolkit_from(text).build("identity_encoder", "g")

    return make


def iresnet(blocks):
    """State-dict keys and shapes of InsightFace's `iresnet`."""
    keys = {"conv1.weight": (64, 3, 3, 3), "prelu.weight": (64,)} | norm_keys("bn1", 64)
    before = 64
    for stage, (after, count) in enumerate(zip(WIDTHS, blocks, strict=True), 1):
        for i in range(count):
            name, own = f"layer{stage}.{i}", before if i == 0 else after
            keys |= norm_keys(f"{name}.bn1", own) | {f"{name}.conv1.weight": (after, own, 3, 3)}
            keys |= norm_keys(f"{name}.bn2", after) | {f"{name}.prelu.weight": (after,)}
            keys |= {f"{name}.conv2.weight": (after, after, 3, 3)} | norm_keys(f"{name}.bn3", after)
            if i == 0:
                keys[f"{name}.downsample.0.weight"] = (after, own, 1, 1)
                keys |= norm_keys(f"{name}.downsample.1", after)
        before = after
    keys |= norm_keys("bn2", 512) | {"fc.weight": (512, 25088), "fc.bias": (512,)}
    return keys | norm_keys("features", 512)


def se_resnet():
    """State-dict keys and shapes of the network that SimSwap takes identities of."""
    keys = {"conv1.weight": (64, 3, 3, 3), "prelu.weight": (1,)} | norm_keys("bn1", 64)
    before = 64
    for stage, (after, count) in enumerate(zip(WIDTHS, (3, 4, 23, 3), strict=True), 1):
        for i in range(count):
            name, own = f"layer{stage}.{i}", before if i == 0 else after
            keys |= norm_keys(f"{name}.bn0", own) | {f"{name}.conv1.weight": (own, own, 3, 3)}
            keys |= norm_keys(f"{name}.bn1", own) | {f"{name}.prelu.weight": (1,)}
            keys |= {f"{name}.conv2.weight": (after, own, 3, 3)} | norm_keys(f"{name}.bn2", after)
            keys |= {f"{name}.se.fc.0.weight": (after // 16, after), f"{name}.se.fc.0.bias": (after // 16,)}
            keys |= {f"{name}.se.fc.1.weight": (1,)}
            keys |= {f"{name}.se.fc.2.weight": (after, after // 16), f"{name}.se.fc.2.bias": (after,)}
            if own != after:
                keys[f"{name}.downsample.0.weight"] = (after, own, 1, 1)
                keys |= norm_keys(f"{name}.downsample.1", after)
        before = after
    keys |= norm_keys("bn2", 512) | {"fc.weight": (512, 25088), "fc.bias": (512,)}
    return keys | norm_keys("bn3", 512)


def prelu(state, name, y):
    return torch.where(y > 0, y, state[f"{name}.weight"].reshape(1, -1, 1, 1) * y)


def beside(state, name, x, stride):
    if f"{name}.downsample.0.weight" not in state:
        return x
    y = F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride)
    return batch_normalised(state, f"{name}.downsample.1", y)


def last(state, y, norm):
    y = batch_normalised(state, "bn2", y).reshape(len(y), -1)
    y = batch_normalised(state, norm, y @ state["fc.weight"].T + state["fc.bias"])
    return y / y.square().sum(1, keepdim=True).sqrt()


def iresnet_reference(state, x, blocks):
    """Directions `[B,512]` of pictures `[B,3,112,112]` in [0,1], as published."""

    def bn(name, y):
        return batch_normalised(state, name, y)

    y = prelu(state, "prelu", bn("bn1", F.conv2d(2 * x - 1, state["conv1.weight"], padding=1)))
    for stage, count in enumerate(blocks, 1):
        for i in range(count):
            name, stride = f"layer{stage}.{i}", 2 if i == 0 else 1
            z = F.conv2d(bn(f"{name}.bn1", y), state[f"{name}.conv1.weight"], padding=1)
            z = prelu(state, f"{name}.prelu", bn(f"{name}.bn2", z))
            z = bn(f"{name}.bn3", F.conv2d(z, state[f"{name}.conv2.weight"], padding=1, stride=stride))
            y = z + beside(state, name, y, stride)
    return last(state, y, "features")


def se_reference(state, x):
    """The same of the other network, of pictures `[B,3,H,W]` in [0,1] of any size."""

    def bn(name, y):
        return batch_normalised(state, name, y)

    rows = [int(i * x.shape[2] / 112) for i in range(112)]
    columns = [int(i * x.shape[3] / 112) for i in range(112)]
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    y = (x[:, :, rows][:, :, :, columns] - mean) / std
    y = prelu(state, "prelu", bn("bn1", F.conv2d(y, state["conv1.weight"])))
    y = y.unfold(2, 2, 2).unfold(3, 2, 2).amax((-2, -1))
    for stage, count in enumerate((3, 4, 23, 3), 1):
        for i in range(count):
            name, stride = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            z = F.conv2d(bn(f"{name}.bn0", y), state[f"{name}.conv1.weight"], padding=1)
            z = prelu(state, f"{name}.prelu", bn(f"{name}.bn1", z))
            z = bn(f"{name}.bn2", F.conv2d(z, state[f"{name}.conv2.weight"], padding=1, stride=stride))
            weigh = z.mean((2, 3)) @ state[f"{name}.se.fc.0.weight"].T + state[f"{name}.se.fc.0.bias"]
            weigh = torch.where(weigh > 0, weigh, state[f"{name}.se.fc.1.weight"] * weigh)
            weigh = weigh @ state[f"{name}.se.fc.2.weight"].T + state[f"{name}.se.fc.2.bias"]
            z = z / (1 + torch.exp(-weigh))[:, :, None, None]
            y = prelu(state, f"{name}.prelu", z + beside(state, name, y, stride))
    return last(state, y, "bn3")


PUBLISHED = {"18": 24_025_600, "34": 34_139_328, "50": 43_590_848, "100": 65_156_160}


@pytest.mark.parametrize("depth", PUBLISHED)
def test_arcface_published_keys_and_shapes(depth):
    with torch.device("meta"):
        net = IResNet(DEPTHS[depth], 512)
    assert {k: tuple(v.shape) for k, v in net.state_dict().items()} == iresnet(DEPTHS[depth])
    assert sum(p.numel() for p in net.parameters()) == PUBLISHED[depth]


def test_arcface_se_published_keys_and_shapes():
    with torch.device("meta"):
        net = SEResNet(SE_BLOCKS, 512)
    keys = se_resnet()
    assert {k: tuple(v.shape) for k, v in net.state_dict().items()} == keys
    assert (len(keys), sum(p.numel() for p in net.parameters())) == (796, 52_193_215)


def calmed(state):
    """Sums of many blocks, kept near 1."""
    for key, value in state.items():
        if key.endswith(("bn3.weight", "bn2.weight")) and key.startswith("layer"):
            value *= 0.3
    return state


def test_arcface_public_checkpoint_agrees_with_the_reference(encoder, tmp_path):
    """A backbone as InsightFace's training writes it, of several GPUs and in half precision."""
    state = calmed(invented(iresnet(DEPTHS["18"])))
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    torch.save({f"module.{k}": v for k, v in half.items()}, tmp_path / "backbone.pth")
    E = encoder("arcface", weights="backbone.pth", depth="18")
    x = pictures(2, 112, 112)
    wide = {k: v.float() for k, v in half.items()}
    expected = iresnet_reference(wide, x, DEPTHS["18"])
    assert (expected[0] * expected[1]).sum() < 0.999
    torch.testing.assert_close(E(x), expected, atol=1e-5, rtol=0)


def test_arcface_se_public_checkpoint_agrees_with_the_reference(encoder, tmp_path):
    state = calmed(invented(se_resnet()))
    torch.save(state, tmp_path / "arcface.pth")
    E = encoder("arcface-se", weights="arcface.pth")
    x = pictures(2, 224, 160)
    expected = se_reference(state, x)
    assert (expected[0] * expected[1]).sum() < 0.999
    torch.testing.assert_close(E(x), expected, atol=1e-5, rtol=0)


def test_arcface_other_files_are_refused_in_one_line(encoder, tmp_path):
    small = {k: torch.zeros(v) for k, v in iresnet(DEPTHS["18"]).items() if k != "fc.weight"}
    torch.save(small, tmp_path / "w.pth")
    with pytest.raises(RegistryError) as e:
        encoder("arcface", weights="w.pth", depth="34")
    assert str(e.value).endswith('. The file was made with depth = "18"')
    assert "\n" not in str(e.value)
    with pytest.raises(RegistryError, match=r'It is of another layout: use = "arcface"$'):
        encoder("arcface-se", weights="w.pth")
    torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "w.pth")
    with pytest.raises(RegistryError, match="It is no ArcFace network of a known layout"):
        encoder("arcface", weights="w.pth", depth="18")


def test_arcface_directions_have_gradients_everywhere_but_where_nearest_looks_past(encoder):
    x = pictures(1, 224, 224)
    reached = {}
    for resizing in ("bilinear", "nearest", "area"):
        E = encoder("arcface", depth="18", resizing=resizing)
        leaf = x.clone().requires_grad_()
        y = E(leaf)
        torch.testing.assert_close(y.square().sum(1), torch.ones(1))
        y[:, 0].sum().backward()
        reached[resizing] = (leaf.grad.abs().sum(1) > 0).float().mean()
    assert reached["bilinear"] == reached["area"] == 1
    assert abs(reached["nearest"] - 0.25) < 0.01


def test_arcface_crop_looks_at_the_middle(encoder):
    x = pictures(2, 140, 140)
    other = x.clone()
    other[:, :, :14] = 0.5
    cropped, whole = encoder("arcface", depth="18", crop=0.8), encoder("arcface", depth="18")
    assert torch.equal(cropped(x), cropped(other))
    assert not torch.equal(whole(x), whole(other))
    torch.testing.assert_close(cropped(x), whole(x[:, :, 14:126, 14:126]), atol=1e-6, rtol=0)
