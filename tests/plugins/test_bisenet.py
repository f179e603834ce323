"""BiSeNet: the published layout, its weights, and what it computes, against an independent reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from magdr_core.errors import RegistryError
from magdr_core.functional import PARTS
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit

# The published classes of each part: left and right together, earrings with ears, necklace with neck.
MEMBERS = {
    "background": [0],
    "skin": [1],
    "brows": [2, 3],
    "eyes": [4, 5],
    "glasses": [6],
    "ears": [7, 8, 9],
    "nose": [10],
    "mouth": [11, 12, 13],
    "neck": [14, 15],
    "cloth": [16],
    "hair": [17],
    "hat": [18],
}
SMALL = {"width": 4, "working_size": 64}


def published():
    """State-dict keys and shapes of zllrunning's BiSeNet(19)."""
    convs = {
        "cp.resnet.conv1": (64, 3, 7, 7),
        "cp.arm16.conv.conv": (128, 256, 3, 3),
        "cp.arm16.conv_atten": (128, 128, 1, 1),
        "cp.arm32.conv.conv": (128, 512, 3, 3),
        "cp.arm32.conv_atten": (128, 128, 1, 1),
        "cp.conv_head32.conv": (128, 128, 3, 3),
        "cp.conv_head16.conv": (128, 128, 3, 3),
        "cp.conv_avg.conv": (128, 512, 1, 1),
        "ffm.convblk.conv": (256, 256, 1, 1),
        "ffm.conv1": (64, 256, 1, 1),
        "ffm.conv2": (256, 64, 1, 1),
        "conv_out.conv.conv": (256, 256, 3, 3),
        "conv_out.conv_out": (19, 256, 1, 1),
        "conv_out16.conv.conv": (64, 128, 3, 3),
        "conv_out16.conv_out": (19, 64, 1, 1),
        "conv_out32.conv.conv": (64, 128, 3, 3),
        "conv_out32.conv_out": (19, 64, 1, 1),
    }
    norms = {
        "cp.resnet.bn1": 64,
        **dict.fromkeys(("cp.arm16.conv.bn", "cp.arm16.bn_atten", "cp.arm32.conv.bn"), 128),
        **dict.fromkeys(("cp.arm32.bn_atten", "cp.conv_head32.bn", "cp.conv_head16.bn"), 128),
        "cp.conv_avg.bn": 128,
        **dict.fromkeys(("ffm.convblk.bn", "conv_out.conv.bn"), 256),
        **dict.fromkeys(("conv_out16.conv.bn", "conv_out32.conv.bn"), 64),
    }
    inp = 64
    for stage, width in enumerate((64, 128, 256, 512), 1):
        for block in (0, 1):
            name = f"cp.resnet.layer{stage}.{block}"
            convs |= {f"{name}.conv1": (width, inp, 3, 3), f"{name}.conv2": (width, width, 3, 3)}
            norms |= {f"{name}.bn1": width, f"{name}.bn2": width}
            if inp != width:
                convs[f"{name}.downsample.0"] = (width, inp, 1, 1)
                norms[f"{name}.downsample.1"] = width
            inp = width
    shapes = {f"{name}.weight": shape for name, shape in convs.items()}
    for name, width in norms.items():
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (width,)
        shapes[f"{name}.num_batches_tracked"] = ()
    return shapes


def invented(shapes, seed=0):
    """Values for them that keep activations, and so the softmax, in a range where mistakes show."""
    g = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(80_000)
        elif len(shape) == 4:
            fan_in = shape[1] * shape[2] * shape[3]
            state[name] = torch.randn(shape, generator=g) * (1.6 / fan_in) ** 0.5
        elif name.endswith(("running_var", "weight")):
            state[name] = 0.6 + 0.8 * torch.rand(shape, generator=g)
        else:
            state[name] = 0.2 * torch.randn(shape, generator=g)
    return state


