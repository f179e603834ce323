"""Celeb-DF: fakes beside their reals, the list in which 1 is real, and people who are in one split only."""

from __future__ import annotations

import pytest
import torch

from magdr_core.isolation.containment import take_notices
from tests.plugins.datasets.fake_trees import MIDDLE, clip, everything, shown

FAKES = {
    "id0_id1_0000": 1000,
    "id1_id0_0003": 1100,
    "id2_id3_0000": 1200,
    "id3_id2_0001": 1300,
    "id4_id5_0000": 1400,
    "id6_id7_0002": 1500,
    "id8_id9_0000": 1600,
    "id2_id0_0000": 1700,  # of a person of the test split and one of the others
}
TESTED = ("id0_id1_0000", "id1_id0_0003")


def real_of(fake):
    first, _, number = fake.split("_")
    return f"{first}_{number}"


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "Celeb-DF-v2"
    for number, real in enumerate(sorted({real_of(fake) for fake in FAKES})):
        clip(root / "Celeb-real" / "frames" / real, 100 * number)
    for fake, seed in FAKES.items():
        clip(root / "Celeb-synthesis" / "frames" / fake, seed)
    clip(root / "YouTube-real" / "frames" / "00000", 9000)
    (root / "List_of_testing_videos.txt").write_text(
        "1 YouTube-real/00000.mp4\n1 Celeb-real/id0_0000.mp4\n"
        + "".join(f"0 Celeb-synthesis/{fake}.mp4\n" for fake in TESTED)
    )
    take_notices()
    return root


def test_every_fake_has_rows_of_its_real_and_no_test_person_is_met_before(root, holds):
    data = holds("celeb-df", path=root, size=16, frames=2, crop="centre")
    batches = everything(data)
    found = {name: {one.split("-")[2] for one in batch.ids} for name, batch in batches.items()}
    assert found["test"] == set(TESTED)
    assert "id2_id0_0000" not in found["train"] | found["calibration"], "id0 is a test person"
    assert found["train"] | found["calibration"] < set(FAKES) - set(TESTED)
    assert found["train"], found["calibration"]
    by_split = {name: {p for fake in fakes for p in fake.split("_")[:2]} for name, fakes in found.items()}
    assert not by_split["test"] & (by_split["train"] | by_split["calibration"])
    assert not by_split["train"] & by_split["calibration"]
    left = len(FAKES) - sum(map(len, found.values()))
    said = take_notices()
    assert len(said) == 1
    assert f"celeb-df: {left} of {len(FAKES)} fakes are left out, since their people" in said[0]


def test_the_fake_of_an_id_is_looked_up_and_cut_out_as_its_real(root, dataset):
    data = dataset("celeb-df", path=root, size=16, frames=2, crop="centre")
    batch = data.split("test")[[0, 1, 2, 3]]
    for one, picture, fake in zip(
        batch.ids, batch.images, data.recorded(batch.ids, "Celeb-synthesis"), strict=True
    ):
        _, _, name, position = one.split("-")
        reals = sorted({real_of(fake) for fake in FAKES})
        assert torch.equal(picture, shown(100 * reals.index(real_of(name)) + int(position), 16, MIDDLE))
        assert torch.equal(fake, shown(FAKES[name] + int(position), 16, MIDDLE))
    assert [int(one.rpartition("-")[2]) for one in batch.ids] == [0, 5, 0, 5], "first and last of six"
    assert torch.equal(data.reals(batch.ids), batch.images)
    assert not data.recorded_masks(batch.ids, "Celeb-synthesis").any(), "nobody has published any"


