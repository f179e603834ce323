"""magdr attack on pictures of one's own."""

import numpy as np
from PIL import Image

from magdr_core.components.objective import SUCCESS
from magdr_core.inference.full_size_attack import widened
from magdr_core.media import Box


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_an_attacked_picture_stays_in_the_ball_and_is_saved_without_loss(own, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.jpg", quality=95)
    done = own("attack", "a.jpg", "--json")
    assert done.code == 0, done.err
    assert done.document["attack"] == "pgd"
    (result,) = done.document["results"]
    assert result["largest_change"] == "6/255"
    moved = np.abs(pixels(result["files"]["attacked"]) - pixels("a.jpg"))
    assert 5 <= moved.max() <= 6
    cut = result["cut"]
    wide = Box(cut["top"], cut["left"], cut["side"])  # others will cut a little beside it
    wide = widened(wide, *moved.shape[:2])
    moved[wide.top : wide.top + wide.side, wide.left : wide.left + wide.side] = 0
    assert not moved.any()
    assert 0.8 < result["ssim"] < 1
    assert result["disrupted"] == (result["output_mse"] > SUCCESS)
    assert result["output_mse_in_file"] > 0
    # What is said of the file is about the cut that the next command will make.
    (again,) = own("defend", result["files"]["attacked"], "--json", "--out", "again").document["results"]
    assert again["cut"] == result["cut_in_file"]


def test_what_survives_jpeg_is_written_as_jpeg(own, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    done = own("attack", "a.png", "--survive", "jpeg", "--json")
    (result,) = done.document["results"]
    path = result["files"]["attacked"]
    assert path.endswith("a.png.attacked.jpg")
    with Image.open(path) as written:
        assert written.format == "JPEG"
        assert written.size == astronaut.size
    assert result["largest_change"] == "6/255"  # before it is stored
    assert result["output_mse_in_file"] > 0


def test_an_aligned_picture_of_the_generators_size_keeps_the_whole_attack(own, astronaut, tmp_path):
    astronaut.resize((32, 32)).save(tmp_path / "small.png")
    (result,) = own("attack", "small.png", "--whole", "--json").document["results"]
    assert result["output_mse_in_file"] == result["output_mse"]
    moved = np.abs(pixels(result["files"]["attacked"]) - pixels("small.png"))
    assert moved.max() == 6
    assert moved.mean() > 1


def test_results_of_an_attack_can_be_defended_as_a_folder(own, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    told = own("attack", "a.png", "--out", "out").out
    assert "output MSE" in told
    assert "(more is worse)" in told
    (result,) = own("defend", "out", "--json", flags="always").document["results"]
    assert result["path"] == "out/a.png.attacked.png"


def test_an_unknown_attack_is_corrected(own, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    done = own("attack", "a.png", "--attack", "pdg")
    assert done.code == 2
    assert "did you mean 'pgd'?" in done.err
    assert len(done.err.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
