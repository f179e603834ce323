"""The First Order Motion Model: the published layout, both ways to move, driving pictures, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from magdr_plugins.generators.fomm import FOMM

from magdr_core.components.batch import Batch
from magdr_core.components.condition import CodedCondition
from magdr_core.components.rng import SampleRng
from magdr_core.errors import RegistryError
from tests.plugins.fomm_reference import PARTS, Reference, as_code, published, trained
from tests.plugins.layouts import disturbed, pictures, table
from tests.plugins.test_cyclegan import empty

SHAPE = {"width": 8, "blocks": 1, "depth": 2, "keypoints": 3, "reduced": 2}
"""What a small file is made with."""

SMALL = {**SHAPE, "size": 32}

PEOPLE = '[dataset.faces]\nuse = "procedural-people"\nparams = { size = 32, pictures = 3 }\n'


@pytest.fixture
def fomm(toolkit_from):
    """`fomm(**params)`: a guarded generator, with drawn people at hand as donors."""

    def make(**params):
        params = {"weights": "random", **params}
        return toolkit_from(PEOPLE + table("generator", "fomm", **params)).generator("g")

    return make


def driven(code):
    plain = empty(len(code))
    return CodedCondition(plain.values, plain.changed, code=code)


def saved(path, states, **more):
    """As its project saves a checkpoint: both networks beside others, their optimisers and a number."""
    rest = {"discriminator": {}, "optimizer_generator": {"state": {}, "param_groups": []}, "epoch": 99}
    torch.save({**states, **rest, **more}, path)


# -- weights ------------------------------------------------------------------------------------------------

COUNTS = {"generator": (196, 45_575_391), "kp_detector": (75, 14_215_368)}


def test_fomm_published_keys_and_shapes():
    made = {"width": 64, "blocks": 6, "depth": 5, "keypoints": 10, "reduced": 4}
    made |= {"jacobians": "each", "occlusion": True}
    with torch.device("meta"):
        net = FOMM(None, motion="absolute", align_corners=True, size=256, **made)
    for part, keys in published(**made).items():
        module = net.get_submodule(part)
        assert {k: tuple(v.shape) for k, v in module.state_dict().items()} == keys
        assert (len(keys), sum(p.numel() for p in module.parameters())) == COUNTS[part]


def test_fomm_public_checkpoint_agrees_with_the_reference(fomm, tmp_path):
    states = trained()
    wrapped = {part: {f"module.{k}": v for k, v in state.items()} for part, state in states.items()}
    saved(tmp_path / "vox-cpk.pth.tar", wrapped)
    G = fomm(weights="vox-cpk.pth.tar")
    assert G.size == 256
    for part in PARTS:
        loaded = G.component.get_submodule(part).state_dict()
        assert all(torch.equal(v, states[part][k]) for k, v in loaded.items())
    x, driving = pictures(1, 128, 128), pictures(1, 128, 128, seed=1)
    reference = Reference(states)
    there, here = reference.keypoints(driving), reference.keypoints(x)
    with torch.no_grad():
        torch.testing.assert_close(G.component.keypoints(x), as_code(here), atol=1e-5, rtol=1e-5)
        expected = reference.animate(x, there, here).float()
        assert expected.std() > 0.05
        torch.testing.assert_close(G(x, driven(as_code(there))), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"reduced": 1},
        {"reduced": 8, "depth": 1, "size": 64},
        {"jacobians": "single", "occlusion": False},
        {"jacobians": "none"},
        {"align_corners": False},
        {"depth": 1, "blocks": 2, "keypoints": 1},
    ],
    ids=lambda other: ", ".join(f"{k} {v}" for k, v in other.items()),
)
def test_fomm_every_form_agrees_with_the_reference(fomm, tmp_path, other):
    params = SMALL | other
    states = trained(**{k: v for k, v in params.items() if k not in ("size", "align_corners")})
    saved(tmp_path / "w.pth", states)
    G = fomm(weights="w.pth", **params)
    reference = Reference(states, reduced=params["reduced"], align_corners=params.get("align_corners", True))
    side = params["size"]
    x, driving = pictures(2, side, 2 * side), pictures(2, side, side, seed=1)
    c = G.with_source(empty(2), driving)
    there, here = reference.keypoints(driving), reference.keypoints(x)
    torch.testing.assert_close(c.code, as_code(there), atol=1e-5, rtol=1e-5)
    expected = reference.animate(x, there, here).float()
    assert expected.std() > 0.01
    torch.testing.assert_close(G(x, c), expected, atol=1e-5, rtol=0)


def test_fomm_untrained_pictures_are_made_smaller_by_the_published_gaussian(fomm):
    kernel = fomm(**SMALL | {"reduced": 4}).component.kp_detector.down.weight
    place = np.arange(13) - 6
    gaussian = np.exp(-(place[:, None] ** 2 + place**2) / (2 * 1.5**2))
    expected = torch.from_numpy(gaussian / gaussian.sum()).float()
    torch.testing.assert_close(kernel, expected.expand(3, 1, 13, 13))


def refusal(fomm, **params):
    with pytest.raises(RegistryError) as e:
        fomm(weights="w.pth", **params)
    assert "\n" not in str(e.value)
    return str(e.value)


def test_fomm_other_files_are_refused_in_one_line(fomm, tmp_path):
    path = tmp_path / "w.pth"
    saved(path, trained(width=16, blocks=2, depth=1, keypoints=4, reduced=4, occlusion=False))
    said = refusal(fomm, **SMALL)
    assert "w.pth does not fit WarpingGenerator: missing dense_motion_network." in said
    made = "depth = 1, width = 16, blocks = 2, keypoints = 4, occlusion = false, reduced = 4"
    assert said.endswith(f". The file was made with {made}")
    saved(path, trained(**SHAPE, jacobians="single"))
    said = refusal(fomm, **SMALL)
    assert "w.pth does not fit KeypointDetector: jacobian.weight is (4, " in said
    assert said.endswith('. The file was made with jacobians = "single"')
    states = trained(**SHAPE)
    states["generator"]["extra.weight"] = torch.zeros(1)
    saved(path, states)
    assert refusal(fomm, **SMALL).endswith("w.pth does not fit WarpingGenerator: unexpected extra.weight")
    states = trained(**SHAPE)
    states["kp_detector"]["kp.bias"][0] = float("nan")
    saved(path, states)
    assert refusal(fomm, **SMALL).endswith("w.pth holds NaN or infinite values in kp.bias")


def test_fomm_half_a_checkpoint_is_refused_in_one_line(fomm, tmp_path):
    path, states = tmp_path / "w.pth", trained(**SHAPE)
    torch.save({"generator": states["generator"], "epoch": 3}, path)
    said = "w.pth does not hold a plain state dict, but generator; epoch; nor one in an entry kp_detector"
    assert said in refusal(fomm, **SMALL)
    for part, other in (PARTS, PARTS[::-1]):
        torch.save(states[part], path)
        assert refusal(fomm, **SMALL).endswith(
            f"It is the {part} alone: name the checkpoint that holds {other} as well"
        )
    saved(path, states, generator={"scale_factor.weight": torch.zeros(1)})
    assert refusal(fomm, **SMALL).endswith("It is of another network: is it the discriminator's?")


def test_fomm_impossible_settings_are_refused_in_one_line(fomm):
    with pytest.raises(RegistryError, match=r"size = 96 is no multiple of 128, which depth = 5 and reduced"):
        fomm(size=96)
    with pytest.raises(RegistryError, match='motion = "relative" needs a donor'):
        fomm(motion="relative", **SMALL)


# -- what it is told ----------------------------------------------------------------------------------------


@pytest.fixture
def moving(fomm, tmp_path):
    """`moving(**params)`: the same with weights under which keypoints lie apart."""
    saved(tmp_path / "moving.pth", trained(**SHAPE))
    return lambda **params: fomm(weights="moving.pth", **SMALL | params)


def test_fomm_driving_pictures_decide_and_have_to_be_given(moving):
    G = moving()
    assert (G.takes_source, G.needs_source, G.objective) == (True, True, "untargeted")
    x, plain = pictures(2), empty(2)
    with pytest.raises(Exception, match=r"not told how to move: give a driving picture \(--source FILE\)"):
        G(x, plain)
    with pytest.raises(Exception, match=r"FOMM is told \(3, 6\) numbers of keypoints, got \(3, 2\)"):
        G(x, driven(torch.zeros(2, 3, 2)))
    with pytest.raises(Exception, match=r"FOMM takes sides that are multiples of 16, got \(40, 32\)"):
        G(pictures(2, 40, 32), driven(torch.zeros(2, 3, 6)))
    driving = pictures(2, 32, 32, seed=3)
    c = G.with_source(plain, driving)
    again = G.with_source(plain, driving.flip(0))
    assert c.code.shape == (2, 3, 6)
    assert c.differs(again).all()
    assert torch.equal(again.code.flip(0), c.code), "each by itself"
    assert not torch.equal(G(x, c), G(x, again))
    assert G.with_source(plain, pictures(2, 48, 80)).code.shape == (2, 3, 6), "of any size"
    assert G.edited(c).all(), "the background may move as well"


def test_fomm_relative_motion_is_the_drivers_own_taken_to_the_picture(moving, tmp_path):
    G, absolute = moving(motion="relative", donor="faces"), moving()
    reference = Reference(trained(**SHAPE), reduced=2)
    x, driving = pictures(2), pictures(2, 32, 32, seed=1)
    first = reference.keypoints(G.component.donors[[0]].images)[0]
    wanted = []
    for there, here in zip(reference.keypoints(driving), reference.keypoints(x), strict=True):
        wanted.append(
            [
                (place + (to - start), (matrix @ np.linalg.inv(began)) @ own)
                for (to, matrix), (start, began), (place, own) in zip(there, first, here, strict=True)
            ]
        )
    c = G.with_source(empty(2), driving)
    expected = reference.animate(x, wanted, reference.keypoints(x)).float()
    torch.testing.assert_close(G(x, c), expected, atol=1e-5, rtol=0)
    assert (expected - absolute(x, absolute.with_source(empty(2), driving))).abs().max() > 0.01
    still = G.with_source(empty(2), G.component.donors[[0]].images.expand(2, -1, -1, -1))
    unmoved = absolute(x, absolute.with_source(empty(2), x))
    torch.testing.assert_close(G(x, still), unmoved, atol=1e-5, rtol=0)


class Donors:
    """Rows of ten random pictures, of whom they are told or not."""

    def __init__(self, who):
        self.who = who

    def __len__(self):
        return 10

    def __getitem__(self, rows):
        facts = {} if self.who is None else {"identities": torch.tensor(self.who)[list(rows)]}
        return Batch(pictures(10)[list(rows)], tuple(f"donor-{i}" for i in rows), **facts)


@pytest.mark.parametrize("motion", ["absolute", "relative"])
def test_fomm_draws_donors_that_are_other_persons(moving, motion):
    G = moving(motion=motion, donor="faces")
    G.component.donors = Donors([1, 1, 1, 2, 2, 2, 3, 3, 3, 3])
    batch = Batch(pictures(4), tuple(f"face-{i}" for i in range(4)), identities=torch.tensor([1, 2, 3, 4]))
    c = G.draw(batch, SampleRng(0, "conditions", batch.ids))
    assert len(c.code.unique(dim=0)) == 4
    if motion == "absolute":
        everybody = G.with_source(empty(10), G.component.donors[range(10)].images).code
        chosen = (c.code[:, None] == everybody).flatten(2).all(2).int().argmax(1)
        assert torch.equal(c.code, everybody[chosen])
        assert (G.component.donors[chosen.tolist()].identities != batch.identities).all()
    part = G.draw(batch[[2, 3]], SampleRng(0, "conditions", batch.ids[2:]))
    assert torch.equal(part.code, c.code[2:]), "whatever else is in the batch"
    assert not torch.equal(G.draw(batch, SampleRng(1, "conditions", batch.ids)).code, c.code)
    with pytest.raises(Exception, match="FOMM needs pictures to follow: name a dataset as donor"):
        moving().draw(batch, SampleRng(0, "conditions", batch.ids))


def test_fomm_relative_motion_begins_with_the_drivers_first_picture(moving):
    G = moving(motion="relative", donor="faces").component
    batch = Batch(pictures(30), tuple(f"face-{i}" for i in range(30)), identities=torch.full((30,), 7))

    def drawn(who):
        G.donors = Donors(who)
        told = G.draw(batch, SampleRng(0, "conditions", batch.ids)).code
        every = [(i, j) for i in range(10) for j in range(10)]
        places = G.keypoints(pictures(10))[..., :2]
        away = torch.stack([places[j] - places[i] for i, j in every])
        near = (told[:, None, :, :2] - away).abs().amax((2, 3))
        assert near.amin(1).max() < 1e-5
        return {every[i] for i in near.argmin(1).tolist()}

    clips = drawn([1, 1, 1, 1, 2, 2, 7, 7, 3, 3])
    assert clips == {(0, 1), (0, 2), (0, 3), (4, 5), (8, 9)}
    assert drawn(None) == {(0, i) for i in range(1, 10)}, "one person's, where a dataset does not tell"
    with pytest.raises(Exception, match="needs several pictures of each donor"):
        drawn(list(range(10, 20)))


# -- gradients ----------------------------------------------------------------------------------------------


def test_fomm_gradients_go_through_the_keypoints_and_the_features(moving):
    G = moving().component.double()
    x, c = pictures(1).double(), driven(moving().with_source(empty(1), pictures(1, seed=1)).code.double())
    towards, weights = (pictures(1, seed=s).double() - 0.5 for s in (2, 3))

    def loss(x):
        return (G(x, c) * weights).sum()

    step = 1e-6
    with torch.no_grad():
        slope = (loss(x + step * towards) - loss(x - step * towards)) / (2 * step)

    def along():
        leaf = x.clone().requires_grad_()
        return (torch.autograd.grad(loss(leaf), leaf)[0] * towards).sum()

    torch.testing.assert_close(along(), slope, rtol=1e-5, atol=0)
    share = {}
    for part in PARTS:
        module = G.get_submodule(part)
        hook = module.register_forward_pre_hook(lambda _, args: (args[0].detach(), *args[1:]))
        share[part] = along()
        hook.remove()
    for without in share.values():
        assert (without - slope).abs() > 1e-3 * slope.abs(), "each network has a share"
    torch.testing.assert_close(share["generator"] + share["kp_detector"], slope, rtol=1e-5, atol=0)


def test_fomm_of_flat_pictures_and_jacobians_without_an_inverse_is_finite(moving):
    G = moving()
    x = pictures(3)
    x[2] = 0.5
    code = G.with_source(empty(3), pictures(3, seed=1)).code
    code[0, :, 2:] = 0
    gradient = disturbed(G, x, driven(code))
    assert gradient.isfinite().all()
    assert gradient.flatten(1).abs().amax(1)[1:].min() > 0


def test_fomm_norms_and_batches(moving):
    G = moving()
    x, c = pictures(3), G.with_source(empty(3), pictures(3, seed=1))
    before = G(x, c)
    assert torch.equal(before[1:2], G(x[1:2], c[1:2]))
    G.component.train()
    assert torch.equal(G(x, c), before), "running statistics whatever the mode"
    features = G.component.features(x, c)
    assert [tuple(f.shape[1:]) for f in features] == [(8, 32, 32), (16, 16, 16), (32, 8, 8)]
