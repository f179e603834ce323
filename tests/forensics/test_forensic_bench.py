"""A forensic benchmark from end to end: what is compared with what, and what a model is said to have seen."""

from __future__ import annotations

import json

import pytest
import torch

from magdr_core.bench.run import Bench
from magdr_core.components.batch import Batch
from magdr_core.errors import DataError, RegistryError
from magdr_core.forensics.making import degrade, donors, forge
from magdr_core.forensics.teaching import Teacher
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit
from tests.edits import edited

PLUGIN = '''
"""Forgeries and a model that sees through them, for tests."""
import torch
from magdr_core.api import Forged, ForensicSpec, ForgerySpec, TrainedOn, hookimpl, stateless

MAGDR_API = 1


def stamp(batch, donors, rng, *, level: float = 1.0):
    """A white corner."""
    masks = torch.zeros_like(batch.images[:, :1])
    masks[:, :, :6, :6] = 1
    return Forged(torch.where(masks > 0, torch.full_like(batch.images, level), batch.images), masks, masks)


def other(batch, donors, rng):
    """The whole face is another's."""
    return Forged(donors.images, torch.ones_like(batch.images[:, :1]))


def nothing(batch, donors, rng):
    """No forgery."""
    return Forged(batch.images, torch.zeros_like(batch.images[:, :1]))


class Corner:
    """Brightness of the corner."""

    def score(self, x):
        """[B,3,H,W] -> [B]."""
        return x[:, :, :6, :6].mean((1, 2, 3))

    def locate(self, x):
        """[B,3,H,W] -> [B,1,H,W]."""
        return (x[:, :1] > 0.98).float()


class Learner(Corner):
    """Remembers what it was taught on."""

    def fit(self, data):
        assert torch.equal(data.masks.amax((1, 2, 3)), torch.ones(len(data)))
        return {"families": sorted(set(data.families)), "pairs": len(data), "of": sorted(set(data.qualities))}

    def load(self, state):
        self.state = state


@hookimpl
def magdr_forgeries():
    return [
        ForgerySpec(name="stamp", build=stateless(stamp), group="local"),
        ForgerySpec(name="sticker", build=stateless(stamp), group="local"),
        ForgerySpec(name="other", build=stateless(other), donor=True, group="whole"),
        ForgerySpec(name="nothing", build=stateless(nothing), null=True),
    ]


@hookimpl
def magdr_forensics():
    told = TrainedOn(families=("acme/stamp",), qualities=("jpeg",))
    return [
        ForensicSpec(name="corner", build=Corner, trained_on=told),
        ForensicSpec(name="learner", build=Learner),
    ]
'''

REGISTRY = """
[registry]
name = "forged"

[plugins]
local = { acme = "./acme.py" }

[dataset.faces]
use = "procedural-faces"
params = { size = 32 }

[generator.forensics]
use = "untouched"
params = { size = 32 }

[forgery.stamp]
use = "acme/stamp"
[forgery.sticker]
use = "acme/sticker"
[forgery.other]
use = "acme/other"
[forgery.nothing]
use = "acme/nothing"

[augmentation.grainy]
use = "noise"
params = { sigma = 0.1 }
[augmentation.jpeg40]
use = "jpeg"
params = { quality = 40 }

[forensic.corner]
use = "acme/corner"
[forensic.learner]
use = "acme/learner"
leave_out = ["local"]
families = ["stamp", "other"]
qualities = ["jpeg40"]

[calibration]
clean = 20
train = 6

[profile.quick]
samples = 6
forgeries = ["stamp", "sticker", "other", "nothing"]
picture_qualities = ["jpeg40", "grainy"]
forensics = ["corner", "learner"]
pictures = 2
"""


def toolkit(folder, text=REGISTRY):
    (folder / "acme.py").write_text(PLUGIN)
    path = folder / "forged.toml"
    path.write_text(text)
    return Toolkit.from_registry(path, device="cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forensics")
    bench = Bench(toolkit(folder), "quick", out=folder / "run", cache=folder / "cache", report=print)
    done = bench.run()
    assert not done.failures
    return done


def rows(run, **wanted):
    return [row for row in run.rows if all(row[name] == value for name, value in wanted.items())]


def value(run, **wanted):
    [row] = rows(run, **wanted)
    return row["value"]


