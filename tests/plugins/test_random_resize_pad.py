"""Random resize and pad: the published geometry, undone on the output, the same for every batch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from magdr_core.components.batch import Condition
from magdr_core.components.rng import SampleRng
from magdr_core.errors import MagdrError
from magdr_core.guards import GuardedDefense

GREY = 128 / 255  # the padding, 0 of [-1,1], as an 8-bit level


@pytest.fixture
def defense(toolkit_from):
    """`defense(mode="raw", ...)`: the guarded defense with these parameters."""

    def make(**params) -> GuardedDefense:
        text = "".join(
            f"{k} = {str(v).lower() if isinstance(v, bool) else repr(v)}\n" for k, v in params.items()
        )
        return toolkit_from(f"[defense.xie]\nuse = 'random-resize-pad'\n[defense.xie.params]\n{text}").build(
            "defense", "xie"
        )

    return make


def rng(n, seed=0):
    return SampleRng(seed, "defense/x", [f"face-{i}" for i in (range(n) if isinstance(n, int) else n)])


def condition(n):
    return Condition(torch.zeros(n, 2), torch.ones(n, 2, dtype=torch.bool))


def pictures(n, height=32, width=32, seed=0):
    """8-bit pictures without the padding's grey."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 6, 6, generator=g)
    x = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False).clamp(0, 1)
    levels = (x * 255).round()
    return torch.where(levels == 128, 129.0, levels) / 255


class Watched:
    """A generator that keeps what it was given; by default it returns that."""

    def __init__(self, f=lambda x: x.clone()):
        self.f = f
        self.seen = []

    def __call__(self, x, c):
        assert len(x) == len(c)
        self.seen.append(x)
        return self.f(x)


def output(defense, x, G, ids=None, seed=0):
    ids = range(len(x)) if ids is None else ids
    return defense.component.output(x, condition(len(x)), G, rng=rng(ids, seed))


def canvases(defense, x, **options):
    G = Watched()
    output(defense, x, G, **options)
    return G.seen[0]


def box(canvas):
    """(top, left, height, width) of the one picture on a canvas."""
    content = (canvas != GREY).any(0)
    rows, columns = content.any(1).nonzero().flatten(), content.any(0).nonzero().flatten()
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1


@pytest.mark.parametrize(
    ("side", "canvas", "sides"), [(64, 72, (64, 71)), (128, 144, (128, 143)), (32, 36, (32, 35))]
)
def test_canvas_and_resizes_have_the_published_ratios(defense, side, canvas, sides):
    """299 -> [299, 331) on 331, with a canvas that is a multiple of 4; every place is possible."""
    n = 400 if side == 32 else 40
    seen = canvases(defense(), pictures(1, side, side).expand(n, -1, -1, -1))
    assert seen.shape == (n, 3, canvas, canvas)
    boxes = [box(c) for c in seen]
    heights = {b[2] for b in boxes}
    assert {b[3] for b in boxes} <= set(range(sides[0], sides[1] + 1))
    assert all(h == w for _, _, h, w in boxes)
    assert min(heights) >= sides[0]
    assert max(heights) <= sides[1]
    if side == 32:
        assert heights == {32, 33, 34, 35}
        for h in heights:
            places = {b[:2] for b in boxes if b[2] == h}
            room = range(canvas - h + 1)
            assert {p[0] for p in places} == set(room), "the upper border may be anything, both ends included"
            assert {p[1] for p in places} == set(room)
            assert len({p[0] - p[1] for p in places}) > 1, "rows and columns are drawn apart"


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40)])
def test_canvas_shows_the_nearest_neighbour_resize_on_grey(defense, height, width):
    """Against a plain loop over the images."""
    x = pictures(12, height, width)
    for picture, canvas in zip(x, canvases(defense(), x), strict=True):
        top, left, h, w = box(canvas)
        expected = torch.full_like(canvas, GREY)
        resized = F.interpolate(picture[None], (h, w), mode="nearest-exact")[0]
        expected[:, top : top + h, left : left + w] = resized
        assert torch.equal(canvas, expected)
        assert abs(w / width - h / height) <= 0.5 / width + 1e-6, "the aspect ratio stays"


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40)])
@pytest.mark.parametrize("smallest", [1.0, 0.6])
def test_bilinear_canvas_is_pillows(defense, height, width, smallest):
    """Against torch's antialiased resize, which follows Pillow; also where it shrinks."""
    x = pictures(12, height, width)
    shapes = set()
    for picture, canvas in zip(
        x, canvases(defense(interpolation="bilinear", smallest=smallest), x), strict=True
    ):
        top, left, h, w = box(canvas)
        shapes.add(h)
        resized = F.interpolate(picture[None], (h, w), mode="bilinear", antialias=True, align_corners=False)[
            0
        ]
        inner = canvas[:, top : top + h, left : left + w]
        assert (inner - resized).abs().max() <= 0.5 / 255 + 1e-5
        assert torch.equal((canvas * 255).round() / 255, canvas), "G sees 8-bit levels"
    assert (min(shapes) < height) == (smallest < 1)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40)])
