"""magdr defend, detect and attack on a two-second clip."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from magdr_core.functional import resize
from magdr_core.media import find_faces, read_video, write_video

pytest.importorskip("av", reason="PyAV is not installed (pip install 'magdr[video]')")

FPS, FRAMES = 8, 16


@pytest.fixture(scope="module")
def frames(astronaut):
    """Two seconds of a face that wanders."""
    person = torch.from_numpy(np.array(astronaut)).permute(2, 0, 1)[None].float() / 255
    person = resize(person, 100)[0]
    shown = []
    for i in range(FRAMES):
        frame = torch.full((3, 112, 140), 0.5)
        frame[:, 4 + i // 4 : 104 + i // 4, 4 + 2 * i : 104 + 2 * i] = person
        shown.append((frame * 255).round() / 255)
    return shown


@pytest.fixture
def clip(frames, tmp_path):
    write_video(tmp_path / "clip.mkv", frames, FPS)
    return "clip.mkv"


def decoded(path):
    return torch.stack(list(read_video(path)))


def test_a_clean_clip_is_left_as_it_is(own, clip, frames, tmp_path):
    done = own("defend", clip, "--json")
    assert done.code == 0, done.err
    (result,) = done.document["results"]
    assert (result["kind"], result["frames"], result["verdict"]) == ("clip", FRAMES, "not disrupted")
    assert len(result["scores"]) == FRAMES
    assert Path(result["files"]["unchanged"]).name == "clip.mkv.unchanged.mkv"
    assert Path(result["files"]["unchanged"]).read_bytes() == Path(clip).read_bytes()
    assert not list(Path("magdr-out").glob("*.restored.*"))
    for name in ("output", "compare"):
        assert len(decoded(result["files"][name])) == FRAMES


def test_a_disrupted_clip_has_one_verdict_and_one_plan(own, clip, frames):
    (result,) = own("defend", clip, "--json", flags="always").document["results"]
    assert result["verdict"] == "disrupted"
    assert result["frames_disrupted"] == FRAMES
    assert result["stretches"] == [[0.0, FRAMES / FPS]]
    if result["plan"]:
        restored = decoded(result["files"]["restored"])
        assert (restored != torch.stack(frames)).flatten(1).any(1).all()
    else:
        assert Path(result["files"]["unchanged"]).read_bytes() == Path(clip).read_bytes()


def test_the_verdict_is_told_with_its_times(own, clip):
    done = own("detect", clip, flags="always")
    assert f"clip.mkv: disrupted in {FRAMES} of {FRAMES} frames, 0 to 2 s\n" in done.out
    for words in ("how sure: fairly sure: it scores", "why: the generator", "what to do: restore it with"):
        assert words in done.out


def test_another_face_than_the_largest_cannot_be_followed(own, clip):
    done = own("detect", clip, "--face", "2")
    assert done.code == 1
    assert "skipped clip.mkv: in clips the largest face is followed, not face 2" in done.out
    assert own("detect", clip, "--face", "largest").code == 0


def test_an_attacked_clip_stays_in_the_ball_without_loss(own, clip, frames):
    (result,) = own("attack", clip, "--json").document["results"]
    attacked = decoded(result["files"]["attacked"])
    moved = (attacked - torch.stack(frames)).abs().amax((1, 2, 3))
    assert (moved > 3 / 255).all()
    assert (moved < 6.01 / 255).all()
    assert 0 < result["output_mse_in_file"] <= result["output_mse"]
    assert find_faces(attacked[0])


def test_a_corrupt_clip_is_skipped_and_leaves_nothing(own, clip, astronaut, tmp_path):
    data = (tmp_path / clip).read_bytes()
    (tmp_path / clip).write_bytes(data[: len(data) // 2])
    astronaut.save(tmp_path / "a.png")
    done = own("defend", clip, "a.png", "--json")
    assert done.code == 1
    (skipped,) = done.document["skipped"]
    assert "damaged or truncated" in skipped["error"]
    assert [r["path"] for r in done.document["results"]] == ["a.png"]
    assert not any("clip" in p.name for p in (tmp_path / "magdr-out").iterdir())


def test_a_clip_without_a_face_is_skipped(own, tmp_path):
    write_video(tmp_path / "wall.mkv", [torch.full((3, 64, 64), 0.5)] * 4, 4)
    done = own("detect", "wall.mkv")
    assert done.code == 1
    assert "skipped wall.mkv: no face was found in any frame" in done.out
    (result,) = own("detect", "wall.mkv", "--whole", "--json").document["results"]
    assert result["frames"] == 4


def test_without_pyav_clips_are_skipped_and_pictures_done(own, clip, astronaut, tmp_path, monkeypatch):
    astronaut.save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "av", None)
    done = own("detect", clip, "a.png")
    assert done.code == 1
    assert "pip install 'magdr[video]'" in done.out
    assert "a.png: not disrupted" in done.out