def test_every_cell_is_there_and_the_csv_says_what_of_it_was_seen(run):
    found = {(r["attack"], r["variant"]) for r in rows(run, component="corner")}
    assert found == {
        ("none", "seen"),
        ("none", "seen, jpeg40"),
        ("none", "unseen quality, grainy"),
        ("forged:stamp", "seen"),
        ("forged:stamp", "seen, jpeg40"),
        ("forged:stamp", "unseen quality, grainy"),
        ("forged:sticker", "unseen member"),
        ("forged:sticker", "unseen member, jpeg40"),
        ("forged:sticker", "unseen member+quality, grainy"),
        ("forged:other", "unseen family"),
        ("forged:other", "unseen family, jpeg40"),
        ("forged:other", "unseen family+quality, grainy"),
        ("forged:nothing", "seen"),
        ("forged:nothing", "seen, jpeg40"),
        ("forged:nothing", "unseen quality, grainy"),
    }


def test_fakes_are_compared_with_their_own_reals_at_the_same_quality(run):
    about = {"component": "corner", "attack": "forged:stamp", "variant": "seen"}
    assert value(run, **about, metric="auc") == 1.0
    assert value(run, **about, metric="eer") == 0.0
    assert value(run, **about, metric="tpr") == 1.0
    assert value(run, **about, metric="accuracy") > 0.8
    cell = next(
        c for c in run.cells if c.facts.attack == "forged:stamp@jpeg40" and c.facts.component == "corner"
    )
    real = next(c for c in run.cells if c.facts.attack == "none@jpeg40" and c.facts.component == "corner")
    flagged = cell.array("seen/real_score") > cell.thresholds["fpr"]
    assert flagged.tolist() == (real.array("seen/alarm") > 0).tolist()


def test_reals_beside_degraded_fakes_are_degraded_too(run, tmp_path):
    kit = toolkit(tmp_path)
    batch = kit.build("dataset", "faces").split("test")[list(range(6))]
    cell = next(
        c for c in run.cells if c.facts.attack == "forged:stamp@grainy" and c.facts.component == "corner"
    )
    expected = degrade(kit, "grainy", batch.images, batch.ids, 0)[:, :, :6, :6].mean((1, 2, 3))
    assert cell.array("unseen quality/real_score") == pytest.approx(expected.double().numpy(), abs=1e-6)


def test_located_pixels_are_measured_on_fakes_and_counted_on_reals(run):
    about = {"component": "corner", "attack": "forged:stamp", "variant": "seen"}
    assert value(run, **about, metric="iou") > 0.8
    assert value(run, **about, metric="pbca") > 0.95
    assert {r["metric"] for r in rows(run, component="corner", attack="none", variant="seen")} == {
        *("false_alarms", "flagged_pixels", "located_reals"),
    }
    whole = {
        r["metric"] for r in rows(run, component="corner", attack="forged:other", variant="unseen family")
    }
    assert "iou" in whole
    assert "pixel_auc" not in whole


def test_a_null_forgery_counts_as_real(run):
    found = {
        r["metric"]: r["value"]
        for r in rows(run, component="corner", attack="forged:nothing", variant="seen")
    }
    assert found["auc_edited"] == 0.5
    assert "auc" not in found
    assert found["false_alarms"] == value(
        run, component="corner", attack="none", variant="seen", metric="false_alarms"
    )


def test_a_group_that_is_left_out_is_unseen(run):
    variants = {r["attack"]: r["variant"] for r in rows(run, component="learner") if "," not in r["variant"]}
    assert variants["forged:other"] == "seen"
    assert variants["forged:stamp"] == variants["forged:sticker"] == "unseen family"


def test_a_finished_run_computes_nothing_again(run):
    folder = run.folder.parent
    again = Bench(toolkit(folder), "quick", out=folder / "again", cache=folder / "cache", report=print).run()
    assert again.computed == 0
    assert again.rows == [row | {"registry": "forged"} for row in run.rows]


def test_what_is_taught_has_each_family_once_and_some_pictures_of_each_quality(tmp_path):
    kit = toolkit(tmp_path, edited(REGISTRY, ('leave_out = ["local"]\n', "")))
    data = kit.build("dataset", "faces")
    store = Store(tmp_path / "cache")
    taught = Teacher(kit, data, store, lambda *told: None).taught("learner")
    assert taught.model.component.state == {
        "families": ["acme/other", "acme/stamp"],
        "pairs": 12,
        "of": ["", "jpeg40"],
    }
    assert taught.families == {"acme/other", "acme/stamp"}
    assert taught.qualities == {"jpeg"}
    kept = list((tmp_path / "cache" / "forensics").rglob("*.json"))
    assert len(kept) == 1
    assert json.loads(kept[0].read_text())["data"]["state"]["pairs"] == 12


