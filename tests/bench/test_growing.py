"""A run of more images than the store has results of: only what is new is computed."""

import csv
import shutil

import pytest
import torch

from magdr_core.bench.growth import Indexed, disjoint
from magdr_core.bench.roles.defense import MOST_PICTURES
from magdr_core.guards import GuardedGenerator
from tests.bench.conftest import DEFENSES, SMALL, Workshop
from tests.edits import edited

SWEPT = edited(
    SMALL,
    ("samples = 5", "samples = 6"),
    ('attacks = ["pgd", "noise"]', 'attacks = ["pgd"]'),
    ('detectors = ["magdr", "distortion"]', 'detectors = ["distortion"]'),
    (DEFENSES, 'defenses = ["magdr", "jpeg"]'),
    ("pictures = 2", 'pictures = 2\ntransfer = [{ attack = "pgd", condition = "unknown" }]'),
) + (
    """
[profile.quick.sweep]
attacks = ["pgd"]
steps = [1, 2]
"""
)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Runs of five and then of six images in one store, of six in another, and the passes of each."""
    made = Workshop(tmp_path_factory.mktemp("growing"))
    other = Workshop(tmp_path_factory.mktemp("fresh"))
    passes = []
    with pytest.MonkeyPatch.context() as patch:
        forward = GuardedGenerator._compute

        def counted(self, x, *args, **kwargs):
            passes[-1] += len(x)
            return forward(self, x, *args, **kwargs)

        patch.setattr(GuardedGenerator, "_compute", counted)

        def run(shop, **options):
            passes.append(0)
            return shop.run(SWEPT, **options)

        made.five = run(made, limit=5)
        made.six = run(made, out="six")
        made.fresh = run(other)
        # What a run of calibrated components costs, without their calibration.
        for cells in (other.folder / "cache").glob("*"):
            if cells.name in ("cells", "images", "queries", "growing"):
                for file in cells.glob("*/*"):
                    file.unlink()
        run(other, out="again")
        run(other, out="kept")
    made.passes = dict(zip(("five", "six", "fresh", "again", "kept"), passes, strict=True))
    made.other = other
    return made


def rows_of(run):
    with (run.folder / "results.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def test_one_more_image_costs_about_one_images_passes(grown):
    of_all = grown.passes["again"] - grown.passes["kept"]
    of_one = grown.passes["six"] - grown.passes["kept"]
    assert grown.six.computed == len(grown.six.cells)
    assert 0 < of_one < 1.5 * of_all / 6


def test_a_grown_run_says_how_many_images_of_each_cell_were_there(grown):
    assert grown.six.grown == [(5, 6)] * len(grown.six.cells)
    assert grown.five.grown == grown.fresh.grown == []


def test_a_grown_run_has_the_results_of_a_fresh_one(grown):
    assert not grown.six.failures
    for ours, theirs in zip(grown.six.cells, grown.fresh.cells, strict=True):
        assert ours.key == theirs.key
        assert ours.ids == theirs.ids
        assert ours.identities == theirs.identities
        assert ours.values.keys() == theirs.values.keys()
        for name, values in theirs.values.items():
            assert ours.values[name] == pytest.approx(values, rel=1e-4, abs=1e-4), (ours.facts, name)
        assert ours.forwards == theirs.forwards
        assert ours.worst == theirs.worst
        assert ours.thresholds == theirs.thresholds


def test_a_grown_table_has_the_rows_of_a_fresh_one(grown):
    ours, theirs = rows_of(grown.six), rows_of(grown.fresh)
    told = [[r[k] for k in r if k not in ("value", "ci_low", "ci_high", "seconds")] for r in ours]
    assert told == [[r[k] for k in r if k not in ("value", "ci_low", "ci_high", "seconds")] for r in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert float(a["value"]) == pytest.approx(float(b["value"]), rel=1e-4, abs=1e-4)


def test_the_pictures_of_a_grown_run_are_those_of_a_fresh_one(grown):
    ours, theirs = grown.six.pictures, grown.fresh.pictures
    assert ours.keys() == theirs.keys()
    assert any("worst" in side for *_, side in ours)
    for name, images in theirs.items():
        assert (ours[name] - images).abs().max() <= 1 / 255 + 1e-6, name


@pytest.fixture
def calibrated(grown, tmp_path):
    """A store with calibrations and nothing else."""
    shutil.copytree(grown.folder / "cache" / "calibrations", tmp_path / "cache" / "calibrations")
    return Workshop(tmp_path)


def test_images_from_the_middle_are_taken_in_their_places(grown, calibrated):
    shop = calibrated
    shop.run(edited(SWEPT, ("samples = 6", "samples = 3\nfirst = 2")), out="middle")
    run = shop.run(SWEPT)
    for ours, theirs in zip(run.cells, grown.fresh.cells, strict=True):
        assert ours.ids == theirs.ids
        for name, values in theirs.values.items():
            assert ours.values[name] == pytest.approx(values, rel=1e-4, abs=1e-4), (ours.facts, name)
        assert ours.worst == theirs.worst


def test_fewer_images_take_the_attacked_ones_that_are_there(grown, monkeypatch):
    monkeypatch.setattr(
        "magdr_core.bench.scenarios.attack.attack_samples", lambda *a, **k: pytest.fail("attacked again")
    )
    run = grown.run(SWEPT, limit=4, out="four")
    assert not run.failures
    (cell,) = (
        c for c in run.cells if c.facts.role == "attack" and c.facts.slice_role == "attack"
        and c.facts.attack == "pgd"
    )  # fmt: skip
    (whole,) = (c for c in grown.six.cells if c.facts == cell.facts)
    assert cell.values["linf"] == whole.values["linf"][:4]


def test_an_index_that_names_what_is_gone_is_no_harm(calibrated, tmp_path):
    shop = calibrated
    first = shop.run(SWEPT, limit=3)
    for folder in ("cells", "images"):
        for file in (tmp_path / "cache" / folder).glob("*/*"):
            file.unlink()
    run = shop.run(SWEPT, limit=4, out="more")
    assert not run.failures
    assert run.computed == len(first.cells)


@pytest.mark.parametrize(
    ("results", "ids", "chosen"),
    [
        (["abc", "ab", "d"], "abcde", ["abc", "d"]),
        (["ab", "abcdef"], "abcde", ["ab"]),
        (["ab", "bcd"], "abcd", ["bcd"]),
        ([], "ab", []),
    ],
)
def test_the_largest_results_of_nothing_but_these_images_are_taken_none_twice(results, ids, chosen):
    found = disjoint([Indexed(name, tuple(name)) for name in results], tuple(ids))
    assert [one.key for one in found] == chosen


def test_a_defenses_first_pictures_must_be_there_for_it_to_grow():
    from magdr_core.bench.roles import ROLES

    names = [f"face-{i}" for i in range(40)]
    defense = ROLES["defense"]
    assert defense.combinable(names[:20], [names[:18], names[18:20]])
    assert not defense.combinable(names[4:24], [names[:4] + names[4:20], names[20:24]])
    assert MOST_PICTURES == 16


def test_a_grown_run_is_found_again(grown):
    again = grown.run(SWEPT, out="once-more")
    assert again.computed == 0
    assert torch.equal(*(run.pictures[("editing", "none", "clean", "output")] for run in (again, grown.six)))
