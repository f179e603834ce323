"""`magdr adapt`: what is made for a generator, and what stops it."""

from __future__ import annotations

import csv
import math
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.adapt import adapt, learning, run, tables
from magdr_core.adapt.checks import AdaptError, check_generator
from magdr_core.adapt.faces import cut_faces, pictures_below, shared_out
from magdr_core.adapt.learning import Learner
from magdr_core.adapt.measuring import MAGDR
from magdr_core.adapt.page import render, sentences, titles_of
from magdr_core.adapt.stages import Stages
from magdr_core.adapt.tables import GeneratorSource
from magdr_core.adapt.variations import VariedFaces, varied
from magdr_core.components.weights import read_card, read_state
from magdr_core.errors import DataError, MagdrError, RegistryError
from magdr_core.registry.read import parse_registry, read_registry
from magdr_core.toolkit import Toolkit
from tests.adapt.world import SIZE, made_up, write_pictures, write_world
from tests.edits import edited


def quiet(*told):
    pass


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The registry's file, beside it 50 pictures in `data`."""
    root = tmp_path_factory.mktemp("adapt")
    write_pictures(root / "data", 50)
    return write_world(root)


@pytest.fixture(scope="module")
def cut(world):
    """A source whose faces are cut."""
    source = GeneratorSource(read_registry(world), "sharp", world.parent / "cut", SIZE, ())
    data = world.parent / "data"
    cut_faces(data, pictures_below(data), source.out, SIZE, finder=None)
    return source


@pytest.fixture(scope="module")
def toolkit(cut):
    return Toolkit(cut.parsed(cut.tables()), device="cpu")


# -- the pictures -----------------------------------------------------------------------------------------


def test_every_picture_is_in_one_split_and_keeps_to_it():
    names = [f"{i}.png" for i in range(200)]
    splits = shared_out(names, Path("nowhere"))
    assert sorted(splits) == sorted(names)
    counts = {s: list(splits.values()).count(s) for s in ("train", "calibration", "test")}
    assert counts == {"train": 120, "calibration": 40, "test": 40}
    assert shared_out(names[::-1], Path("nowhere")) == splits


def test_folders_and_lists_that_know_the_splits_are_followed(tmp_path):
    assert shared_out(["train/a.png", "test/b.png"], tmp_path) == {
        "train/a.png": "train",
        "test/b.png": "test",
    }
    (tmp_path / "list.csv").write_text("name,split,size\nx/a,calibration,64\nx/b,test,64\n")
    assert shared_out(["x/a.jpg", "x/b.jpg"], tmp_path) == {"x/a.jpg": "calibration", "x/b.jpg": "test"}


def test_masks_of_portraits_are_no_pictures(tmp_path):
    write_pictures(tmp_path, 2)
    (tmp_path / "0000.mask.png").write_bytes((tmp_path / "0001.png").read_bytes())
    assert [given.name for given in pictures_below(tmp_path)] == ["0000.png", "0001.png"]


def test_what_is_written_below_the_pictures_is_none_of_them(tmp_path):
    write_pictures(tmp_path, 2)
    write_pictures(tmp_path / "out" / "faces", 2)
    found = pictures_below(tmp_path, tmp_path / "out")
    assert [given.name for given in found] == ["0000.png", "0001.png"]


def test_cut_faces_are_a_dataset_with_three_splits_of_the_generators_size(cut, toolkit):
    faces = toolkit.build("dataset", "faces")
    counts = {s: len(faces.split(s)) for s in ("train", "calibration", "test")}
    assert counts == {"train": 16, "calibration": 24, "test": 10}
    ids = [id for s in counts for id in faces.split(s)[list(range(counts[s]))].ids]
    assert len(set(ids)) == 50
    assert faces.split("test")[[0]].images.shape == (1, 3, SIZE, SIZE)


def test_attributes_of_ones_own_pictures_count_as_0(world, tmp_path):
    data = world.parent / "data"
    cut_faces(data, pictures_below(data), tmp_path, SIZE, finder=None, attributes=["Smiling"])
    toolkit = Toolkit.from_registry(world).extended(
        f"[dataset.mine]\nuse = 'folder'\nparams = {{ path = '{tmp_path / 'faces'}', size = {SIZE}, "
        "split = 'folders', attributes = 'attributes.csv' }"
    )
    batch = toolkit.build("dataset", "mine").split("test")[[0, 1]]
    assert batch.attributes["Smiling"].tolist() == [0, 0]