def test_a_model_that_learned_in_another_world_says_so(tmp_path):
    more = '[dataset.large]\nuse = "procedural-faces"\nparams = { size = 32, grain = 3.0 }\n[forgery.stamp]'
    text = edited(REGISTRY, ("[forgery.stamp]", more), ('leave_out = ["local"]', 'dataset = "large"'))
    kit = toolkit(tmp_path, text)
    teacher = Teacher(kit, kit.build("dataset", "faces"), Store(tmp_path / "cache"), lambda *told: None)
    assert teacher.taught("learner").mark(None, "") == "unseen world"
    assert teacher.taught("corner").mark(None, "") == "seen"


def test_reals_and_fakes_get_the_same_random_draws(tmp_path):
    kit = toolkit(tmp_path)
    flat = torch.full((2, 3, 8, 8), 0.5)
    a = degrade(kit, "grainy", flat, ["x", "y"], 0)
    b = degrade(kit, "grainy", flat[:1], ["y"], 0)
    assert torch.equal(a[1], b[0])
    assert not torch.equal(a[0], b[0])


def test_a_donor_is_another_face_and_depends_on_the_picture_alone(tmp_path):
    split = toolkit(tmp_path).build("dataset", "faces").split("test")
    batch = split[list(range(12))]
    found = donors(split, batch, 0)
    assert not set(found.ids) & set(batch.ids)
    assert donors(split, batch[5:6], 0).ids == (found.ids[5],)
    assert donors(split, batch, 1).ids != found.ids


class TwoPeople:
    """Twenty pictures of two people in turn."""

    def __init__(self, people=2):
        self.people = people

    def __len__(self):
        return 20

    def __getitem__(self, indices):
        who = torch.tensor([i % self.people for i in indices])
        return Batch(torch.zeros(len(indices), 3, 8, 8), tuple(f"p{i}" for i in indices), identities=who)


def test_a_donor_is_another_person_where_people_have_many_pictures():
    batch = TwoPeople()[list(range(20))]
    found = donors(TwoPeople(), batch, 0)
    assert bool((found.identities != batch.identities).all())
    with pytest.raises(DataError, match="show the same person"):
        donors(TwoPeople(1), TwoPeople(1)[[0]], 0)


def test_what_a_model_learned_is_found_again_for_the_same_families_alone(tmp_path):
    store, states = Store(tmp_path / "cache"), []
    for left_out in ("", 'leave_out = ["local"]\n', ""):
        kit = toolkit(tmp_path, edited(REGISTRY, ('leave_out = ["local"]\n', left_out)))
        teacher = Teacher(kit, kit.build("dataset", "faces"), store, lambda *told: None)
        states.append(teacher.taught("learner").model.component.state["families"])
    assert states == [["acme/other", "acme/stamp"], ["acme/other"], ["acme/other", "acme/stamp"]]
    assert len(list((tmp_path / "cache" / "forensics").rglob("*.json"))) == 2
    paler = edited(
        REGISTRY,
        ('leave_out = ["local"]\n', ""),
        ("[forgery.stamp]\n", "[forgery.stamp]\nparams = { level = 0.4 }\n"),
    )
    kit = toolkit(tmp_path, paler)
    Teacher(kit, kit.build("dataset", "faces"), store, lambda *told: None).taught("learner")
    assert len(list((tmp_path / "cache" / "forensics").rglob("*.json"))) == 3, "other fakes, another model"


def test_a_forgery_is_the_same_in_any_batch(tmp_path):
    kit = toolkit(tmp_path)
    split = kit.build("dataset", "faces").split("test")
    whole = forge(kit, "other", split, split[[0, 1, 2]], 0)
    alone = forge(kit, "other", split, split[[2]], 0)
    assert torch.equal(whole.images[2], alone.images[0])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('forgeries = ["stamp"', 'forgeries = ["stamps"', "stamps"),
        ('["jpeg40", "grainy"]', '["jpeg40", "flip"]', "moves pixels"),
        ('["jpeg40", "grainy"]', '["jpeg40", "sepia"]', "sepia"),
        ('leave_out = ["local"]', 'leave_out = ["locla"]', "no family, and no group"),
        ('leave_out = ["local"]', 'leave_out = ["local", "whole"]', "leaves it none"),
        ('forensics = ["corner"', 'forensics = ["corners"', "corners"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_computed(tmp_path, old, new, words):
    with pytest.raises(RegistryError, match=words):
        Bench(
            toolkit(tmp_path, edited(REGISTRY, (old, new))), "quick", out=tmp_path / "r", cache=tmp_path / "c"
        )
    assert not (tmp_path / "c").exists()
