"""Super-resolution as a defense: the public network and its keys, and the way around it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from magdr_plugins.restorations.super_resolution import SuperResolution
from PIL import Image

from magdr_core.errors import MagdrError
from magdr_core.functional import wavelet_denoise_ycbcr


def pictures(n=2, height=16, width=20, noise=0.02):
    g = torch.Generator().manual_seed(0)
    x = F.interpolate(torch.rand(n, 3, 5, 5, generator=g), (height, width), mode="bicubic")
    x = x + noise * torch.randn(x.shape, generator=g)
    return (x.clamp(0, 1) * 255).round() / 255


def network(**params):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = SuperResolution(6, 2, **params).eval().requires_grad_(False)
        net.tail[1].weight *= 20  # an untrained network must answer with more than the mean colour
    return net


def test_the_keys_and_the_size_are_those_of_the_public_network():
    net = SuperResolution(64, 16)
    convolutions = ["head.0", "body.16", "tail.0.0", "tail.1", "sub_mean", "add_mean"]
    convolutions += [f"body.{i}.body.{k}" for i in range(16) for k in (0, 2)]
    shapes = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    assert set(shapes) == {f"{name}.{part}" for name in convolutions for part in ("weight", "bias")}
    assert shapes["tail.0.0.weight"] == (256, 64, 3, 3)
    assert shapes["tail.1.weight"] == (3, 64, 3, 3)
    assert shapes["sub_mean.weight"] == (3, 3, 1, 1)
    assert sum(p.numel() for p in net.parameters()) == 1_369_859, "the mean is not learned"


def plain_edsr(x, state, blocks):
    """The network from its weights, levels of 255 in the middle."""

    def conv(y, name):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return F.conv2d(y, weight, bias, padding=weight.shape[-1] // 2)

    y = head = conv(conv(255 * x, "sub_mean"), "head.0")
    for i in range(blocks):
        y = y + conv(conv(y, f"body.{i}.body.0").relu(), f"body.{i}.body.2")
    y = conv(head + conv(y, f"body.{blocks}"), "tail.0.0").numpy()
    n, channels, height, width = y.shape
    planes = y.reshape(n, channels // 4, 2, 2, height, width)
    large = planes.transpose(0, 1, 4, 2, 5, 3).reshape(n, channels // 4, 2 * height, 2 * width)
    return conv(conv(torch.from_numpy(large), "tail.1"), "add_mean") / 255


def test_the_network_computes_what_its_keys_say():
    net, x = network(), pictures()
    y = net.enlarge(x)
    assert y.shape == (2, 3, 32, 40)
    assert torch.allclose(y, plain_edsr(x, net.state_dict(), 2), atol=1e-5)
    mean = torch.tensor([0.4488, 0.4371, 0.4040])
    assert torch.allclose(net.add_mean.bias, 255 * mean)
    assert torch.allclose(net.sub_mean.bias, -255 * mean)


def test_the_enlarged_picture_is_shrunk_as_pillow_does():
    net, x = network(), pictures(1)
    large = net.enlarge(x).clamp(0, 1)
    expected = [
        np.asarray(Image.fromarray(plane).resize((20, 16), Image.Resampling.BICUBIC))
        for plane in large[0].numpy()
    ]
    assert np.abs(net(x)[0].numpy() - np.stack(expected).clip(0, 1)).max() < 1e-4


def test_the_picture_is_denoised_before():
    x = pictures(noise=0.04)
    assert torch.equal(network(sigma=0.04)(x), network()(wavelet_denoise_ycbcr(x, 0.04)))
    assert not torch.equal(network(sigma=0.04)(x), network()(x))


def test_the_demos_jpeg_files_are_pillows():
    x = pictures(1)
    levels = (x[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=60)
    read = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None].float() / 255
    assert (network(quality=60)(x) - network()(read)).abs().mean() < 2e-3
    assert (network()(x) - network()(read)).abs().mean() > 5e-3


def test_an_image_gets_the_same_bits_in_every_batch():
    net, x = network(sigma=0.04), pictures(5)
    whole = net(x)
    for ids in ([0], [4, 1], [4, 3, 2, 1, 0]):
        assert torch.equal(net(x[ids]), whole[ids])


@pytest.mark.parametrize("quality", [0, 75])
def test_gradients_reach_the_input(quality):
    x = (0.2 + 0.6 * pictures(1)).requires_grad_()
    (gradient,) = torch.autograd.grad(network(sigma=0.02, quality=quality)(x).square().sum(), x)
    assert gradient.isfinite().all()
    assert (gradient != 0).float().mean() > 0.5


def test_public_weights_load_from_a_path_and_others_are_refused(toolkit_from, tmp_path):
    net = network()
    torch.save(net.state_dict(), tmp_path / "edsr.pt")
    table = "[restoration.sr]\nuse = 'super-resolution'\n[restoration.sr.params]\nweights = './edsr.pt'\n"
    loaded = toolkit_from(table + "features = 6\nblocks = 2\nsigma = 0.0\n").build("restoration", "sr")
    x = pictures()
    assert torch.equal(loaded(x), net(x))
    with pytest.raises(MagdrError, match=r"\[restoration.sr\].*head\.0\.weight"):
        toolkit_from(table + "features = 8\nblocks = 2\n").build("restoration", "sr")


def test_the_shipped_network_enlarges_better_than_bicubic(toolkit_from):
    kit = toolkit_from("[dataset.large]\nuse = 'procedural-faces'\nparams = { size = 128 }\n")
    large = kit.build("dataset", "large").split("test")[list(range(9000, 9008))].images
    small = F.interpolate(large, scale_factor=0.5, mode="bicubic", antialias=True).clamp(0, 1)
    net = kit.build("restoration", "super-resolution").component
    with torch.no_grad():
        errors = [
            (y.clamp(0, 1) - large).square().mean()
            for y in (net.enlarge(small), F.interpolate(small, scale_factor=2, mode="bicubic"))
        ]
        assert errors[0] < 0.75 * errors[1]
        net.sigma = 0.0
        assert (net(small) - small).square().mean() < 1e-4, "a picture survives the way there and back"
