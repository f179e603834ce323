"""What counts as an image, and what is refused with a line that says what to do."""

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.errors import DataError
from magdr_core.inference.tensors import as_faces
from magdr_core.media import Cascade

CPU = torch.device("cpu")


def faces_of(images, whole=True):
    return as_faces(images, 32, CPU, None if whole else Cascade())


def test_every_form_of_one_picture_is_the_same_face(faces, picture):
    levels = (faces[0] * 255).round().byte()
    array = levels.permute(1, 2, 0).numpy()
    forms = [
        faces[0],
        faces[:1],
        [faces[0]],
        levels,
        str(picture),
        picture,
        [picture],
        Image.open(picture),
        array,
        [array],
        array / 255.0,
        picture.parent,
    ]
    for form in forms:
        x = faces_of(form)
        assert x.dtype == torch.float32
        assert torch.equal(x, faces[:1]), type(form)


def test_the_face_of_a_photograph_is_cut_out(astronaut):
    cut = faces_of(astronaut, whole=False)
    assert cut.shape == (1, 3, 32, 32)
    assert not torch.equal(cut, faces_of(astronaut))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.rand(2, 3, 16, 16), "images are 16 x 16, this generator takes 32 x 32"),
        (torch.rand(2, 1, 32, 32), r"expected images \[B,3,32,32\], got \(2, 1, 32, 32\)"),
        (torch.rand(1, 3, 32, 32) * 2 - 1, r"\(x \+ 1\) / 2 brings \[-1,1\] there"),
        (torch.rand(1, 3, 32, 32) * 255, "x / 255 brings levels there"),
        (torch.full((1, 3, 32, 32), torch.nan), "nan"),
        (torch.ones(1, 3, 32, 32, dtype=torch.int64), "int64"),
        ([torch.rand(3, 32, 32), torch.rand(3, 16, 16)], "several shapes"),
        (np.zeros((32, 32, 4), np.uint8), r"expected \[H,W,3\]"),
        (np.full((32, 32, 3), 2.0), r"must be in \[0,1\]"),
        (np.zeros((4, 4, 3), np.uint8), "too few"),
        ("gone.png", "'gone.png' does not exist"),
        (3, "is a int; give a path"),
        ([], "there is no image"),
    ],
)
def test_what_cannot_be_an_image_is_refused(images, words):
    with pytest.raises(DataError, match=words):
        faces_of(images)


def test_a_photograph_without_a_face_is_refused():
    with pytest.raises(DataError, match="no face was found; with --whole"):
        faces_of(np.full((64, 64, 3), 128, np.uint8), whole=False)
