"""SimSwap: its published layouts and both conventions, source faces, and donors in a benchmark."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from magdr_plugins.generators.simswap import SimSwap

from magdr_core.components.batch import Batch
from magdr_core.components.condition import CodedCondition
from magdr_core.components.rng import SampleRng
from magdr_core.errors import RegistryError
from magdr_core.functional import PARTS
from tests.plugins.layouts import (
    batch_normalised,
    disturbed,
    invented,
    mirrored,
    norm_keys,
    pictures,
    table,
)
from tests.plugins.test_cyclegan import empty

PERSONS = '''
"""Who is shown: the mean colours, shifted; and faces of three persons."""
import torch
from torch.nn import functional as F
from magdr_core.api import Batch, DatasetSpec, IdentityEncoderSpec, hookimpl

MAGDR_API = 1

class Colours:
    size = 8

    def __init__(self, *, dimension: int = 6):
        self.dimension = dimension

    def __call__(self, x):
        mean = x.mean((2, 3)) - 0.5
        both = torch.cat([mean, mean.square() + 0.1], 1)
        return F.normalize(both.repeat(1, self.dimension // 6 + 1)[:, : self.dimension])

class Split:
    def __len__(self):
        return 9

    def __getitem__(self, indices):
        g = torch.Generator().manual_seed(0)
        images = (torch.rand(9, 3, 8, 8, generator=g) * 255).round() / 255
        rows = list(indices)
        return Batch(images[rows], tuple(f"donor-{i}" for i in rows), identities=torch.tensor(rows) % 3)

class Donors:
    size = 8

    def split(self, name):
        return Split()

    def fingerprint(self):
        return "donors"

@hookimpl
def magdr_identity_encoders():
    return [IdentityEncoderSpec(name="colours", build=Colours)]

@hookimpl
def magdr_datasets():
    return [DatasetSpec(name="donors", build=Donors)]
'''
SMALL = {"width": 16, "blocks": 2, "size": 32}


@pytest.fixture
def simswap(toolkit_from, tmp_path):
    """`simswap(dimension=6, **params)`: a guarded generator with that encoder."""
    (tmp_path / "persons.py").write_text(PERSONS)

    def make(*, dimension=6, **params):
        params = {"weights": "random", "encoder": "who", **params}
        text = [
            '[plugins]\nlocal = { persons = "./persons.py" }',
            f'[identity_encoder.who]\nuse = "persons/colours"\nparams = {{ dimension = {dimension} }}',
            '[dataset.faces]\nuse = "persons/donors"',
            table("generator", "simswap", **params),
        ]
        return toolkit_from("\n".join(text)).generator("g")

    return make


NUMBERS = {"224": (1, 2, 3), "512": (0, 1, 2, 3), "deep": (1, 2, 3, 4)}


def published(form="224", width=512, blocks=9, dimension=512):
    """State-dict keys and shapes of the public generators."""
    keys = {}

    def conv(name, before, after, side):
        keys[f"{name}.weight"], keys[f"{name}.bias"] = (after, before, side, side), (after,)

    ends = {0: (width // 16, width // 8), 1: (width // 8, width // 4), 2: (width // 4, width // 2)}
    ends |= {3: (width // 2, width), 4: (width, width)}
    first = ends[NUMBERS[form][0]][0]
    conv("first_layer.1", 3, first, 7)
    keys |= norm_keys("first_layer.2", first)
    for n in NUMBERS[form]:
        before, after = ends[n]
        conv(f"down{n}.0", before, after, 3)
        conv(f"up{n}.1", after, before, 3)
        keys |= norm_keys(f"down{n}.1", after) | norm_keys(f"up{n}.2", before)
    for i in range(blocks):
        for j in (1, 2):
            conv(f"BottleNeck.{i}.conv{j}.1", width, width, 3)
            keys[f"BottleNeck.{i}.style{j}.linear.weight"] = (2 * width, dimension)
            keys[f"BottleNeck.{i}.style{j}.linear.bias"] = (2 * width,)
    conv("last_layer.1", first, 3, 7)
    return keys


MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def reference(state, x, identity, form="224", convention="old", blocks=9):
    """The published forward passes, `[B,3,H,W]` in [0,1] without cutting."""

    def conv(name, y, **how):
        return F.conv2d(y, state[f"{name}.weight"], state[f"{name}.bias"], **how)

    def styled(name, y):
        style = identity @ state[f"{name}.linear.weight"].T + state[f"{name}.linear.bias"]
        scale, shift = style.reshape(len(y), 2, -1, 1, 1).unbind(1)
        y = y - y.mean((2, 3), keepdim=True)
        y = y / (y.square().mean((2, 3), keepdim=True) + 1e-8).sqrt()
        return y * (scale + 1) + shift

    y = (x - MEAN) / STD if convention == "fix" else x
    y = torch.relu(batch_normalised(state, "first_layer.2", conv("first_layer.1", mirrored(y, 3))))
    for n in NUMBERS[form]:
        y = conv(f"down{n}.0", y, stride=2, padding=1)
        y = torch.relu(batch_normalised(state, f"down{n}.1", y))
    for i in range(blocks):
        name = f"BottleNeck.{i}"
        z = torch.relu(styled(f"{name}.style1", conv(f"{name}.conv1.1", mirrored(y, 1))))
        y = y + styled(f"{name}.style2", conv(f"{name}.conv2.1", mirrored(z, 1)))
    for n in NUMBERS[form][::-1]:
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        y = torch.relu(batch_normalised(state, f"up{n}.2", conv(f"up{n}.1", y, padding=1)))
    y = conv("last_layer.1", mirrored(y, 3))
    return y * STD + MEAN if convention == "fix" else (torch.tanh(y) + 1) / 2


def identities(count, dimension, seed=0):
    return F.normalize(torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed)))


def swaps(code):
    plain = empty(len(code))
    return CodedCondition(plain.values, plain.changed, code=code)


# -- weights ------------------------------------------------------------------------------------------------

PUBLISHED = {"224": (123, 55_051_779), "512": (137, 55_079_427), "deep": (137, 59_773_443)}


class Encoder:
    dimension = 512


@pytest.mark.parametrize("form", PUBLISHED)
def test_simswap_published_keys_and_shapes(form):
    with torch.device("meta"):
        net = SimSwap(Encoder(), None, form=form, convention="old", width=512, blocks=9, size=224)
    keys = published(form)
    assert {k: tuple(v.shape) for k, v in net.state_dict().items()} == keys
    assert (len(keys), sum(p.numel() for p in net.parameters())) == PUBLISHED[form]


def test_simswap_public_checkpoint_agrees_with_the_reference(simswap, tmp_path):
    state = invented(published())
    state["last_layer.1.weight"] *= 0.3
    torch.save(state, tmp_path / "latest_net_G.pth")
    G = simswap(weights="latest_net_G.pth", dimension=512)
    assert G.size == 224
    assert all(torch.equal(v, state[k]) for k, v in G.component.state_dict().items())
    x, code = pictures(2, 16, 24), identities(2, 512)
    expected = reference(state, x, code)
    assert expected.std() > 0.05
    torch.testing.assert_close(G(x, swaps(code)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("convention", ["old", "fix"])
@pytest.mark.parametrize("form", PUBLISHED)
def test_simswap_every_form_and_convention_agrees_with_the_reference(simswap, tmp_path, form, convention):
    """The same file, two conventions: nothing in it tells them apart, the registry has to."""
    state = invented(published(form, width=32, blocks=2, dimension=6))
    state["last_layer.1.weight"] *= 0.3
    torch.save(state, tmp_path / "net.pth")
    G = simswap(weights="net.pth", form=form, convention=convention, width=32, blocks=2)
    x, code = pictures(2, 32, 48), identities(2, 6)
    expected = reference(state, x, code, form, convention, blocks=2)
    assert ((expected > 0) & (expected < 1)).float().mean() > 0.5
    torch.testing.assert_close(G(x, swaps(code)), expected.clamp(0, 1), atol=1e-5, rtol=0)


def test_simswap_other_files_are_refused_in_one_line(simswap, tmp_path):
    torch.save(invented(published("512", width=16, blocks=2, dimension=6)), tmp_path / "w.pth")
    with pytest.raises(RegistryError) as e:
        simswap(weights="w.pth", width=32, blocks=3)
    assert str(e.value).endswith('. The file was made with form = "512", width = 16, blocks = 2')
    assert "\n" not in str(e.value)
    state = invented(published(width=16, blocks=2, dimension=6))
    torch.save(state | {"extra.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(RegistryError) as e:
        simswap(weights="w.pth", **SMALL)
    said = "bad.toml [generator.g]: w.pth does not fit SimSwap: unexpected extra.weight"
    assert str(e.value) == said, "extra keys are listed, not passed over"
    torch.save({"down1.0.weight": torch.zeros(64, 3, 4, 4)}, tmp_path / "w.pth")
    with pytest.raises(RegistryError, match="is it the discriminator's file"):
        simswap(weights="w.pth", **SMALL)
    with pytest.raises(RegistryError, match=r"has no \[identity_encoder\.nobody\]|nobody"):
        simswap(encoder="nobody", **SMALL)


def test_simswap_norms_and_gradients(simswap):
    G = simswap(**SMALL)
    x, c = pictures(3), swaps(identities(3, 6))
    assert disturbed(G, x, c).flatten(1).abs().amax(1).min() > 0
    before = G(x, c)
    assert torch.equal(before[1:2], G(x[1:2], c[1:2]))
    G.component.train()
    assert torch.equal(G(x, c), before), "running statistics whatever the mode"
    with pytest.raises(Exception, match="multiples of 8 from 16 on, got"):
        G(pictures(1, 20, 16), c[:1])


# -- whose face ---------------------------------------------------------------------------------------------


def test_simswap_source_faces_decide_and_have_to_be_given(simswap):
    G = simswap(**SMALL)
    assert G.takes_source
    x, plain = pictures(2), empty(2)
    with pytest.raises(Exception, match=r"whose face to put in: give a source picture \(--source FILE\)"):
        G(x, plain)
    source = pictures(2, 8, 8, seed=3)
    c = G.with_source(plain, source)
    torch.testing.assert_close(c.code.square().sum(1), torch.ones(2))
    again = G.with_source(plain, source.flip(0))
    assert c.differs(again).all()
    assert torch.equal(again.code.flip(0), c.code)
    assert not torch.equal(G(x, c), G(x, again))
    named = {PARTS[i] for i in G.edited(c)[0].nonzero().flatten().tolist()}
    assert named == {"skin", "brows", "eyes", "glasses", "nose", "mouth"}


def test_simswap_draws_donors_that_are_other_persons(simswap):
    G = simswap(donor="faces", **SMALL)
    ids = tuple(f"face-{i}" for i in range(40))
    persons = torch.arange(40) % 3
    batch = Batch(pictures(40, 8, 8), ids, identities=persons)

    def drawn(batch, seed=0):
        return G.draw(batch, SampleRng(seed, "conditions", batch.ids))

    c = drawn(batch)
    donors = G.component.donors
    everybody = G.component.encoder(donors[range(9)].images)
    chosen = (c.code[:, None] == everybody).all(2).int().argmax(1)
    assert (c.code == everybody[chosen]).all()
    assert (donors[range(9)].identities[chosen] != persons).all()
    assert len(chosen.unique()) == 9
    part = drawn(batch[[5, 6]])
    assert torch.equal(part.code, c.code[5:7])
    assert not torch.equal(drawn(batch, 1).code, c.code)
    with pytest.raises(Exception, match="SimSwap needs faces to put in: name a dataset as donor"):
        simswap(**SMALL).draw(batch, SampleRng(0, "conditions", ids))


# -- whose picture is protected -----------------------------------------------------------------------------


def test_simswap_of_a_protected_source_is_the_same_swap_seen_from_the_other_side(simswap):
    target, source = simswap(**SMALL), simswap(protects="source", **SMALL)
    source.component.load_state_dict(target.component.state_dict())
    face, shown = pictures(2, 32, 32, seed=3), pictures(2, 32, 32)
    c = source.with_source(empty(2), shown)
    assert torch.equal(c.code, shown)
    expected = target(shown, target.with_source(empty(2), face))
    torch.testing.assert_close(source(face, c), expected)
    assert not torch.equal(source(face.flip(0), c), source(face, c))
    small = pictures(2, 16, 24, seed=3)
    assert source(small, c).shape == small.shape, "what it is put into is brought to the picture's size"
    resized = source.with_source(empty(2), pictures(2, 48, 48))
    assert resized.code.shape == (2, 3, 32, 32)


def test_simswap_attacks_on_a_protected_source_go_through_the_identity(simswap):
    G = simswap(protects="source", **SMALL)
    x, c = pictures(2, 32, 32), G.with_source(empty(2), pictures(2, 32, 32, seed=3))
    x.requires_grad_(True)
    (slope,) = torch.autograd.grad(G(x, c).square().sum(), x)
    assert (slope.flatten(1).abs().amax(1) > 0).all()
    # The encoder sees mean colours: all pixels of a colour have one gradient.
    flat = slope.flatten(2)
    torch.testing.assert_close(flat, flat[:, :, :1].expand_as(flat))
    (code,) = G.component.features(x, c)
    assert code.shape == (2, 6, 1, 1)
    assert torch.equal(code[:, :, 0, 0], G.component.encoder(x))
    assert len(simswap(**SMALL).component.features(x, c)) > 1


def test_simswap_disrupting_a_protected_source_is_another_output_and_no_copy_of_the_input(simswap):
    assert simswap(protects="source", **SMALL).objective == "untargeted"
    assert simswap(**SMALL).objective == "towards-input"


def test_simswap_draws_what_a_protected_source_is_put_into(simswap):
    G = simswap(donor="faces", protects="source", **SMALL)
    ids = tuple(f"face-{i}" for i in range(6))
    batch = Batch(pictures(6, 8, 8), ids, identities=torch.arange(6) % 3)
    c = G.draw(batch, SampleRng(0, "conditions", ids))
    donors = G.component.donors
    everybody = G.with_source(empty(9), donors[range(9)].images).code
    chosen = (c.code[:, None] == everybody).flatten(2).all(2).int().argmax(1)
    assert torch.equal(c.code, everybody[chosen])
    assert (donors[range(9)].identities[chosen] != batch.identities).all()
    part = G.draw(batch[[2, 3]], SampleRng(0, "conditions", ids[2:4]))
    assert torch.equal(part.code, c.code[2:4])


def test_simswap_of_a_protected_source_says_what_is_missing(simswap):
    G = simswap(protects="source", **SMALL)
    with pytest.raises(Exception, match=r"put the face into: give the other picture \(--source FILE\)"):
        G(pictures(1), empty(1))
    with pytest.raises(Exception, match='protects = "source" is told pictures, not identities'):
        G(pictures(1), swaps(identities(1, 6)))
