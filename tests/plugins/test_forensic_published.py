"""Xception, Meso-4 and MesoInception-4: published state dicts, written out here, against plain functions."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch.nn import functional as F

from magdr_core.errors import MagdrError
from magdr_core.toolkit import Toolkit

STATISTICS = ("weight", "bias", "running_mean", "running_var")


def shapes(text):
    """`name 8 3 3 3` a line; `name norm 8` stands for the five entries of a batch norm."""
    found = {}
    for line in text.strip().splitlines():
        name, *numbers = line.split()
        if numbers[0] == "norm":
            found |= {f"{name}.{part}": (int(numbers[1]),) for part in STATISTICS}
            found[f"{name}.num_batches_tracked"] = ()
        else:
            found[name] = tuple(map(int, numbers))
    return found


MIDDLE = "\n".join(
    f"""
block{n}.rep.1.conv1.weight 728 1 3 3
block{n}.rep.1.pointwise.weight 728 728 1 1
block{n}.rep.2 norm 728
block{n}.rep.4.conv1.weight 728 1 3 3
block{n}.rep.4.pointwise.weight 728 728 1 1
block{n}.rep.5 norm 728
block{n}.rep.7.conv1.weight 728 1 3 3
block{n}.rep.7.pointwise.weight 728 728 1 1
block{n}.rep.8 norm 728
""".strip()
    for n in (4, 5, 6, 7, 8, 9, 10, 11)
)

XCEPTION = shapes(
    f"""
conv1.weight 32 3 3 3
bn1 norm 32
conv2.weight 64 32 3 3
bn2 norm 64
block1.skip.weight 128 64 1 1
block1.skipbn norm 128
block1.rep.0.conv1.weight 64 1 3 3
block1.rep.0.pointwise.weight 128 64 1 1
block1.rep.1 norm 128
block1.rep.3.conv1.weight 128 1 3 3
block1.rep.3.pointwise.weight 128 128 1 1
block1.rep.4 norm 128
block2.skip.weight 256 128 1 1
block2.skipbn norm 256
block2.rep.1.conv1.weight 128 1 3 3
block2.rep.1.pointwise.weight 256 128 1 1
block2.rep.2 norm 256
block2.rep.4.conv1.weight 256 1 3 3
block2.rep.4.pointwise.weight 256 256 1 1
block2.rep.5 norm 256
block3.skip.weight 728 256 1 1
block3.skipbn norm 728
block3.rep.1.conv1.weight 256 1 3 3
block3.rep.1.pointwise.weight 728 256 1 1
block3.rep.2 norm 728
block3.rep.4.conv1.weight 728 1 3 3
block3.rep.4.pointwise.weight 728 728 1 1
block3.rep.5 norm 728
{MIDDLE}
block12.skip.weight 1024 728 1 1
block12.skipbn norm 1024
block12.rep.1.conv1.weight 728 1 3 3
block12.rep.1.pointwise.weight 728 728 1 1
block12.rep.2 norm 728
block12.rep.4.conv1.weight 728 1 3 3
block12.rep.4.pointwise.weight 1024 728 1 1
block12.rep.5 norm 1024
conv3.conv1.weight 1024 1 3 3
conv3.pointwise.weight 1536 1024 1 1
bn3 norm 1536
conv4.conv1.weight 1536 1 3 3
conv4.pointwise.weight 2048 1536 1 1
bn4 norm 2048
last_linear.weight 2 2048
last_linear.bias 2
adjust_channel.0.weight 512 2048 1 1
adjust_channel.0.bias 512
adjust_channel.1 norm 512
"""
)

MESO4 = shapes(
    """
conv1.weight 8 3 3 3
bn1 norm 8
conv2.weight 8 8 5 5
bn2 norm 16
conv3.weight 16 8 5 5
conv4.weight 16 16 5 5
fc1.weight 16 1024
fc1.bias 16
fc2.weight 2 16
fc2.bias 2
"""
)

MESO_INCEPTION4 = shapes(
    """