@pytest.mark.parametrize("mirror", [False, True])
def test_aligned_output_is_in_the_frame_of_the_input(defense, height, width, mirror):
    """A generator that works pixel by pixel gives exactly G(x); only so does MSE (O) mean something."""
    x = pictures(20, height, width)
    d = defense(mirror=mirror)
    G = Watched(lambda x: 1 - x.square())
    assert torch.equal(output(d, x, G), 1 - x.square())
    assert torch.equal(d(x, condition(20), G, rng=rng(20)), x), "nearest neighbours lose nothing on the way"


@pytest.mark.parametrize("smallest", [1.0, 0.6])
def test_aligned_bilinear_round_trip_keeps_the_picture_in_place(defense, smallest):
    x = pictures(20)
    d = defense(interpolation="bilinear", smallest=smallest)
    y = output(d, x, Watched())
    assert (y - x).abs().mean() < 0.02
    assert not torch.equal(y, x)
    for dx, dy in [(1, 0), (0, 1), (-1, 0), (0, -1)]:
        assert (y - x.roll((dy, dx), (2, 3))).abs().mean() > 2 * (y - x).abs().mean()
    assert torch.equal(d(x, condition(20), None, rng=rng(20)), y), "T(x) is the round trip of the input"


def test_aligned_output_never_reads_the_padding(defense):
    for interpolation in ("nearest", "bilinear"):
        white = torch.ones(30, 3, 16, 16)
        y = output(defense(interpolation=interpolation, fill=0.0), white, Watched())
        assert (y - 1).abs().max() < 1e-6


def test_raw_leaves_the_padding_in_the_picture(defense):
    x = torch.ones(60, 3, 32, 32)
    d = defense(mode="raw", fill=0.0)
    t = d(x, condition(60), None, rng=rng(60))
    assert t.shape == x.shape
    shares = (t == 0).float().mean((1, 2, 3))
    assert 0.03 < shares.mean() < 0.25
    assert shares.min() < shares.max(), "of a random width"
    kept = torch.full_like(x, 0.25)
    assert torch.equal(d.output(t, x, condition(60), lambda x, c: kept), kept), "G(T(x), c) as it comes"
    G = Watched()
    d.output(t, x, condition(60), G)
    assert torch.equal(G.seen[0], t)


def test_raw_and_aligned_draw_the_same_canvas(defense):
    x = pictures(10, 36, 36)
    canvas = canvases(defense(), x)
    raw = defense(mode="raw")(x, condition(10), None, rng=rng(10))
    assert torch.equal(raw, F.interpolate(canvas, (36, 36), mode="nearest-exact"))


def test_mirror_flips_about_half_of_the_images(defense):
    plain, mirrored = (canvases(defense(mirror=m), pictures(100)) for m in (False, True))
    assert plain.shape == mirrored.shape
    same = (plain == mirrored).flatten(1).all(1)
    assert 30 < int(same.sum()) < 70
    flipped = [(a, b) for a, b, s in zip(plain, mirrored, same, strict=True) if not s]
    for a, b in flipped[:10]:
        top, left, h, w = box(a)
        assert box(b) == (top, left, h, w)
        inside = (slice(None), slice(top, top + h), slice(left, left + w))
        assert (a[inside].flip(-1) - b[inside]).abs().mean() < 0.02


def test_passes_average_outputs_of_different_placements(defense):
    x = pictures(6)
    one, three = defense(), defense(passes=3)
    G = Watched(lambda y: F.avg_pool2d(y, 5, 1, 2))
    averaged = output(three, x, G)
    assert len(G.seen) == 3, "a forward per pass"
    assert all(not torch.equal(a, b) for a, b in [(G.seen[0], G.seen[1]), (G.seen[1], G.seen[2])])
    first = output(one, x, G)
    assert torch.equal(G.seen[3], G.seen[0]), "the first pass does not depend on how many follow"
    stream = rng(6)
    alone = [one.component.output(x, condition(6), G, rng=stream) for _ in range(3)]
    assert torch.equal(alone[0], first)
    assert torch.allclose(torch.stack(alone).mean(0), averaged, atol=1e-6)