def test_too_few_pictures_are_told_with_those_that_could_not_be_used(tmp_path):
    data = write_pictures(tmp_path / "data", 47)
    (data / "zz.png").write_bytes(b"no picture")
    said = []
    with pytest.raises(DataError, match=r"too few, 16 at least \(48 in all\); 1 of 48 could not be used"):
        cut_faces(data, pictures_below(data), tmp_path / "out", SIZE, finder=None, log=said.append)
    assert len(said) == 1
    assert "zz.png" in said[0]


def test_variations_are_the_picture_itself_first_and_then_others(toolkit):
    faces = toolkit.build("dataset", "faces")
    split = VariedFaces(faces, 3).split("train")
    assert len(split) == 48
    first, again = split[[5]], split[[16 + 5]]
    assert torch.equal(first.images, faces.split("train")[[5]].images)
    assert first.ids[0] != again.ids[0]
    assert (first.images - again.images).abs().mean() > 0.01
    assert torch.equal(split[[21, 5]].images[0], again.images[0]), "an index is a picture for ever"


def test_a_variation_is_8_bit_and_shows_the_middle():
    image = torch.zeros(1, 3, 32, 32)
    image[..., 12:20, 12:20] = 1
    for name in "abcdef":
        seen = varied(image, [name])
        assert torch.equal((seen * 255).round() / 255, seen)
        assert seen[..., 14:18, 14:18].min() == 1
        assert seen[..., :4].max() == 0


# -- the generator ----------------------------------------------------------------------------------------


def split_of(toolkit):
    return toolkit.build("dataset", "faces").split("train")


def of(world, task):
    source = GeneratorSource(read_registry(world), task, world.parent / "cut", SIZE, ())
    return Toolkit(source.parsed(source.tables()), device="cpu")


def test_a_generator_that_can_be_adapted_to_is_disrupted_and_has_a_twin(toolkit):
    found = check_generator(toolkit, "sharp", split_of(toolkit))
    assert found.no_twin == ""
    assert found.disrupted > 0.02


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("stepped", r"\[generator.stepped\] is not differentiable"),
        ("flat", r"\[generator.flat\] has a gradient of 0 everywhere"),
    ],
)
def test_what_no_purifier_can_learn_from_is_told_in_one_line(world, toolkit, task, said):
    with pytest.raises(AdaptError, match=said) as told:
        check_generator(of(world, task), task, split_of(toolkit))
    assert "\n" not in str(told.value)


def test_a_generator_without_a_parameter_for_weights_has_no_twin(world, toolkit):
    found = check_generator(of(world, "fixed"), "fixed", split_of(toolkit))
    assert found.no_twin == "acme/fixed has no parameter `weights`, so nobody could load a twin's weights"


# -- the trainings ----------------------------------------------------------------------------------------


@pytest.fixture
def learner(cut):
    return Learner(cut, "cpu", True, quiet, quiet)


def test_the_purifier_learns_from_eq_8_and_starts_from_the_shipped_one(learner):
    recipe = learner.recipe("purifier", 100)
    assert recipe.start == "builtin:purifier-faces64"
    assert recipe.settings["eq8"] == 1
    assert recipe.victim["use"] == "acme/sharp"
    assert (recipe.steps, recipe.pool) == (100, 120)
    assert learner.recipe("twin", 100_000).pool == learning.MOST_IMAGES


def test_a_trained_twin_is_the_generator_with_other_weights(learner, cut, world):
    path = learner.train("twin", 3)
    own = read_state(world.parent / "weights" / "sharp.safetensors")
    made = read_state(path)
    assert own.keys() == made.keys()
    assert not torch.equal(own["fine.weight"], made["fine.weight"].float())
    card = read_card(path)
    assert card["command"] == "magdr adapt registry.toml --generator sharp --data FOLDER"
    assert card["training"]["data"].startswith("16 pictures of one's own and variations")
    assert math.isfinite(card["quality"]["gap_clean"])
    assert not list(cut.out.glob("*.pt")), "what is only for going on is gone"
    twin = Toolkit(cut.parsed(cut.tables(purifier=False, twin=True)), device="cpu").generator("twin-sharp")
    assert torch.equal(twin.component.fine.weight, made["fine.weight"].float())


