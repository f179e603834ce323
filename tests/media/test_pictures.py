"""Every usual kind of picture file is read as upright 8-bit RGB; everything else is refused in one line."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps

from magdr_core.errors import DataError
from magdr_core.media import PICTURE_SUFFIXES, picture_of, pictures, read_picture, write_picture
from magdr_core.media import tiles as pieces
from magdr_core.media.pictures import MAX_PIXELS
from tests.edits import edited

LEVELS = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)


def smooth():
    y, x = np.mgrid[:64, :48]
    return np.stack([x * 5, y * 4, 255 - x * 5], 2).astype(np.uint8)


def levels_of(path):
    """What magdr reads, as `[H,W,3]` uint8."""
    image = read_picture(path).image
    assert image.dtype == torch.float32
    assert image.is_contiguous()
    return (image * 255).round().byte().permute(1, 2, 0).numpy()


def refuse(path, *expected):
    with pytest.raises(DataError) as caught:
        read_picture(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    for words in expected:
        assert words in message


# -- what is read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "webp"])
def test_lossless_files_keep_every_level(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(LEVELS).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert (levels_of(path) == LEVELS).all()
    assert path.suffix in PICTURE_SUFFIXES


def test_jpeg_is_what_pillow_decodes(tmp_path):
    path = tmp_path / "a.JPG"
    Image.fromarray(smooth()).save(path, format="JPEG", quality=90)
    assert (levels_of(path) == np.asarray(Image.open(path))).all()
    assert read_picture(path).notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path, orientation):
    # Orientation o: row 0 and column 0 of the stored picture are these sides of the upright one.
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
        8: lambda a: np.rot90(a, -1),
    }[orientation](LEVELS)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    assert (levels_of(path) == LEVELS).all()
    assert any("EXIF" in note for note in read_picture(path).notes) == (orientation != 1)


def test_transparency_is_put_on_white(tmp_path):
    alpha = np.full((20, 24, 1), 255, np.uint8)
    alpha[:, :12] = 0
    alpha[:, 12:14] = 128
    Image.fromarray(np.concatenate([LEVELS, alpha], 2)).save(tmp_path / "a.png")
    given = levels_of(tmp_path / "a.png")
    assert (given[:, :12] == 255).all()
    assert (given[:, 14:] == LEVELS[:, 14:]).all()
    half = (LEVELS[:, 12:14].astype(float) * 128 + 255 * 127) / 255
    assert np.abs(given[:, 12:14] - half).max() <= 1
    assert "white" in read_picture(tmp_path / "a.png").notes[0]


def test_opaque_alpha_changes_nothing(tmp_path):
    alpha = np.full((20, 24, 1), 255, np.uint8)
    Image.fromarray(np.concatenate([LEVELS, alpha], 2)).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert (levels_of(tmp_path / "a.png") == LEVELS).all()
    assert picture.notes == ()


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_fills_three_channels(tmp_path, mode):
    grey = Image.fromarray(LEVELS[..., 0]).convert(mode)
    grey.save(tmp_path / "grey.png")
    assert (levels_of(tmp_path / "grey.png") == LEVELS[..., :1]).all()


def test_black_and_white_is_read(tmp_path):
    bits = LEVELS[..., 0] > 127
    Image.fromarray(bits).save(tmp_path / "bits.png")
    assert (levels_of(tmp_path / "bits.png") == bits[..., None] * 255).all()


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path, suffix):
    wide = np.linspace(0, 65535, 20 * 24).reshape(20, 24).astype(np.uint16)
    path = tmp_path / f"wide.{suffix}"
    Image.fromarray(wide).save(path)
    given = levels_of(path)
    assert (np.abs(given - wide[..., None] / 257.0) <= 0.51).all()
    assert "16 bits rounded to 8" in read_picture(path).notes


def test_sixteen_bit_colour_is_read(tmp_path):
    # Pillow cannot write it, so the file is put together here.
    wide = LEVELS.astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    path = tmp_path / "wide.png"
    path.write_bytes(png(24, 20, 16, 2, rows))
    assert (levels_of(path) == LEVELS).all()


def test_palette_becomes_rgb_with_its_transparent_entry_white(tmp_path):
    indices = (np.arange(20 * 24) % 3).reshape(20, 24).astype(np.uint8)
    image = Image.fromarray(indices).convert("L")
    image = Image.frombytes("P", (24, 20), indices.tobytes())
    image.putpalette([10, 20, 30, 200, 100, 50, 1, 2, 3])
    image.save(tmp_path / "p.png", transparency=1)
    wanted = np.array([[10, 20, 30], [255, 255, 255], [1, 2, 3]])[indices]
    assert (levels_of(tmp_path / "p.png") == wanted).all()
    image.save(tmp_path / "p.gif")
    assert (levels_of(tmp_path / "p.gif")[indices == 0] == [10, 20, 30]).all()


def test_cmyk_is_not_read_as_a_negative(tmp_path):
    path = tmp_path / "print.jpg"
    Image.fromarray(smooth()).convert("CMYK").save(path, quality=95)
    assert np.abs(levels_of(path).astype(int) - smooth()).mean() < 6


def test_a_colour_profile_is_converted(tmp_path):
    # sRGB with red and green exchanged: the pixels mean something else than their numbers say.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    data = bytearray(profile.tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    for i in range(count):
        at = 132 + 12 * i
        name = bytes(data[at : at + 4])
        if name in (b"rXYZ", b"gXYZ"):
            data[at : at + 4] = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}[name]
    # Its name as well, by which an sRGB profile is known.
    data = edited(bytes(data), ("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be")))
    path = tmp_path / "swapped.png"
    Image.fromarray(smooth()).save(path, icc_profile=bytes(data))
    given = levels_of(path)
    assert np.abs(given.astype(int) - smooth()[..., [1, 0, 2]]).max() <= 3
    assert any("colours converted" in note for note in read_picture(path).notes)


def test_an_srgb_profile_changes_no_level(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(LEVELS).save(tmp_path / "a.png", icc_profile=profile)
    assert (levels_of(tmp_path / "a.png") == LEVELS).all()


def test_a_broken_profile_or_exif_does_not_matter(tmp_path):
    Image.fromarray(LEVELS).save(tmp_path / "a.png", icc_profile=b"no profile", exif=b"Exif\0\0MM\0*broken")
    assert (levels_of(tmp_path / "a.png") == LEVELS).all()


# -- what is refused ------------------------------------------------------------------------------------


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def encoded(**options):
    data = io.BytesIO()
    Image.fromarray(smooth()).save(data, **options)
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("half.jpg", lambda: encoded(format="JPEG")[:700], "damaged or truncated"),
        ("half.png", lambda: encoded(format="PNG")[:100], "damaged or truncated"),
        ("head.jpg", lambda: b"\xff\xd8\xff", "is not a picture"),
        ("nothing.jpg", lambda: b"", "is empty"),
        ("text.jpg", lambda: b"dear diary, " * 50, "is not a picture"),
        ("page.jpg", lambda: b"<!doctype html><html></html>", "is not a picture"),
        ("thin.png", lambda: png(400, 1, 8, 0, b"\0" + b"\1" * 400), "400 x 1 pixels are too few"),
        ("bomb.png", lambda: png(20_000, 20_000, 8, 0, b"\0" * 9), "megapixels"),
        ("large.png", lambda: png(9_000, 9_000, 8, 0, b"\0" * 9), "9000 x 9000 pixels are more than 64"),
        ("print.jpg", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "is not a picture"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_in_one_line(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content())
    refuse(path, expected)


def test_large_pictures_are_refused_before_they_are_decoded():
    assert MAX_PIXELS < 9_000 * 9_000  # or the case above tests nothing


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    refuse(tmp_path / "gone.jpg", "does not exist")
    refuse(tmp_path, "cannot be read")


@pytest.mark.parametrize(("suffix", "word"), [("gif", "animated"), ("webp", "animated"), ("tiff", "pages")])
def test_several_frames_are_refused(tmp_path, suffix, word):
    frames = [Image.fromarray(np.roll(LEVELS, i, 0)) for i in range(3)]
    frames[0].save(tmp_path / f"moves.{suffix}", save_all=True, append_images=frames[1:])
    refuse(tmp_path / f"moves.{suffix}", "has several", word)


def test_floating_point_pixels_are_refused(tmp_path):
    Image.fromarray(LEVELS[..., 0].astype(np.float32)).save(tmp_path / "f.tiff")
    refuse(tmp_path / "f.tiff", "floating-point")


# -- writing --------------------------------------------------------------------------------------------


def test_a_written_picture_comes_back_to_the_last_bit(tmp_path):
    image = torch.from_numpy(LEVELS).permute(2, 0, 1).float() / 255
    write_picture(tmp_path / "deep" / "a.png", image)
    assert torch.equal(read_picture(tmp_path / "deep" / "a.png").image, image)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.png"]


def test_writing_with_loss_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"as \.png"):
        write_picture(tmp_path / "a.jpg", torch.zeros(3, 20, 20))
    with pytest.raises(ValueError, match=r"\[3,H,W\]"):
        write_picture(tmp_path / "a.png", torch.zeros(1, 3, 20, 20))
    assert not any(tmp_path.iterdir())


def test_formats_whose_decoders_hold_several_copies_are_bounded_lower(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS_OF", {"WEBP": 900})
    for name in ("a.webp", "a.png"):
        Image.fromarray(np.zeros((31, 31, 3), np.uint8)).save(tmp_path / name)
    assert read_picture(tmp_path / "a.png").levels.shape == (3, 31, 31)
    with pytest.raises(DataError, match=r"a\.webp: 31 x 31 pixels are more than .* WEBP; convert it"):
        read_picture(tmp_path / "a.webp")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_pillow_turns_it_whatever_its_orientation(tmp_path, monkeypatch, orientation):
    monkeypatch.setattr(pieces, "PIECE", 1)  # strips of 64 rows
    rng = np.random.default_rng(orientation)
    image = Image.fromarray(rng.integers(0, 256, (150, 97, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as again:
        wanted = np.asarray(ImageOps.exif_transpose(again))
    assert (read_picture(tmp_path / "a.png").levels.permute(1, 2, 0).numpy() == wanted).all()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_strips_give_the_same_levels_and_notes_as_a_whole_picture(mode, monkeypatch):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (150, 97, 4), np.uint8), "RGBA")
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (150, 97), np.uint16))
    elif mode != "RGBA":
        image = (
            image.convert("RGB").quantize(9)
            if mode == "P"
            else image.convert("RGB" if mode == "CMYK" else mode).convert(mode)
        )
    whole = picture_of(image, "it")
    monkeypatch.setattr(pieces, "PIECE", 1)
    inpieces = picture_of(image, "it")
    assert torch.equal(inpieces.levels, whole.levels)
    assert (inpieces.notes, inpieces.grey) == (whole.notes, whole.grey)
