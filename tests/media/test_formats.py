"""What is read by its content, and what is named because nothing here reads it."""

import numpy as np
import pytest
from PIL import Image, features

from magdr_core.errors import DataError
from magdr_core.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES, read_picture, read_video, without_colours
from magdr_core.media.formats import UNREADABLE, UNREADABLE_CLIPS, unreadable

SQUARE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8))
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 64


def test_an_avif_is_read_where_pillow_reads_it_and_named_elsewhere(tmp_path):
    path = tmp_path / "a.avif"
    path.write_bytes(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + b"\0" * 64)
    if features.check("avif"):
        SQUARE.save(path)
        assert read_picture(path).image.shape == (3, 20, 24)
    else:
        with pytest.raises(DataError, match="cannot be read here: AVIF"):
            read_picture(path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.HEIC", HEIC, "HEIC"),
        ("renamed.jpg", HEIC, "HEIC"),
        ("a.dng", b"II*\0" + b"\0" * 64, "a camera's raw file"),
        ("a.psd", b"8BPS\0\1" + b"\0" * 64, "Photoshop"),
        ("a.png", b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 64, "JPEG XL"),
    ],
)
def test_other_formats_are_named_with_what_to_do(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_picture(tmp_path / name)
    assert f"{name}: cannot be read here: {expected}; convert it to PNG or JPEG" in str(caught.value)


def test_content_counts_for_more_than_a_name(tmp_path):
    SQUARE.save(tmp_path / "a.heic", format="JPEG")
    assert read_picture(tmp_path / "a.heic").image.shape == (3, 20, 24)
    assert unreadable(tmp_path / "a.heic", b"plain text") == "HEIC"
    assert unreadable(tmp_path / "a.txt", b"plain text") == ""


def test_clips_of_other_formats_are_named(tmp_path):
    (tmp_path / "a.WMV").write_bytes(b"\x30\x26\xb2\x75")
    with pytest.raises(DataError, match=r"a\.WMV: cannot be read here: Windows Media; convert it to MP4"):
        read_video(tmp_path / "a.WMV")


def test_no_suffix_is_both_read_and_refused():
    read, refused = {*PICTURE_SUFFIXES, *VIDEO_SUFFIXES}, {*UNREADABLE, *UNREADABLE_CLIPS}
    assert not read & refused
    assert all(s.startswith(".") and s == s.lower() for s in read | refused)


@pytest.mark.parametrize(
    ("mode", "grey"), [("L", True), ("LA", True), ("1", True), ("RGB", False), ("P", False)]
)
def test_a_picture_without_colours_is_known_to_have_none(tmp_path, mode, grey):
    SQUARE.convert(mode).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert picture.grey == grey
    if grey:
        assert (picture.image == without_colours(picture.image)).all()


def test_sixteen_bits_of_grey_are_grey(tmp_path):
    Image.fromarray(np.linspace(0, 65535, 480).reshape(20, 24).astype(np.uint16)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").grey