def test_a_row_says_who_is_seen_and_of_which_clip_it_is(root, dataset):
    data = dataset("celeb-df", path=root, size=16, frames=3, crop="centre", split="people")
    rows = [batch for batch in everything(data).values() if len(batch)]
    seen, clips = {}, {}
    for batch in rows:
        assert batch.annotations["frames"].tolist() == [0, 1, 2] * (len(batch) // 3)
        for one, person, number in zip(
            batch.ids, batch.identities.tolist(), batch.annotations["clips"].tolist(), strict=True
        ):
            name = one.split("-")[2]
            assert seen.setdefault(name.split("_")[0], person) == person
            assert clips.setdefault(name, number) == number
    assert len(set(seen.values())) == len(seen)
    assert len(set(clips.values())) == len(clips)


def test_pairs_and_frames_limit_what_is_taken(root, dataset):
    told = {"path": root, "size": 16, "crop": "centre"}
    every = dataset("celeb-df", **told, frames=0).split("test")
    assert len(every) == 12, "six frames of two fakes"
    few = dataset("celeb-df", **told, frames=0, pairs=1)
    batch = few.split("test")[list(range(len(few.split("test"))))]
    assert len({one.split("-")[2] for one in batch.ids}) == 1
    assert [int(one.rpartition("-")[2]) for one in batch.ids] == list(range(6))


def test_the_fingerprint_follows_the_fakes_and_what_is_taken_of_them(root, dataset):
    told = {"path": root, "size": 16, "crop": "centre"}
    first = dataset("celeb-df", **told).fingerprint()
    for more in ({"frames": 2}, {"crop": "whole"}, {"split": "people"}, {"pairs": 1}, {"size": 32}):
        assert dataset("celeb-df", **(told | more)).fingerprint() != first
    (root / "Celeb-synthesis" / "frames" / "id0_id1_0000" / "0003.png").unlink()
    assert dataset("celeb-df", **told).fingerprint() != first


def test_by_people_needs_no_list(root, dataset):
    (root / "List_of_testing_videos.txt").unlink()
    data = dataset("celeb-df", path=root, size=16, crop="centre", split="people")
    found = {
        name: {p for one in batch.ids for p in one.split("-")[2].split("_")[:2]}
        for name, batch in everything(data).items()
    }
    assert found["train"]
    assert not found["train"] & found["test"]
    assert not found["train"] & found["calibration"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            "1 Celeb-synthesis/id0_id1_0000.mp4",
            ":1: Celeb-synthesis/id0_id1_0000.mp4 is labelled 1; 1 is real",
        ),
        ("0 Celeb-real/id0_0000.mp4", ":1: Celeb-real/id0_0000.mp4 is labelled 0; 1 is real here"),
        ("\n2 Celeb-real/id0_0000.mp4", ":2: expected 1 or 0 and a video as Celeb-real/x.mp4, got '2 Celeb"),
        ("", "lists no video"),
    ],
)
def test_the_list_is_checked(root, dataset, refusal, lines, words):
    path = root / "List_of_testing_videos.txt"
    path.write_text(lines)
    text = refusal(lambda: dataset("celeb-df", path=root))
    assert str(path) in text
    assert words in text


def test_what_is_missing_is_counted_in_one_line_that_names_the_first(root, dataset):
    with (root / "List_of_testing_videos.txt").open("a") as f:
        f.write("0 Celeb-synthesis/id1_id0_0009.mp4\n")
    for picture in (root / "Celeb-real" / "frames" / "id4_0000").iterdir():
        picture.unlink()
    (root / "Celeb-real" / "frames" / "id4_0000").rmdir()
    (root / "Celeb-synthesis" / "frames" / "notes").mkdir()
    dataset("celeb-df", path=root, size=16, crop="centre")
    said = [line for line in take_notices() if "missing" in line]
    assert len(said) == 1
    assert "celeb-df: 3 of 10 fakes are left out for missing files, first " in said[0]
    assert "id1_id0_0009.mp4: does not exist, but the list of test videos names it" in said[0]


def test_a_folder_without_fakes_is_refused(root, dataset, refusal):
    for fake in FAKES:
        (root / "Celeb-synthesis" / "frames" / fake).rename(root / "Celeb-synthesis" / "frames" / f"x{fake}")
    text = refusal(lambda: dataset("celeb-df", path=root, split="people"))
    assert "xid0_id1_0000: is not named as id0_id1_0000" in text
    text = refusal(lambda: dataset("celeb-df", path=root / "Celeb-real", split="people"))
    assert f"{root / 'Celeb-real' / 'Celeb-synthesis'}: does not exist" in text


def test_another_manipulation_and_another_picture_are_refused(root, dataset, refusal):
    data = dataset("celeb-df", path=root, size=16, frames=2, crop="centre")
    ids = data.split("test")[[0]].ids
    assert "has no recorded fakes 'Deepfakes'; it has Celeb-synthesis" in refusal(
        lambda: data.recorded(ids, "Deepfakes")
    )
    for wrong in ("celeb-df-id7_id8_0000-0000", "ff-original-000-0000", "celeb-df-id0_id1_0000-x"):
        assert f"{wrong} is no picture of this dataset, celeb-df" in refusal(lambda w=wrong: data.reals([w]))
    assert "is not among the frames" in refusal(lambda: data.reals(["celeb-df-id0_id1_0000-0003"]))


def test_videos_are_read_as_frames_are(tmp_path, dataset):
    pytest.importorskip("av")
    from magdr_core.api import write_video

    root = tmp_path / "videos"
    for folder, name, offset in (("Celeb-real", "id0_0000", 0), ("Celeb-synthesis", "id0_id1_0000", 60)):
        (root / folder).mkdir(parents=True)
        frames = [torch.full((3, 48, 64), (20 + 3 * i + offset) / 255) for i in range(40)]
        write_video(root / folder / f"{name}.mp4", frames, fps=25, lossless=False)
    (root / "List_of_testing_videos.txt").write_text("0 Celeb-synthesis/id0_id1_0000.mp4\n")
    data = dataset("celeb-df", path=root, size=16, frames=4, crop="centre")
    batch = data.split("test")[[0, 1, 2, 3]]
    fakes = data.recorded(batch.ids, "Celeb-synthesis")
    for one, real, fake in zip(batch.ids, batch.images, fakes, strict=True):
        level = 20 + 3 * int(one.rpartition("-")[2])
        assert abs(float(real.mean()) * 255 - level) < 2.5
        assert abs(float(fake.mean()) * 255 - level - 60) < 2.5