@pytest.fixture(scope="module")
def public_state():
    return invented(published())


@pytest.fixture(scope="module")
def checkpoint(public_state, tmp_path_factory):
    """The invented public checkpoint, in the file format of its time."""
    path = tmp_path_factory.mktemp("public") / "79999_iter.pth"
    torch.save(public_state, path, _use_new_zipfile_serialization=False)
    return path


def parser_of(path, **params):
    values = ", ".join(f"{k} = {v!r}" for k, v in params.items())
    registry = parse_registry(f'[parser.p]\nuse = "bisenet"\nparams = {{ {values} }}', path / "bad.toml")
    return Toolkit(registry, device="cpu").build("parser", "p")


@pytest.fixture(scope="module")
def public(checkpoint):
    """The published network at a working size of 96."""
    return parser_of(checkpoint.parent, weights=checkpoint.name, width=64, working_size=96)


@pytest.fixture
def bisenet(tmp_path):
    """`bisenet(**params)`: a guarded parser, random weights unless said otherwise."""
    return lambda **params: parser_of(tmp_path, **{"weights": "random", **params})


# -- an independent reference ---------------------------------------------------------------------------


class Reference:
    """The published network written out as functions of its state dict; x: `[B,3,S,S]` in [0,1]."""

    def __init__(self, state):
        self.state = state

    def conv(self, x, name, stride=1):
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)

    def norm(self, x, name):
        mean, var, gain, bias = (
            self.state[f"{name}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * gain + bias

    def conv_norm(self, x, name):
        return F.relu(self.norm(self.conv(x, f"{name}.conv"), f"{name}.bn"))

    def block(self, x, name, stride):
        y = F.relu(self.norm(self.conv(x, f"{name}.conv1", stride), f"{name}.bn1"))
        y = self.norm(self.conv(y, f"{name}.conv2"), f"{name}.bn2")
        if f"{name}.downsample.0.weight" in self.state:
            x = self.norm(self.conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        return F.relu(x + y)

    def stages(self, x):
        mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
        y = F.relu(self.norm(self.conv((x - mean) / std, "cp.resnet.conv1", 2), "cp.resnet.bn1"))
        y = F.max_pool2d(y, 3, stride=2, padding=1)
        kept = []
        for stage in (1, 2, 3, 4):
            y = self.block(y, f"cp.resnet.layer{stage}.0", 1 if stage == 1 else 2)
            y = self.block(y, f"cp.resnet.layer{stage}.1", 1)
            kept.append(y)
        return kept

    def refine(self, x, name):
        y = self.conv_norm(x, f"{name}.conv")
        gate = self.conv(y.mean((2, 3), keepdim=True), f"{name}.conv_atten")
        return y * torch.sigmoid(self.norm(gate, f"{name}.bn_atten"))

    def head(self, x, name):
        return self.conv(self.conv_norm(x, f"{name}.conv"), f"{name}.conv_out")

    def logits(self, x):
        """All three heads, `[B,19,S,S]` each."""
        _, fine, middle, coarse = self.stages(x)
        mean = self.conv_norm(coarse.mean((2, 3), keepdim=True), "cp.conv_avg")
        y = self.refine(coarse, "cp.arm32") + mean
        context16 = self.conv_norm(twice(y), "cp.conv_head32")
        context8 = self.conv_norm(twice(self.refine(middle, "cp.arm16") + context16), "cp.conv_head16")
        y = self.conv_norm(torch.cat([fine, context8], 1), "ffm.convblk")
        gate = self.conv(F.relu(self.conv(y.mean((2, 3), keepdim=True), "ffm.conv1")), "ffm.conv2")
        y = y * torch.sigmoid(gate) + y
        heads = [
            self.head(y, "conv_out"),
            self.head(context8, "conv_out16"),
            self.head(context16, "conv_out32"),
        ]
        return [corners_aligned(h, x.shape[-1]) for h in heads]

    def masks(self, x, size):
        """Merged soft masks at `size`, which divides the side of x."""
        p = self.logits(x)[0].softmax(1)
        merged = torch.stack([p[:, MEMBERS[part]].sum(1) for part in PARTS], 1)
        merged = F.avg_pool2d(merged, x.shape[-1] // size)
        return merged / merged.sum(1, keepdim=True)


def twice(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def corners_aligned(x, side):
    """Bilinear enlargement whose corner samples are the corner cells, written as two weighted sums."""
    n = x.shape[-1]
    at = torch.arange(side) * (n - 1) / (side - 1)
    low = at.floor().long().clamp(max=n - 2)
    weights = torch.zeros(side, n)
    weights[torch.arange(side), low] = 1 - (at - low)
    weights[torch.arange(side), low + 1] += at - low
    return torch.einsum("ih,jw,bchw->bcij", weights, weights, x)


def pictures(count, *size):
    coarse = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    return F.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


# -- weights --------------------------------------------------------------------------------------------


def test_bisenet_published_keys_and_shapes(bisenet):
    net = bisenet(width=64, working_size=512).component
    shapes = published()
    assert len(shapes) == 191
    assert {k: tuple(v.shape) for k, v in net.state_dict().items()} == shapes
    assert sum(p.numel() for p in net.parameters()) == 13_300_416


def test_bisenet_public_checkpoint_loads(public, public_state):
    state = public.component.state_dict()
    assert all(torch.equal(v, public_state[k]) for k, v in state.items())


def test_bisenet_wrong_width_lists_the_keys(checkpoint):
    with pytest.raises(RegistryError) as e:
        parser_of(checkpoint.parent, weights=checkpoint.name, width=32)
    assert str(e.value).startswith(
        "bad.toml [parser.p]: 79999_iter.pth does not fit BiSeNet: "
        "cp.resnet.conv1.weight is (64, 3, 7, 7), expected (32, 3, 7, 7); cp.resnet.bn1.weight is (64,), "
    )


# -- what it computes -----------------------------------------------------------------------------------


def test_bisenet_agrees_with_the_reference(public, public_state):
    parser = public
    x = pictures(2, 96, 96)
    reference = Reference(public_state)
    expected = reference.masks(x, 96)
    assert expected.amax((2, 3)).max() > 0.5
    assert (expected[0] - expected[1]).abs().max() > 0.01
    assert (parser(x) - expected).abs().max() < 3e-5
    for stage, other in zip(parser.features(x), reference.stages(x), strict=True):
        assert torch.allclose(stage, other, atol=1e-5 * other.abs().max().item(), rtol=0)
    for got, logits in zip(parser.component.logits(x), reference.logits(x), strict=True):
        merged = torch.stack([logits[:, MEMBERS[part]].exp().sum(1).log() for part in PARTS], 1)
        assert torch.allclose(got, merged, atol=1e-4, rtol=0)


def test_bisenet_brings_images_to_its_size_as_the_public_code_does(public, public_state):
    """Pillow's bilinear filter up to the working size, and means of the masks down again."""
    x = pictures(1, 32, 32)
    channels = [Image.fromarray(c.numpy()) for c in x[0]]  # 32-bit floats: no rounding to 8 bits
    up = [np.asarray(c.resize((96, 96), Image.Resampling.BILINEAR)) for c in channels]
    expected = Reference(public_state).masks(torch.from_numpy(np.stack(up))[None], 32)
    assert torch.allclose(public(x), expected, atol=1e-5, rtol=0)


def test_bisenet_shrinks_large_images_with_pillows_filter(public, public_state):
    x = pictures(1, 160, 160)
    channels = [Image.fromarray(c.numpy()) for c in x[0]]
    small = [np.asarray(c.resize((96, 96), Image.Resampling.BILINEAR)) for c in channels]
    same = public(torch.from_numpy(np.stack(small))[None])
    expected = F.interpolate(same, (160, 160), mode="bilinear", align_corners=False)
    assert torch.allclose(public(x), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(64, 64), (50, 34), (33, 97), (128, 20)])
def test_bisenet_any_size_gives_masks_that_sum_to_one(bisenet, size):
    masks = bisenet(**SMALL)(pictures(3, *size))
    assert masks.shape == (3, len(PARTS), *size)
    assert masks.min() >= 0
    assert torch.allclose(masks.sum(1), torch.ones(3, *size), atol=1e-5)


def test_bisenet_features_are_finest_first_and_differentiable(bisenet):
    parser = bisenet(**SMALL)
    x = pictures(2, 40, 40).requires_grad_()
    maps = parser.features(x)
    assert [tuple(f.shape) for f in maps] == [(2, 4, 16, 16), (2, 8, 8, 8), (2, 16, 4, 4), (2, 32, 2, 2)]
    (gradient,) = torch.autograd.grad(sum(f.sum() for f in maps), x)
    assert (gradient.abs().sum((1, 2, 3)) > 0).all()


def test_bisenet_serves_the_deep_criteria(toolkit_from):
    text = """
    [parser.p]
    use = "bisenet"
    params = { weights = "random", width = 4, working_size = 64 }
    [metric.d]
    use = "deep"
    params = { parser = "p" }
    """
    metric = toolkit_from(text).build("metric", "d")
    x = pictures(2, 32, 32)
    masks = torch.full((2, len(PARTS), 32, 32), 1 / len(PARTS))
    assert (metric(x, x.flip(3), masks) > metric(x, x, masks)).all()


def test_bisenet_normalises_with_stored_statistics(bisenet):
    """An image's masks do not depend on its company, and looking changes nothing in the network."""
    parser = bisenet(**SMALL)
    x = pictures(5, 64, 64)
    before = {k: v.clone() for k, v in parser.component.state_dict().items()}
    masks = parser(x)
    assert not any(module.training for module in parser.component.modules())
    for i in range(5):
        assert torch.equal(parser(x[i : i + 1]), masks[i : i + 1])
    assert all(torch.equal(v, before[k]) for k, v in parser.component.state_dict().items())


def test_bisenet_training_sees_what_the_masks_are_made_of(bisenet):
    """The logits for training, softmaxed, are near the masks; the order of softmax and mean differs."""
    parser = bisenet(width=4, working_size=128)
    x = pictures(2, 32, 32)
    main, *auxiliary = parser.component.logits(x)
    assert len(auxiliary) == 2
    assert (main.softmax(1) - parser(x)).abs().max() < 0.02
    assert all(y.shape == main.shape and not torch.allclose(y, main, atol=1e-3) for y in auxiliary)


# -- the shipped weights --------------------------------------------------------------------------------


def test_bisenet_shipped_weights_find_the_parts(tmp_path):
    """The card has the figures of 500 faces; a few show that the file is the right one."""
    text = '[dataset.faces]\nuse = "procedural-faces"\n[parser.p]\nuse = "bisenet"'
    toolkit = Toolkit(parse_registry(text, tmp_path / "mine.toml"), device="cpu")
    batch = toolkit.build("dataset", "faces").split("test")[list(range(500, 516))]
    parser = toolkit.build("parser", "p")
    truth = torch.stack([batch.masks[:, MEMBERS[part]].sum(1) for part in PARTS], 1).argmax(1)
    noise = 6 / 255 * toolkit.rng("test", batch.ids).sign(*batch.images.shape[1:])
    for x in (batch.images, (batch.images + noise).clamp(0, 1)):
        found = parser(x).argmax(1)
        ious = []
        for part in ("background", "skin", "brows", "eyes", "nose", "mouth", "hair"):
            a, b = found == PARTS.index(part), truth == PARTS.index(part)
            ious.append((a & b).sum() / (a | b).sum())
        assert sum(ious) / len(ious) > 0.78