@pytest.mark.parametrize(
    "params",
    [{}, {"passes": 2, "mirror": True}, {"interpolation": "bilinear", "smallest": 0.8}, {"mode": "raw"}],
    ids=["aligned", "passes", "bilinear", "raw"],
)
def test_an_image_gets_the_same_bits_in_every_batch(defense, params):
    d = defense(**params)
    x = pictures(9)

    def results(ids, seed=0):
        part = x[list(ids)]
        t = d(part, condition(len(part)), None, rng=rng(ids, seed))
        if d.component.__class__.__name__ == "Raw":
            return t
        return torch.cat([t, output(d, part, Watched(lambda y: y.roll(2, 3)), ids, seed)], 1)

    whole = results(range(9))
    assert torch.equal(results(range(9)), whole), "repeats"
    for ids in ([0], [8], [3, 4], [7, 1, 5], range(8, -1, -1)):
        assert torch.equal(results(ids), whole[list(ids)])
    other = results(range(9), seed=1)
    assert not torch.equal(other, whole)


def test_guarded_output_goes_through_with_rng(toy):
    """Through core's wrapper and a real generator: per image, keyed by the sample's id."""
    kit = toy("[defense.xie]\nuse = 'random-resize-pad'\n")
    d, G = kit.build("defense", "xie"), kit.generator("toy")
    x, c = pictures(7), condition(7)

    def guarded(ids, seed=0):
        ids = list(ids)
        streams = [kit.rng("defense/xie", [f"face-{i}" for i in ids], seed) for _ in range(2)]
        t = d(x[ids], c[ids], G, rng=streams[0])
        return d.output(t, x[ids], c[ids], G, rng=streams[1])

    with torch.no_grad():
        whole = guarded(range(7))
        assert not torch.equal(whole, G(x, c)), "the padding and the scale reach the output"
        assert (whole - G(x, c)).abs().mean() < 0.1, "but it lies where it should"
        for ids in ([2], [6, 0, 3], range(6, -1, -1)):
            assert torch.equal(guarded(ids), whole[list(ids)])
        assert not torch.equal(guarded(range(7), seed=1), whole)
        with pytest.raises(MagdrError, match="stochastic and was called without rng"):
            d.output(x, x, c, G)


@pytest.mark.cuda
@pytest.mark.parametrize(("interpolation", "tolerance"), [("nearest", 0.0), ("bilinear", 1.01 / 255)])
def test_canvases_are_the_same_on_the_device(defense, interpolation, tolerance):
    d, x = defense(interpolation=interpolation, mirror=True).component, pictures(16)
    streams = SampleRng(0, "defense/x", [f"face-{i}" for i in range(16)], device="cuda")
    G = Watched()
    y = d.output(x.cuda(), condition(16).to("cuda"), G, rng=streams)
    assert y.device.type == "cuda"
    assert (
        G.seen[0].cpu() - canvases(defense(interpolation=interpolation, mirror=True), x)
    ).abs().max() <= tolerance


def test_call_without_streams_is_refused(defense):
    for mode in ("raw", "aligned"):
        with pytest.raises(MagdrError, match="stochastic and was called without rng"):
            defense(mode=mode)(pictures(2), condition(2), None)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_gradients_reach_every_pixel(defense, interpolation):
    x = pictures(3).requires_grad_()
    y = output(defense(interpolation=interpolation), x, Watched(lambda y: y.square()))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.isfinite().all()
    assert (gradient > 0).float().mean() > 0.98  # black pixels have none
    raw = defense(mode="raw", interpolation=interpolation)(x, condition(3), None, rng=rng(3))
    (gradient,) = torch.autograd.grad(raw.sum(), x)
    assert gradient.isfinite().all()
    assert (gradient > 0).float().mean() > 0.6


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"smallest": 1.2}, "smallest = 1.2 must be less than canvas = 1.107"),
        ({"mode": "raw", "passes": 2}, "mode = 'raw' takes one"),
        ({"canvas": 1.0}, "canvas"),
        ({"interpolation": "bicubic"}, "interpolation"),
        ({"fill": 128}, "fill"),
    ],
)
def test_wrong_parameters_are_refused_with_their_place(defense, params, message):
    with pytest.raises(MagdrError, match=r"\[defense.xie\]") as e:
        defense(**params)
    assert message in str(e.value)
