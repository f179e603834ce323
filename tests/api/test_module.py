"""MagDR as a layer before a generator in a model of somebody's."""

import pytest
import torch
from torch import nn

from magdr_core import MagDRModule
from magdr_core.errors import DataError
from tests.api.conftest import EDITS


class Recorder(nn.Module):
    """A generator that keeps what it was given."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x, c=None):
        self.seen = (x, c)
        return x * self.gain


def test_the_layer_gives_the_output_on_the_defended_image(calibrated, faces):
    magdr = calibrated("always")
    layer = magdr.as_module()
    y = layer(faces, EDITS)
    assert isinstance(layer, MagDRModule)
    assert torch.equal(y, magdr(faces, edits=EDITS))
    assert torch.equal(layer.outcome.restored, magdr.defend(faces, edits=EDITS).restored)


def test_a_vector_is_an_edit_of_what_was_there_before(calibrated, faces):
    magdr = calibrated()
    layer = magdr.as_module()
    before = torch.tensor([[1.0, 0, 0, 0, 1]]).repeat(3, 1)
    target = torch.tensor([[0.0, 1, 0, 0, 1]]).repeat(3, 1)
    _, known = layer.defended(faces, target, before)
    assert known.changed.tolist() == [[True, True, False, False, False]] * 3
    _, assumed = layer.defended(faces, target)
    assert assumed.changed.tolist() == [[False, True, False, False, True]] * 3
    c = magdr.condition({"Black_Hair": 1.0, "Eyeglasses": 1.0}, count=3, Blond_Hair=1)
    assert torch.equal(layer(faces, target, before), layer(faces, c))


def test_images_in_symmetric_units_come_back_in_them(calibrated, faces):
    magdr = calibrated("always")
    y = magdr.as_module(value_range="symmetric")(faces * 2 - 1, EDITS)
    assert torch.allclose((y + 1) / 2, magdr(faces, edits=EDITS), atol=1e-5)


def test_a_generator_that_is_given_gets_the_restored_images_and_its_gradients(calibrated, faces):
    generator = Recorder()
    magdr = calibrated("always")
    layer = magdr.as_module(generator, value_range="symmetric")
    target = torch.zeros(3, 5)
    target[:, 1] = 1
    layer(faces * 2 - 1, target).sum().backward()
    seen, told = generator.seen
    assert torch.allclose(seen, magdr.defend(faces, edits=EDITS).restored * 2 - 1, atol=1e-5)
    assert told is target
    assert generator.gain.grad is not None


def test_names_reach_a_given_generator_as_the_vector(calibrated, faces):
    generator = Recorder()
    calibrated().as_module(generator)(faces, EDITS)
    assert generator.seen[1].tolist() == [[0, 1, 0, 0, 0]] * 3


def test_the_model_around_it_neither_trains_nor_saves_nor_casts_it(calibrated, faces):
    layer = calibrated().as_module()
    model = nn.Sequential(layer)
    expected = layer(faces, EDITS)
    model.half().train()
    assert not list(model.parameters())
    assert not model.state_dict()
    assert torch.equal(layer(faces, EDITS), expected)
    y = layer(faces.half(), EDITS)
    assert y.dtype == torch.float16


def test_wrong_requests_are_refused(calibrated, faces):
    layer = calibrated().as_module()
    with pytest.raises(DataError, match="the condition has 4 entries, the generator takes 5"):
        layer(faces, torch.ones(3, 4))
    with pytest.raises(DataError, match=r"a condition vector is \[B,C\]"):
        layer(faces, torch.ones(5))
    with pytest.raises(DataError, match="belongs to a condition vector"):
        layer(faces, EDITS, torch.zeros(3, 5))
    with pytest.raises(DataError, match="value_range"):
        calibrated().as_module(value_range="bytes")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_does_not_reach_magdr(calibrated, faces, dtype):
    layer = calibrated("always").as_module()
    x = faces.to(dtype)
    plain = layer(x, EDITS)
    score = layer.outcome.score
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = layer(x, EDITS)
    assert cast.dtype == dtype
    assert torch.equal(cast, plain)
    assert torch.equal(layer.outcome.score, score)


def test_autocast_reaches_a_network_of_ones_own_behind_magdr(calibrated, faces):
    network = nn.Conv2d(3, 3, 1)
    layer = calibrated().as_module(Wrapped(network))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(faces, EDITS).dtype == torch.bfloat16


class Wrapped(nn.Module):
    """A network that takes no condition into account."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, c):
        return self.network(x)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ("a.png", r"\[B,3,S,S\], got a str"),
        (torch.zeros(3, 32, 32), r"got \(3, 32, 32\)"),
        (torch.full((1, 3, 32, 32), torch.nan), "nan"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(calibrated, x, words):
    with pytest.raises(DataError, match=words):
        calibrated().as_module()(x, EDITS)
