"""An edit keeps what it does not name: what a face shows is found out by the editor itself."""

import pytest
import torch

from magdr_core.components.batch import VectorCondition
from magdr_core.errors import DataError
from magdr_core.inference.operations import Defend
from magdr_core.inference.shown import Keeping, attributes_shown, target_of
from magdr_core.toolkit import Toolkit
from tests.api.conftest import EDITS

NAMES = ("Black_Hair", "Blond_Hair", "Smiling", "Eyeglasses")


class Editor:
    """Moves every pixel by how far the target is from what is written in the picture's first pixels."""

    condition_names = NAMES
    whole_target = True
    additive = False
    takes_source = needs_source = takes_text = False
    passes = 0

    def __call__(self, x, c):
        self.passes += len(x)
        away = (c.values - x[:, 0, 0, : len(NAMES)]).abs() @ torch.tensor([0.1, 0.2, 0.3, 0.4])
        return x + away[:, None, None, None]


def faces(*rows):
    """Pictures that show these attributes."""
    x = torch.full((len(rows), 3, 8, 8), 0.5)
    x[:, 0, 0, : len(NAMES)] = torch.tensor(rows)
    return x


SHOWN = ([1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0])


def test_what_changes_a_face_least_is_what_it_shows():
    found = attributes_shown(Editor(), faces(*SHOWN), {})
    assert torch.equal(torch.stack([found[name] for name in NAMES], 1), torch.tensor(SHOWN))


def test_hair_has_one_colour():
    found = attributes_shown(Editor(), faces([1.0, 1.0, 0.0, 0.0]), {})
    assert found["Black_Hair"] + found["Blond_Hair"] == 1


def test_what_is_told_is_kept():
    editor = Editor()
    found = attributes_shown(editor, faces(*SHOWN), dict.fromkeys(NAMES, 0.0) | {"Smiling": 0.25})
    assert editor.passes == 0
    assert found["Smiling"].tolist() == [0.25] * 3
    assert not found["Eyeglasses"].any()


def test_an_edit_changes_what_it_names_and_nothing_else():
    x = faces(*SHOWN)
    c = Keeping(Editor(), {"Blond_Hair": 1.0}, {})(x)
    assert c.values.tolist() == [[0, 1, 1, 0], [0, 1, 0, 1], [0, 1, 1, 1]]
    assert c.changed[:, 2:].sum() == 0
    c = Keeping(Editor(), {"Smiling": 1.0}, {"Eyeglasses": 0.0})(x)
    assert c.values.tolist() == [[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0]]
    assert c.changed.tolist() == [[False, False, True, False]] * 3
    assert target_of(Editor(), c, 1) == dict(zip(NAMES, [0, 1, 1, 0], strict=True))


def test_an_editor_that_is_told_changes_alone_is_not_asked():
    editor = Editor()
    editor.whole_target = False
    keeping = Keeping(editor, {"Smiling": 1.0}, {"Eyeglasses": 1.0})
    assert keeping.looked_for == []
    assert keeping(faces(*SHOWN)).values.tolist() == [[0, 0, 1, 1]] * 3
    assert editor.passes == 0


def test_wishes_are_checked_before_there_is_a_face():
    with pytest.raises(DataError, match="changes nothing"):
        Keeping(Editor(), {"Smiling": 0.0}, {})
    with pytest.raises(DataError, match="no condition 'Smilling'"):
        Keeping(Editor(), {"Smilling": 1.0}, {})


def test_what_a_disrupted_face_shows_is_found_out_once_it_is_restored(calibrated, restoring, faces):
    def treated(flags):
        magdr, asked = calibrated(flags), []

        def conditions(x):
            asked.append(x)
            return magdr.asked(len(x), edits=EDITS, has=["Smiling"])

        c = magdr.asked(len(faces), edits=EDITS)
        return asked, Defend(magdr, conditions=conditions)(faces, c, ["a", "b", "c"])

    asked, results = treated("always")
    assert torch.equal(asked[0], torch.stack([result.changed for result in results]))
    assert not torch.equal(asked[0], faces)
    assert [result.facts["target"]["Smiling"] for result in results] == [1.0] * 3
    asked, results = treated("never")
    assert not asked
    assert [result.facts["target"]["Smiling"] for result in results] == [0.0] * 3


def test_the_packaged_editor_knows_what_drawn_faces_show():
    toolkit = Toolkit.from_registry(device="cpu")
    editor = toolkit.generator("editing")
    batch = toolkit.build("dataset", "faces").split("test")[list(range(8))]
    found = attributes_shown(editor, batch.images, {})
    for name in editor.condition_names:
        assert torch.equal(found[name], batch.attributes[name]), name
    # Hence an edit of hair leaves the other attributes as a dataset's would.
    c = Keeping(editor, {"Smiling": 0.0}, {"Smiling": 1.0})(batch.images)
    assert isinstance(c, VectorCondition)
    i = editor.condition_names.index("Eyeglasses")
    assert torch.equal(c.values[:, i], batch.attributes["Eyeglasses"])
