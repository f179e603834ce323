"""Detect, reconstruct, defend: by names or conditions, one path with the command line."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.components.batch import Condition
from magdr_core.errors import DataError, RegistryError
from magdr_core.functional import batch_size
from magdr_core.toolkit import Toolkit
from tests.api.conftest import EDITS


def test_names_mean_what_the_condition_means(calibrated, faces):
    magdr = calibrated("always")
    c = magdr.condition({"Black_Hair": 1.0}, count=3, Blond_Hair=1.0)
    by_name = magdr.defend(faces, edits=EDITS, has=["Black_Hair"])
    by_condition = magdr.defend(faces, c)
    one_for_all = magdr.defend(faces, c[:1])
    assert torch.equal(by_name.score, by_condition.score)
    assert torch.equal(by_name.restored, by_condition.restored)
    assert torch.equal(by_name.score, one_for_all.score)
    # What the pictures show is part of what is asked.
    assert not torch.equal(by_name.score, magdr.defend(faces, edits={"Smiling": 1}).score)


def test_a_value_for_every_image(calibrated, faces):
    magdr = calibrated()
    each = magdr.inspect(faces, edits={"Smiling": torch.tensor([1.0, 0.5, 1.0])}).score
    same = magdr.inspect(faces, edits={"Smiling": 1}).score
    assert each[0] == same[0]
    assert each[1] != same[1]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "say what the generator shall do: .* Black_Hair, Blond_Hair"),
        ({"edits": {"Blonde_Hair": 1}}, "did you mean 'Blond_Hair'"),
        ({"edits": EDITS, "has": ["Smile"]}, "no condition 'Smile'"),
        ({"edits": EDITS, "has": ["Blond_Hair"]}, "changes nothing"),
        ({"edits": {"Smiling": torch.ones(2)}}, "'Smiling' has 2 values for 3 images"),
    ],
)
def test_what_was_not_said_right(calibrated, faces, asked, words):
    with pytest.raises(DataError, match=words):
        calibrated().detect(faces, **asked)


@pytest.mark.parametrize(
    "value", ["1", None, float("nan"), float("inf"), True, 2, -0.1, 1j, torch.tensor([[1.0]])]
)
def test_values_that_are_no_numbers_from_0_to_1_are_refused(calibrated, faces, value):
    magdr = calibrated()
    for ask in (
        lambda: magdr.detect(faces, edits={"Smiling": value}),
        lambda: magdr.condition({}, Smiling=value),
        lambda: next(magdr.photos([], edits={"Smiling": value})),
    ):
        with pytest.raises(DataError, match=r"'Smiling' .*from 0 to 1|'Smiling' has values of shape"):
            ask()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"edits": EDITS, "has": {"Smiling": float("nan")}}, "'Smiling' is set to nan"),
        ({"edits": EDITS, "has": "Smiling"}, "has is a list of names"),
        ({"edits": EDITS, "has": 3}, "has is a list of names"),
        ({"edits": "Smiling"}, "edits are {NAME: VALUE}, got a str"),
        ({"edits": {None: 1}}, "None is no name of a condition"),
        ({"edits": {"Blond_Hair": 1, "Black_Hair": 1}}, "hair has one colour, and Blond_Hair and Black_Hair"),
        ({"c": torch.ones(3, 5)}, "a Tensor is no Condition"),
        ({"c": Condition(torch.full((3, 5), torch.nan), torch.ones(3, 5).bool())}, "NaN or infinite"),
    ],
)
def test_what_is_no_request_is_refused(calibrated, faces, asked, words):
    with pytest.raises(DataError, match=words):
        calibrated().detect(faces, **asked)


def test_an_empty_batch_gives_an_empty_result(calibrated, faces):
    magdr, none = calibrated("always"), faces[:0]
    assert magdr.detect(none, edits=EDITS) == []
    outcome = magdr.defend(none, edits=EDITS)
    assert (len(outcome), outcome.verdicts, outcome.restored.shape) == (0, [], none.shape)
    assert magdr.reconstruct(none, edits=EDITS).shape == none.shape
    assert magdr(none, edits=EDITS).shape == none.shape
    assert magdr.as_module()(none, EDITS).shape == none.shape
    assert magdr.detect(none, magdr.condition({}, count=0, Smiling=1)) == []


def test_conditions_that_do_not_fit(calibrated, faces):
    magdr = calibrated()
    c = magdr.condition({}, count=2, Smiling=1)
    with pytest.raises(DataError, match="2 conditions for 3 images"):
        magdr.detect(faces, c)
    with pytest.raises(DataError, match="not both"):
        magdr.detect(faces, c, edits=EDITS)


def test_verdicts_say_what_the_outcome_says(calibrated, faces):
    magdr = calibrated("always")
    outcome = magdr.defend(faces, edits=EDITS)
    assert len(outcome) == len(outcome.verdicts) == 3
    for i, verdict in enumerate(outcome.verdicts):
        assert verdict.disrupted
        assert verdict.score == float(outcome.score[i])
        assert list(verdict.plan) == outcome.plans[i]
        assert "skin" in verdict.regions
        assert set(verdict.processings) == {"flip"}
        assert str(verdict).startswith("disrupted (score ")
    assert [v.score for v in magdr.detect(faces, edits=EDITS)] == outcome.score.tolist()


def test_nothing_is_changed_where_nothing_is_flagged(calibrated, faces):
    magdr = calibrated("never")
    # The gate may be lower than the verdict's threshold, so looking alone is what must not change anything.
    assert torch.equal(magdr.inspect(faces, edits=EDITS).restored, faces)
    assert not any(v.disrupted for v in magdr.detect(faces, edits=EDITS))


def test_reconstruction_does_not_ask_the_detector(calibrated, faces):
    restored = [calibrated(flags).reconstruct(faces, edits=EDITS) for flags in ("always", "never")]
    assert torch.equal(*restored)
    assert torch.equal((restored[0] * 255).round() / 255, restored[0])
    alone = calibrated().reconstruct(faces[1], edits=EDITS)
    assert torch.equal(alone, restored[1][1:2])


def test_the_output_is_that_of_the_defended_image(calibrated, faces):
    magdr = calibrated("always")
    y = magdr(faces, edits=EDITS)
    expected = magdr.generator(magdr.defend(faces, edits=EDITS).restored, magdr.asked(3, edits=EDITS))
    assert torch.equal(y, expected)


def test_a_calibration_on_drawn_faces_makes_verdicts_on_photographs_guesses(workshop, faces):
    toolkit = Toolkit.from_registry(workshop / "small.toml", device="cpu")
    for photographs in (True, False):
        magdr = toolkit.magdr("editing", cache=workshop / "cache", photographs=photographs)
        outcome = magdr.inspect(faces, edits=EDITS)
        known = [not photographs and bool(covered) for covered in outcome.covered]
        assert [not v.guess for v in outcome.verdicts] == known
        assert [outcome.explain(i)["covered_by_calibration"] for i in range(3)] == known
        assert ("drawn faces" in repr(magdr)) == photographs


def test_a_calibration_of_ones_own_is_no_guess(calibrated, faces):
    magdr = calibrated("never")
    assert magdr.doubt == ""
    assert [v.guess for v in calibrated("lost").detect(faces, edits=EDITS)] == [True] * 3


def test_unknown_tasks_and_faces_of_another_size(workshop):
    toolkit = Toolkit.from_registry(workshop / "small.toml", device="cpu")
    with pytest.raises(RegistryError, match=r"no \[generator.editting\]; did you mean 'editing'"):
        toolkit.magdr("editting")
    bigger = toolkit.extended('[dataset.big]\nuse = "procedural-faces"\nparams = { size = 48 }')
    with pytest.raises(RegistryError, match=r"\[dataset.big\]: its faces have 48 pixels .* takes 32"):
        bigger.magdr("editing", dataset="big")


def test_a_grey_photo_comes_back_and_is_saved_grey(calibrated, restoring, astronaut, tmp_path):
    astronaut.convert("L").save(tmp_path / "a.png")
    (photo,) = calibrated("always").photos(tmp_path / "a.png", edits=EDITS)
    assert photo.grey
    assert (photo.restored == photo.restored[:1]).all()
    assert Image.open(photo.save(tmp_path / "out")).mode == "L"


# -- pictures of any number ------------------------------------------------------------------------------


def test_a_picture_that_cannot_be_used_stops_nothing(calibrated, restoring, astronaut, tmp_path):
    astronaut.save(tmp_path / "b.png")
    (tmp_path / "a.png").write_bytes(b"not a picture")
    bad, good = calibrated("always").photos(tmp_path, edits=EDITS)
    assert (bad.name, bad.verdict, bad.restored) == ("a.png", None, None)
    assert "is not a picture" in str(bad)
    with pytest.raises(DataError, match="is not a picture"):
        bad.save(tmp_path)
    assert good.verdict.disrupted
    assert good.restored.shape == good.output.shape == good.image.shape
    assert good.save(tmp_path / "out") == tmp_path / "out" / "b.png.restored.png"
    (kept,) = calibrated("never").photos(tmp_path / "b.png", edits=EDITS)
    assert kept.unchanged
    assert kept.save(tmp_path / "out").read_bytes() == (tmp_path / "b.png").read_bytes()
    outside = torch.ones(good.image.shape[1:], dtype=torch.bool)
    box = good.box
    outside[box.top : box.top + box.side, box.left : box.left + box.side] = False
    assert torch.equal(good.restored[:, outside], good.image[:, outside])


def test_the_library_says_what_the_command_says(calibrated, own, restoring, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    done = own("defend", "a.png", "--json", flags="always")
    (told,) = done.document["results"]
    (photo,) = calibrated("always").photos(tmp_path / "a.png", edits=EDITS)
    assert round(photo.verdict.score, 4) == told["score"]
    assert list(photo.verdict.plan) == told["plan"]
    assert {k: round(v, 2) for k, v in photo.verdict.regions.items()} == told["regions"]
    written = torch.from_numpy(np.array(Image.open(told["files"]["restored"])))
    assert torch.equal((photo.restored * 255).round().byte(), written.permute(2, 0, 1))


def test_an_endless_supply_is_read_as_it_is_asked_for(calibrated, picture):
    asked, together = itertools.count(), batch_size((64, 64), "deliver")
    supply = (picture for _ in asked)
    found = calibrated().photos(supply, edits=EDITS, whole=True, restore=False)
    for photo in itertools.islice(found, together + 1):
        assert photo.verdict is not None
        assert photo.restored is None
    assert next(asked) <= 2 * together


def test_what_is_wrong_with_the_request_is_said_before_the_first_picture(calibrated):
    with pytest.raises(DataError, match="say what the generator shall do"):
        calibrated().photos(["gone.png"])
    with pytest.raises(DataError, match="does not exist"):
        next(calibrated().photos(["gone.png"], edits=EDITS))
