"""Channels: real files and real resizing, by Pillow, of 8-bit pictures."""

import io

import numpy as np
import pytest
import torch
from magdr_plugins.channels.codecs import DF_RAP, jpeg, jpeg_mix, webp
from magdr_plugins.channels.resize import resize
from PIL import Image

from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError
from magdr_core.functional import to_8bit
from magdr_core.toolkit import Toolkit


@pytest.fixture(scope="module")
def pictures():
    """Six smooth pictures with some noise, 40 x 56."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(6, 3, 5, 7, generator=draw)
    smooth = torch.nn.functional.interpolate(coarse, (40, 56), mode="bilinear", align_corners=False)
    return to_8bit((smooth + 0.05 * torch.randn(smooth.shape, generator=draw)).clamp(0, 1))


def levels(picture):
    return (picture * 255).round().byte().permute(1, 2, 0).numpy()


def saved(picture, form, **options):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, form, **options)
    return np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGB"))


def rng(n, seed=0):
    return SampleRng(seed, "channel", [f"p{i}" for i in range(n)])


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [30, 90])
def test_jpeg_is_the_file_that_pillow_writes(pictures, quality, subsampling):
    found = jpeg(pictures, quality=quality, subsampling=subsampling)
    for picture, one in zip(pictures, found, strict=True):
        expected = saved(levels(picture), "JPEG", quality=quality, subsampling=subsampling)
        np.testing.assert_array_equal(levels(one), expected)


def test_an_offset_moves_the_grid_of_blocks(pictures):
    """An 8x8 block of one colour that lies off the grid: on the moved grid it costs nothing."""
    picture = torch.zeros(1, 3, 16, 16)
    picture[:, :, 4:12, 4:12] = 200 / 255
    moved = jpeg(picture, quality=20, subsampling="4:4:4", offset=4)
    assert float((moved - picture).abs().max()) <= 2 / 255
    assert float((jpeg(picture, quality=20, subsampling="4:4:4") - picture).abs().max()) > 10 / 255
    framed = np.pad(levels(pictures[0]), ((3, 0), (3, 0), (0, 0)), mode="edge")
    expected = saved(framed, "JPEG", quality=50, subsampling="4:2:0")[3:, 3:]
    np.testing.assert_array_equal(levels(jpeg(pictures[:1], quality=50, offset=3)[0]), expected)


def test_webp_is_the_file_that_pillow_writes(pictures):
    for picture, one in zip(pictures, webp(pictures, quality=70), strict=True):
        np.testing.assert_array_equal(levels(one), saved(levels(picture), "WEBP", quality=70, method=4))


def test_resizing_is_pillows_there_and_back(pictures):
    for picture, one in zip(pictures, resize(pictures, scale=0.5, filter="lanczos"), strict=True):
        small = Image.fromarray(levels(picture)).resize((28, 20), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(
            levels(one), np.asarray(small.resize((56, 40), Image.Resampling.LANCZOS))
        )


def test_a_limit_on_the_longer_side_leaves_smaller_pictures_alone(pictures):
    assert torch.equal(resize(pictures, scale=1.0, longest=56), pictures)
    assert torch.equal(resize(pictures, scale=1.0, longest=28), resize(pictures, scale=0.5))


def test_a_drawn_quality_is_one_of_the_list_and_the_pictures_own(pictures):
    found = jpeg_mix(pictures, rng=rng(6), qualities=(10, 95), shares=())
    plain = {q: jpeg(pictures, quality=q) for q in (10, 95)}
    chosen = [next(q for q in plain if torch.equal(found[i], plain[q][i])) for i in range(6)]
    assert set(chosen) == {10, 95}
    for i in (0, 5):
        alone = jpeg_mix(pictures[[i]], rng=rng(6).select([i]), qualities=(10, 95), shares=())
        assert torch.equal(alone[0], found[i])


def test_qualities_are_drawn_as_often_as_their_shares_say():
    flat = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)).expand(3000, -1, -1, -1)
    found = jpeg_mix(flat, rng=rng(3000), qualities=(5, 60, 98), shares=(1, 2, 7))
    plain = torch.cat([jpeg(flat[:1], quality=q) for q in (5, 60, 98)])
    which = (found[:, None] - plain).abs().flatten(2).amax(2).argmin(1)
    assert (torch.bincount(which) / 3000).tolist() == pytest.approx([0.1, 0.2, 0.7], abs=0.03)


def test_the_published_shares_of_qualities_sum_to_one():
    assert sum(DF_RAP.values()) == pytest.approx(1, abs=1e-3)
    assert len(DF_RAP) == 15


REGISTRY = """
[channel.rough]
use = "jpeg"
params = { quality = 40 }
[channel.twice]
use = "chain"
params = { channels = ["resize", "rough"] }
[channel.drawn]
use = "chain"
params = { channels = ["jpeg-mix", "jpeg-mix"] }
[channel.nothing]
use = "chain"
params = { channels = [] }
[channel.uneven]
use = "jpeg-mix"
params = { qualities = [50, 60], shares = [1.0] }
"""


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory):
    path = tmp_path_factory.mktemp("channels") / "mine.toml"
    path.write_text(REGISTRY)
    return Toolkit.from_registry(path)


def test_a_chain_is_its_links_one_after_the_other(toolkit, pictures):
    chain = toolkit.build("channel", "twice")
    assert torch.equal(chain(pictures, rng=rng(6)), jpeg(resize(pictures, scale=0.5), quality=40))


def test_links_of_a_chain_draw_for_themselves(toolkit, pictures):
    found = toolkit.build("channel", "drawn")(pictures, rng=rng(6))
    same = jpeg_mix(jpeg_mix(pictures, rng=rng(6).fork(0)), rng=rng(6).fork(1))
    assert torch.equal(found, same)
    assert not torch.equal(found, jpeg_mix(jpeg_mix(pictures, rng=rng(6).fork(0)), rng=rng(6).fork(0)))


def test_a_chain_of_nothing_is_refused(toolkit):
    with pytest.raises(MagdrError, match="expected a list of labels"):
        toolkit.build("channel", "nothing")


def test_shares_that_are_not_one_for_each_quality_are_refused(toolkit, pictures):
    with pytest.raises(MagdrError, match="shares has 1 entries, qualities 2"):
        toolkit.build("channel", "uneven")(pictures, rng=rng(6))


def test_what_goes_through_a_channel_is_8_bit_on_both_sides(toolkit, pictures):
    found = toolkit.build("channel", "rough")(pictures + 0.3 / 255)
    assert torch.equal(found, jpeg(pictures, quality=40))


def test_pictures_are_received_on_the_levels_of_8_bits(tmp_path):
    (tmp_path / "dim.py").write_text(
        "from magdr_core.api import ChannelSpec, hookimpl, stateless\n"
        "MAGDR_API = 1\n"
        "def dim(x):\n    return x * 0.3\n"
        "@hookimpl\n"
        "def magdr_channels():\n    return [ChannelSpec(name='dim', build=stateless(dim))]\n"
    )
    (tmp_path / "mine.toml").write_text('[plugins]\nlocal = { mine = "dim.py" }\n')
    channel = Toolkit.from_registry(tmp_path / "mine.toml").build("channel", "mine/dim")
    x = to_8bit(torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(channel(x), to_8bit(x * 0.3))
    assert not torch.equal(x * 0.3, to_8bit(x * 0.3))


# -- what attacks differentiate in their place ---------------------------------------------------------------

KNOWN = {
    "jpeg": {"quality": 60},
    "jpeg 4:4:4": {"quality": 40, "subsampling": "4:4:4"},
    "jpeg off the grid": {"quality": 60, "offset": 3},
    "jpeg-mix": {"qualities": [15, 95], "shares": []},
    "resize": {"scale": 0.5},
    "resize bilinear": {"scale": 0.7, "filter": "bilinear"},
    "resize to 30": {"longest": 30, "scale": 1.0},
}


def built(name, **params):
    return Toolkit.from_registry().sibling("channel", name.split()[0], **params)


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_differentiated_is_close_to_the_channel(pictures, name):
    channel = built(name, **KNOWN[name])
    own = rng(len(pictures))
    hard, soft = channel(pictures, rng=own.fork(0)), channel.soft(pictures, rng=own.fork(0))
    assert float((soft - hard).abs().mean()) < 0.006
    assert float((hard - pictures).abs().mean()) > 2 * float((soft - hard).abs().mean()), (
        "and closer than none"
    )


@pytest.mark.parametrize("name", KNOWN)
def test_values_are_the_channels_own_and_gradients_reach_the_picture(pictures, name):
    channel = built(name, **KNOWN[name])
    x = pictures.clone().requires_grad_(True)
    received = channel.through(x, rng=rng(len(pictures)))
    assert torch.equal(received.detach(), channel(pictures, rng=rng(len(pictures)).fork(0)))
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    (slope,) = torch.autograd.grad((received * weights).sum(), x)
    soft = pictures.clone().requires_grad_(True)
    (own,) = torch.autograd.grad((channel.soft(soft, rng=rng(len(pictures)).fork(0)) * weights).sum(), soft)
    assert torch.equal(slope, own)
    if "4:4:4" not in name:  # where whatever is rounded away passes, too
        assert float((slope - weights).abs().mean()) > 0.1, "what the channel takes away has no gradient"


def test_a_channel_without_a_gradient_passes_it_straight_through(pictures):
    x = pictures.clone().requires_grad_(True)
    received = built("webp", quality=20).through(x, rng=rng(len(pictures)))
    (slope,) = torch.autograd.grad(received.sum(), x)
    assert torch.equal(slope, torch.ones_like(x))


def test_a_chain_is_differentiated_link_by_link_and_is_as_random_as_its_links(tmp_path, pictures):
    path = tmp_path / "chain.toml"
    path.write_text(
        '[channel.small]\nuse = "resize"\nparams = { scale = 0.5 }\n'
        '[channel.file]\nuse = "jpeg"\nparams = { quality = 50 }\n'
        '[channel.drawn]\nuse = "jpeg-mix"\n'
        '[channel.fixed]\nuse = "chain"\nparams = { channels = ["small", "file"] }\n'
        '[channel.any]\nuse = "chain"\nparams = { channels = ["small", "drawn"] }\n'
    )
    toolkit = Toolkit.from_registry(path)
    fixed, any_of = (toolkit.build("channel", label) for label in ("fixed", "any"))
    assert (fixed.random, any_of.random) == (False, True)
    x = pictures.clone().requires_grad_(True)
    received = fixed.through(x, rng=rng(len(pictures)))
    small, file = (toolkit.build("channel", label) for label in ("small", "file"))
    assert torch.equal(received.detach(), file(small(pictures)))
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    (slope,) = torch.autograd.grad((received * weights).sum(), x)
    between = small(pictures).requires_grad_(True)
    (later,) = torch.autograd.grad((file.soft(between) * weights).sum(), between)
    first = pictures.clone().requires_grad_(True)
    (expected,) = torch.autograd.grad((small.soft(first) * later).sum(), first)
    assert torch.allclose(slope, expected, atol=1e-6)