Incption1_conv1.weight 1 3 1 1
Incption1_conv2_1.weight 4 3 1 1
Incption1_conv2_2.weight 4 4 3 3
Incption1_conv3_1.weight 4 3 1 1
Incption1_conv3_2.weight 4 4 3 3
Incption1_conv4_1.weight 2 3 1 1
Incption1_conv4_2.weight 2 2 3 3
Incption1_bn norm 11
Incption2_conv1.weight 2 11 1 1
Incption2_conv2_1.weight 4 11 1 1
Incption2_conv2_2.weight 4 4 3 3
Incption2_conv3_1.weight 4 11 1 1
Incption2_conv3_2.weight 4 4 3 3
Incption2_conv4_1.weight 2 11 1 1
Incption2_conv4_2.weight 2 2 3 3
Incption2_bn norm 12
conv1.weight 16 12 5 5
bn1 norm 16
conv2.weight 16 16 5 5
fc1.weight 16 1024
fc1.bias 16
fc2.weight 2 16
fc2.bias 2
"""
)


def state(table, prefix="backbone."):
    """Random weights that keep signals alive, under published names."""
    draw = torch.Generator().manual_seed(7)
    found = {}
    for name, shape in table.items():
        if name.endswith("num_batches_tracked"):
            value = torch.tensor(100)
        elif name.endswith("running_var"):
            value = 0.5 + torch.rand(shape, generator=draw)
        elif len(shape) == 1:
            ones = float(name.endswith("weight"))
            value = ones + 0.2 * torch.randn(shape, generator=draw)
        else:
            value = torch.randn(shape, generator=draw) * math.sqrt(2 / math.prod(shape[1:]))
        found[prefix + name] = value
    return found


# -- the published forward passes in plain functions, in double precision ------------------------------------


class Published:
    """The entries of a state dict as layers."""

    def __init__(self, entries):
        self.entries = {k.removeprefix("backbone."): v.double() for k, v in entries.items()}

    def conv(self, name, y, **more):
        return F.conv2d(y, self.entries[f"{name}.weight"], **more)

    def norm(self, name, y):
        weight, bias, mean, var = (self.entries[f"{name}.{part}"][:, None, None] for part in STATISTICS)
        return (y - mean) / torch.sqrt(var + 1e-5) * weight + bias

    def separable(self, name, y):
        y = self.conv(f"{name}.conv1", y, padding=1, groups=y.shape[1])
        return self.conv(f"{name}.pointwise", y)

    def linear(self, name, y):
        return y @ self.entries[f"{name}.weight"].T + self.entries[f"{name}.bias"]


def xception(net, x):
    """Two logits `[B,2]` of normalised pictures."""
    y = net.norm("bn1", net.conv("conv1", x, stride=2)).relu()
    y = net.norm("bn2", net.conv("conv2", y)).relu()
    first = net.norm("block1.rep.1", net.separable("block1.rep.0", y)).relu()
    first = net.norm("block1.rep.4", net.separable("block1.rep.3", first))
    y = F.max_pool2d(first, 3, 2, 1) + net.norm("block1.skipbn", net.conv("block1.skip", y, stride=2))
    for name in ("block2", "block3"):
        inside = net.norm(f"{name}.rep.2", net.separable(f"{name}.rep.1", y.relu())).relu()
        inside = net.norm(f"{name}.rep.5", net.separable(f"{name}.rep.4", inside))
        beside = net.norm(f"{name}.skipbn", net.conv(f"{name}.skip", y, stride=2))
        y = F.max_pool2d(inside, 3, 2, 1) + beside
    for number in range(4, 12):
        name, inside = f"block{number}", y
        for at in (1, 4, 7):
            inside = net.norm(f"{name}.rep.{at + 1}", net.separable(f"{name}.rep.{at}", inside.relu()))
        y = y + inside
    inside = net.norm("block12.rep.2", net.separable("block12.rep.1", y.relu())).relu()
    inside = net.norm("block12.rep.5", net.separable("block12.rep.4", inside))
    y = F.max_pool2d(inside, 3, 2, 1) + net.norm("block12.skipbn", net.conv("block12.skip", y, stride=2))
    y = net.norm("bn3", net.separable("conv3", y)).relu()
    y = net.norm("bn4", net.separable("conv4", y)).relu()
    return net.linear("last_linear", y.mean((2, 3)))


def ends(net, y):
    y = net.linear("fc1", y.reshape(len(y), 16 * 8 * 8))
    return net.linear("fc2", torch.where(y > 0, y, 0.1 * y))


def meso4(net, x):
    y = F.max_pool2d(net.norm("bn1", net.conv("conv1", x, padding=1).relu()), 2)
    y = F.max_pool2d(net.norm("bn1", net.conv("conv2", y, padding=2).relu()), 2)
    y = F.max_pool2d(net.norm("bn2", net.conv("conv3", y, padding=2).relu()), 2)
    return ends(net, F.max_pool2d(net.norm("bn2", net.conv("conv4", y, padding=2).relu()), 4))


def meso_inception4(net, x):
    y = x
    for layer in ("Incption1", "Incption2"):
        one = net.conv(f"{layer}_conv1", y)
        two = net.conv(f"{layer}_conv2_2", net.conv(f"{layer}_conv2_1", y), padding=1)
        three = net.conv(f"{layer}_conv3_2", net.conv(f"{layer}_conv3_1", y), padding=2, dilation=2)
        four = net.conv(f"{layer}_conv4_2", net.conv(f"{layer}_conv4_1", y), padding=3, dilation=3)
        y = F.max_pool2d(net.norm(f"{layer}_bn", torch.cat([one, two, three, four], 1)), 2)
    y = F.max_pool2d(net.norm("bn1", net.conv("conv1", y, padding=2).relu()), 2)
    return ends(net, F.max_pool2d(net.norm("bn1", net.conv("conv2", y, padding=2).relu()), 4))


CASES = [
    ("xception", XCEPTION, xception, 75),
    ("meso4", MESO4, meso4, 256),
    ("meso-inception4", MESO_INCEPTION4, meso_inception4, 256),
]


def build(folder, use, entries=None, params=""):
    if entries is not None:
        torch.save(entries, folder / "net.pth")
    weights = "random" if entries is None else "./net.pth"
    path = folder / "nets.toml"
    path.write_text(f'[forensic.net]\nuse = "{use}"\nparams = {{ weights = "{weights}"{params} }}\n')
    return Toolkit.from_registry(path, device="cpu").build("forensic", "net")


@pytest.mark.parametrize(("use", "table", "forward", "side"), CASES, ids=[case[0] for case in CASES])
def test_a_published_state_dict_gives_the_published_logits(tmp_path, use, table, forward, side):
    entries = state(table)
    model = build(tmp_path, use, entries, f", size = {side}" if use == "xception" else "")
    x = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = forward(Published(entries), (x.double() - 0.5) / 0.5)
        score = model.score(x)
    assert float(logits.std()) > 0.05, "signals are alive"
    expected = logits[:, 1] - logits[:, 0]
    assert float((score - expected).abs().max() / logits.abs().max()) < 1e-5
    assert float((expected - expected.mean()).abs().max()) > 100 * float((score - expected).abs().max())


@pytest.mark.parametrize("prefix", ["", "module.backbone.", "model."])
def test_names_with_other_wrappers_around_them_fit_too(tmp_path, prefix):
    x = torch.rand(2, 3, 256, 256)
    named = build(tmp_path, "meso4", state(MESO4)).score(x)
    assert torch.equal(build(tmp_path, "meso4", state(MESO4, prefix)).score(x), named)


def test_a_last_layer_behind_a_dropout_fits_too(tmp_path):
    x = torch.rand(2, 3, 48, 48)
    plain = build(tmp_path, "xception", state(XCEPTION), ", size = 48").score(x)
    renamed = {re.sub(r"last_linear\.", "last_linear.1.", k): v for k, v in state(XCEPTION).items()}
    assert torch.equal(build(tmp_path, "xception", renamed, ", size = 48").score(x), plain)


def test_the_second_class_is_the_forged_one(tmp_path):
    entries = state(MESO4)
    entries["backbone.fc2.weight"].zero_()
    entries["backbone.fc2.bias"] = torch.tensor([-1.0, 2.5])
    assert build(tmp_path, "meso4", entries).score(torch.rand(2, 3, 64, 64)).tolist() == [3.5, 3.5]


def test_pictures_are_resized_to_the_side_of_training(tmp_path):
    model = build(tmp_path, "meso4", state(MESO4))
    x = torch.rand(2, 3, 64, 64)
    large = F.interpolate(x, (256, 256), mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
    assert model.score(x).tolist() == pytest.approx(model.score(large).tolist(), abs=1e-5)
    assert model.score(torch.rand(2, 3, 300, 300)).shape == (2,)


def wrong(use, entries, change):
    entries = dict(entries)
    change(entries)
    return use, entries


OTHERS = {
    "another network": (
        lambda: wrong("xception", state(MESO4), lambda s: None),
        "is no Xception as DeepfakeBench publishes it: expected keys such as backbone.conv1.weight, "
        "backbone.block12.rep.4.conv1.weight; there is no backbone.block12.rep.4.conv1.weight",
    ),
    "another layout": (
        lambda: ("meso4", {"backbone.efficientnet._conv_stem.weight": torch.zeros(48, 3, 3, 3)}),
        "is no Meso-4 as DeepfakeBench publishes it: expected keys such as backbone.conv4.weight",
    ),
    "the other MesoNet": (
        lambda: wrong("meso-inception4", state(MESO4), lambda s: None),
        "is no MesoInception-4 as DeepfakeBench publishes it: expected keys such as "
        "backbone.Incption1_conv1.weight",
    ),
    "no head": (
        lambda: wrong("meso4", state(MESO4), lambda s: s.pop("backbone.fc2.bias")),
        "missing fc2.bias",
    ),
    "one logit": (
        lambda: wrong("meso4", state(MESO4), lambda s: s.update({"backbone.fc2.weight": torch.zeros(1, 16)})),
        r"fc2.weight is \(1, 16\), expected \(2, 16\)",
    ),
    "something more": (
        lambda: wrong("meso4", state(MESO4), lambda s: s.update({"backbone.fc3.weight": torch.zeros(1)})),
        "unexpected fc3.weight",
    ),
    "not finite": (
        lambda: wrong("meso4", state(MESO4), lambda s: s["backbone.conv1.weight"].fill_(math.nan)),
        "NaN or infinite",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_such_checkpoint_is_told_in_one_line(tmp_path, name):
    make, words = OTHERS[name]
    use, entries = make()
    with pytest.raises(MagdrError, match=words) as e:
        build(tmp_path, use, entries)
    assert "\n" not in str(e.value)
    assert "net.pth" in str(e.value)


def test_whole_networks_in_a_pickle_are_not_run(tmp_path):
    with pytest.raises(MagdrError, match=r"net\.pth") as e:
        build(tmp_path, "meso4", torch.nn.Conv2d(3, 8, 3))
    assert "\n" not in str(e.value)
