"""Null forgeries, forgeries as sharp as their surroundings, redrawn scenes: what a table is checked with."""

from __future__ import annotations

import pytest
import torch

from magdr_core.components.batch import Batch
from magdr_core.errors import ComponentError, DataError, RegistryError
from magdr_core.forensics.making import family_of, forge
from magdr_core.forensics.teaching import chosen_families
from magdr_core.toolkit import Toolkit
from tests.edits import edited

REGISTRY = """
[registry]
name = "controls"

[dataset.faces]
use = "procedural-faces"
params = { size = 32 }
[dataset.others]
use = "procedural-faces"
params = { size = 32, identity = "A" }

[forgery.swap]
[forgery.sharp]
use = "sharpness-matched"
params = { family = "swap" }
[forgery.sharp-splice]
use = "sharpness-matched"
params = { family = "splice" }
[forgery.splice]
[forgery.null]
params = { family = "swap" }
[forgery.null-of-null]
use = "null"
params = { family = "redrawn" }
[forgery.redrawn]
params = { dataset = "faces" }
"""


def registry(folder):
    path = folder / "controls.toml"
    path.write_text(REGISTRY)
    return path


@pytest.fixture
def kit(tmp_path):
    return Toolkit.from_registry(registry(tmp_path), device="cpu")


@pytest.fixture
def forged(kit):
    split = kit.build("dataset", "faces").split("test")
    batch = split[[0, 1, 2, 3]]
    return lambda label: (batch, forge(kit, label, split, batch, 0))


def test_a_null_forgery_resamples_the_face_and_forges_nothing(forged):
    batch, made = forged("null")
    assert not bool(made.masks.any())
    moved = (made.images - batch.images).abs()
    assert 0 < float(moved.mean()) < 0.02


def test_a_redrawn_scene_is_a_picture_of_the_renderer_and_counts_as_real(kit, forged):
    batch, made = forged("redrawn")
    assert not bool(made.masks.any())
    assert bool((made.images != batch.images).flatten(1).any(1).all())
    assert family_of(kit, "redrawn").null


def test_a_sharpened_forgery_has_the_mask_of_the_other(forged):
    _, plain = forged("swap")
    _, sharp = forged("sharp")
    assert sharp.masks.shape == plain.masks.shape
    assert bool(sharp.masks.flatten(1).any(1).all())


def test_a_forgery_of_a_forgery_is_a_family_of_its_own(kit):
    found = {label: family_of(kit, label) for label in ("swap", "sharp", "null")}
    assert {label: f.name for label, f in found.items()} == {
        "swap": "swap",
        "sharp": "sharpness-matched of swap",
        "null": "null of swap",
    }


def test_what_has_no_pipeline_without_a_forgery_says_so(forged):
    with pytest.raises(ComponentError, match="has no pipeline without a forgery"):
        forged("null-of-null")


def test_what_is_made_of_a_familys_fakes_is_left_out_with_it(tmp_path):
    def learns_from(keys):
        path = tmp_path / "model.toml"
        path.write_text(f'{REGISTRY}[forensic.model]\nuse = "statistics"\n{keys}')
        return [f.label for f in chosen_families(Toolkit.from_registry(path, device="cpu"), "model")]

    assert family_of(Toolkit.from_registry(registry(tmp_path), device="cpu"), "sharp-splice").group == "local"
    assert learns_from("") == ["swap", "sharp", "sharp-splice", "splice"]
    assert learns_from('leave_out = ["local"]') == ["swap", "sharp"]
    assert learns_from('leave_out = ["splice"]') == ["swap", "sharp"]
    assert learns_from('families = ["swap", "sharp-splice"]\nleave_out = ["splice"]') == ["swap"]


def test_what_is_not_taught_is_learned_from_by_those_alone_who_name_it(tmp_path):
    text = edited(REGISTRY, ("[forgery.splice]", "[forgery.splice]\ntaught = false"))

    def learns_from(keys):
        path = tmp_path / "model.toml"
        path.write_text(f'{text}[forensic.model]\nuse = "statistics"\n{keys}')
        return [f.label for f in chosen_families(Toolkit.from_registry(path, device="cpu"), "model")]

    assert learns_from("") == ["swap", "sharp", "sharp-splice"]
    assert learns_from('families = ["splice"]') == ["splice"]


@pytest.mark.parametrize(
    ("families", "said"),
    [('["swap", "null"]', "families: 'null' is no forgery: its pictures count as real"), ("[]", "families")],
)
def test_real_pictures_are_never_taught_as_fakes(tmp_path, families, said):
    path = tmp_path / "model.toml"
    path.write_text(f'{REGISTRY}[forensic.model]\nuse = "statistics"\nfamilies = {families}')
    with pytest.raises(RegistryError, match=said):
        chosen_families(Toolkit.from_registry(path, device="cpu"), "model")


def test_pictures_of_another_dataset_are_not_redrawn(kit):
    split = kit.build("dataset", "others").split("test")
    with pytest.raises(DataError, match="face-2000000 is no picture of the dataset"):
        forge(kit, "redrawn", split, split[[0]], 0)


def test_faces_of_which_nobody_knows_masks_are_parsed_where_the_registry_has_a_parser(kit, tmp_path):
    split = kit.build("dataset", "faces").split("test")
    known = split[[0, 1]]
    bare = {name: value for name, value in known.annotations.items() if name != "masks"}
    batch = Batch(known.images, known.ids, annotations=bare)
    with pytest.raises(DataError, match=r"add a \[parser.NAME\]"):
        forge(kit, "null", split, batch, 0)
    path = tmp_path / "parsed.toml"
    path.write_text(f"{REGISTRY}\n[parser.faces]\nuse = 'unet'\n")
    parsed = Toolkit.from_registry(path, device="cpu")
    found, exact = (forge(parsed, "swap", split, one, 0).masks for one in (batch, known))
    assert float((found * exact).sum() / torch.maximum(found, exact).sum()) > 0.5