def test_minutes_are_turned_into_steps_in_proportion(learner, monkeypatch):
    class Trainer:
        def __init__(self, context):
            clock[0] += 16 * 0.5  # half a second for each of the images that are tried

        def step(self, i):
            clock[0] += 1.0 if i == 0 else 2.0
            return {}

    clock = [0.0]
    monkeypatch.setattr(learning, "trainer_of", Trainer)
    monkeypatch.setattr(learning.time, "monotonic", lambda: clock[0])
    # A step takes .4 * 1 + .6 * 2 seconds, and 1.2 images of half a second.
    assert learner.steps_within("purifier", 10) == int(600 / (1.6 + 1.2 * 0.5))
    assert learner.steps_within("purifier", 1e-6) == 1


# -- going on ---------------------------------------------------------------------------------------------


def test_a_stage_is_kept_until_what_it_depends_on_changes(tmp_path):
    stages = Stages(tmp_path / "out")
    stages.done("faces", ["a", 1], {"n": 3})
    again = Stages(tmp_path / "out")
    assert again.kept("faces", ["a", 1]) == {"n": 3}
    assert again.kept("faces", ["a", 2]) is None
    assert again.kept("faces", ["a", 1], [tmp_path / "gone"]) is None
    assert again.kept("twin", ["a", 1]) is None


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(MagdrError, match="holds other files"):
        Stages(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_what_is_asked_for_wrongly_is_told_before_anything_is_written(world, tmp_path):
    data, out = world.parent / "data", tmp_path / "out"
    with pytest.raises(
        RegistryError, match=r"registry.toml has no \[generator.shapr\]; did you mean 'sharp'"
    ):
        adapt(world, "shapr", data, out)
    with pytest.raises(MagdrError, match="how many steps or how many minutes, not both"):
        adapt(world, "sharp", data, out, steps=1, minutes=1)
    assert not out.exists()
    with pytest.raises(DataError, match="is no folder"):
        adapt(world, "sharp", tmp_path / "nowhere", out, log=quiet)


# -- the registry -----------------------------------------------------------------------------------------


def test_paths_of_the_written_registry_lead_to_the_plugin_and_the_weights_from_elsewhere(world, tmp_path):
    source = GeneratorSource(read_registry(world), "sharp", world.parent / "a" / "b", SIZE, ())
    written = tomllib.loads(source.written({"fit": 12}, "x.json", twin=True, tested=9))
    assert written["plugins"]["local"]["acme"] == "../../plugins/acme.py"
    assert written["generator"]["sharp"]["base"] == "../.."
    assert written["generator"]["twin-sharp"] == {
        "use": "acme/sharp",
        "params": {"weights": "twin-sharp.safetensors"},
    }
    assert written["magdr"]["twins"] == ["twin-sharp"]
    assert written["magdr"]["parser"] == "whole"
    assert "purifier-sharp" in written["magdr"]["layers"][0]
    assert written["calibration"]["file"] == "x.json"
    assert "twin-sharp" not in str(tomllib.loads(source.written({}, "", twin=False, tested=9)))


def test_a_twin_keeps_the_paths_that_its_generator_has_besides_weights(world, tmp_path):
    text = (
        world.read_text()
        + '[generator.more]\nuse = "acme/sharp"\nparams = { weights = "w.pt", style = "s/x.png" }'
    )
    registry = parse_registry(text, world)
    source = GeneratorSource(registry, "more", world.parent / "a" / "b", SIZE, ())
    twin = source.tables(twin=True)["generator"]["twin-more"]
    assert twin["params"]["style"] == "s/x.png"
    start = source.out / twin["base"]
    assert (start / "s/x.png").resolve() == world.parent.resolve() / "s" / "x.png"
    weights = (start / twin["params"]["weights"]).resolve()
    assert weights == (source.out / "twin-more.safetensors").resolve()


# -- the page ---------------------------------------------------------------------------------------------


def test_the_page_says_what_is_left_and_whether_that_is_sure(cut):
    told = " ".join(sentences("sharp", made_up(0.012, -0.2, -0.15), no_twin=""))
    assert "output by 3,901.5 [3,251.2, 4,551.8], the mean squared error in levels of 0 to 255" in told
    assert "leaves 3,088.7 [2,438.4, 3,738.9] of it (79.2%)" in told
    assert "trained for this generator 195.1 [195.1, 195.1] (5.0%)" in told
    assert "better than the shipped ones: the interval of the difference leaves out 0" in told
    assert "100.0% of the attacked pictures disrupted, 2.5% of the clean ones (false alarms)" in told
    assert "4.1 levels of 255" in told
    assert "worse than a shipped one" in " ".join(sentences("sharp", made_up(0.3, 0.05, 0.2), no_twin=""))
    unsure = " ".join(sentences("sharp", made_up(0.18, -0.05, 0.02), no_twin="it has no weights"))
    assert "so few pictures do not tell" in unsure
    assert "There is no twin: it has no weights." in unsure


def test_the_page_is_one_small_file_that_asks_nobody(cut):
    page = render(
        cut, made_up(0.012, -0.2, -0.15), no_twin="", pictures={"train": 16, "calibration": 24, "test": 40}
    )
    assert len(page) < 300_000
    assert "http" not in edited(page, ("http-equiv", ""))
    assert page.count("<img ") == 6
    assert page.count("data:image/png;base64,") == 6
    assert "the new purifier leaves 5.0%; the better shipped one 79.2%" in page
    assert "<code>magdr bench</code>" in page
    assert "`" not in page


def test_the_page_names_a_twin_only_where_there_is_one():
    assert "twin" in titles_of("sharp", twin=True)[MAGDR]
    assert "twin" not in titles_of("sharp", twin=False)[MAGDR]


# -- all of it --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_generator_and_a_folder_become_a_registry_that_works_and_going_on_costs_nothing(
    world, tmp_path, monkeypatch
):
    monkeypatch.setattr(tables, "LAYERS", (("gaussian",), ("jpeg",)))
    quick = {k: {**v, "params": {**v["params"]}} for k, v in tables.ATTACKS.items()}
    for attack in quick.values():
        if "steps" in attack["params"]:
            attack["params"]["steps"] = 3
    monkeypatch.setattr(tables, "ATTACKS", quick)
    out, said = tmp_path / "out", []
    made = adapt(world, "sharp", world.parent / "data", out, steps=8, finder=None, log=said.append)
    names = {path.name for path in out.iterdir()}
    assert {"registry.toml", "figures.csv", "report.html", "sharp.calibration.json", "faces"} <= names
    assert {"purifier-sharp.safetensors", "purifier-sharp.toml", "twin-sharp.safetensors"} <= names
    rows = list(csv.DictReader(made.figures.open()))
    by_name = {(row["what"], row["images"], row["figure"]): row for row in rows}
    undefended = by_name["undefended", "pgd", "mse_o"]
    assert float(undefended["low"]) <= float(undefended["value"]) <= float(undefended["high"])
    assert undefended["n"] == "10"
    assert float(by_name["purifier-sharp", "pgd", "mse_o"]["value"]) < float(undefended["value"])
    assert float(by_name["undefended", "clean", "mse_o"]["value"]) == 0
    assert 0 <= float(by_name["magdr", "clean", "flagged"]["value"]) <= 1

    # The folder can be moved with what it leads to, and defends as it is.
    moved = tmp_path / "moved"
    shutil.copytree(world.parent, moved)
    shutil.copytree(out, moved / "made")
    text = (moved / "made" / "registry.toml").read_text()
    up = tables.GeneratorSource(read_registry(world), "sharp", out, SIZE, ())._from_out(world.parent)
    (moved / "made" / "registry.toml").write_text(edited(text, (up, "..")))
    magdr = Toolkit.from_registry(moved / "made" / "registry.toml", device="cpu").magdr(
        "sharp", cache=tmp_path / "c"
    )
    faces = magdr.generator.size
    picture = torch.from_numpy(np.array(Image.open(world.parent / "data" / "0000.png")))
    assert faces == SIZE
    assert magdr.detect(picture.permute(2, 0, 1)[None, :, :SIZE, :SIZE])[0].score is not None

    def never(*told, **more):
        raise AssertionError("done again")

    monkeypatch.setattr(Learner, "train", never)
    monkeypatch.setattr(run, "cut_faces", never)
    monkeypatch.setattr(run, "calibration_file", never)
    again = adapt(world, "sharp", world.parent / "data", out, steps=8, finder=None, log=said.append)
    assert [f.value for f in again.measured.figures] == [f.value for f in made.measured.figures]
