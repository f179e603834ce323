"""Action units by column name from whatever OpenFace wrote."""

from __future__ import annotations

import pytest
import torch
from magdr_plugins.datasets._openface import UNITS, find_units, frame_units, image_units

VALUES = [round(0.25 * i, 2) for i in range(17)]  # 0 to 4
CLASSES = ["AU01_c", "AU28_c", "AU45_c"]


def table(rows, before=("face", "confidence"), separator=", ", units=UNITS):
    """A csv; each row is (leading cells, intensities)."""
    lines = [separator.join([*before, *units, *CLASSES])]
    for lead, values in rows:
        lines.append(separator.join([*map(str, lead), *map(str, values), "1", "0", "1"]))
    return "\n".join(lines) + "\n"


SEQUENCE = ("frame", "face_id", "timestamp", "confidence", "success", "gaze_0_x", "pose_Tx", "x_0")


def test_openface_order_of_units_is_the_datasets():
    numbers = "1 2 4 5 6 7 9 10 12 14 15 17 20 23 25 26 45"
    assert [int(u[2:4]) for u in UNITS] == [int(n) for n in numbers.split()]
    assert all(u.endswith("_r") for u in UNITS)


def test_openface_intensities_are_divided_by_five(tmp_path):
    (tmp_path / "a.csv").write_text(table([((0, 0.95), VALUES)]))
    units = image_units(tmp_path, 0.88)
    assert units.keys() == {"a"}
    assert torch.allclose(units["a"], torch.tensor(VALUES) / 5)
    assert units["a"].dtype == torch.float32


def test_openface_further_columns_do_not_shift_the_units(tmp_path):
    lead = (1, 0, 0.0, 0.95, 1, 0.3, 10.0, 99.0)
    shuffled = list(reversed(list(zip(UNITS, VALUES, strict=True))))
    text = table([(lead, [v for _, v in shuffled])], before=SEQUENCE, units=[u for u, _ in shuffled])
    (tmp_path / "a.csv").write_text("\ufeff" + text, encoding="utf-8")
    assert torch.allclose(image_units(tmp_path, 0.88)["a"], torch.tensor(VALUES) / 5)


@pytest.mark.parametrize("separator", [",", ", ", " ,  ", ";", "; "])
def test_openface_blanks_around_fields_do_not_matter(tmp_path, separator):
    (tmp_path / "a.csv").write_text(table([((0, 0.95), VALUES)], separator=separator))
    assert torch.allclose(image_units(tmp_path, 0.88)["a"], torch.tensor(VALUES) / 5)


def test_openface_unsure_rows_are_dropped_and_the_surest_face_wins(tmp_path):
    other = [1.0] * 17
    (tmp_path / "two.csv").write_text(table([((0, 0.9), other), ((1, 0.97), VALUES), ((2, 0.95), other)]))
    (tmp_path / "edge.csv").write_text(table([((0, 0.88), other)]))
    (tmp_path / "unsure.csv").write_text(table([((0, 0.87), other)]))
    (tmp_path / "none.csv").write_text(table([]))
    units = image_units(tmp_path, 0.88)
    assert units.keys() == {"two", "edge"}
    assert torch.allclose(units["two"], torch.tensor(VALUES) / 5)


def test_openface_frames_count_from_one_and_lost_ones_are_left_out(tmp_path, refusal):
    rows = [
        ((1, 0, 0.00, 0.98, 1, 0, 0, 0), VALUES),
        ((2, 0, 0.04, 0.98, 0, 0, 0, 0), VALUES),  # not a success
        ((3, 0, 0.08, 0.50, 1, 0, 0, 0), VALUES),
        ((4, 0, 0.12, 0.90, 1, 0, 0, 0), VALUES),
    ]
    (tmp_path / "clip.csv").write_text(table(rows, before=SEQUENCE))
    assert list(frame_units(tmp_path / "clip.csv", 0.88)) == [0, 3]
    assert "clip.csv: holds 4 frames" in refusal(lambda: image_units(tmp_path, 0.88))


HEADERS = {
    "none": [],
    "two lines": ["202599", " ".join(UNITS)],
    "two words": ["name units", "-"],
    "one line": ["name " + " ".join(UNITS)],
}


@pytest.mark.parametrize("header", HEADERS)
def test_openface_text_file_with_and_without_its_two_header_lines(tmp_path, header):
    path = tmp_path / "attributes.txt"
    rows = [f"{name}.jpg " + " ".join(map(str, VALUES)) for name in "abc"]
    path.write_text("\n".join([*HEADERS[header], *rows]))
    units = image_units(path, 0.88)
    assert list(units) == ["a", "b", "c"], "the first two pictures are not lost"
    assert torch.allclose(units["a"], torch.tensor(VALUES) / 5)


def test_openface_pictures_are_found_by_path_then_by_name(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(table([((0, 0.95), [1.0] * 17)]))
    (tmp_path / "a.csv").write_text(table([((0, 0.95), [2.0] * 17)]))
    units = image_units(tmp_path, 0.88)
    assert find_units(units, "in/a.jpg")[0] == pytest.approx(0.2)
    assert find_units(units, "elsewhere/a.jpg")[0] == pytest.approx(0.4)
    assert find_units(units, "b.jpg") is None


def broken(tmp_path, text, name="a.csv"):
    (tmp_path / name).write_text(text)
    return tmp_path if name.endswith(".csv") else tmp_path / name


def test_openface_damaged_files_are_named(tmp_path, refusal):
    cases = {
        "has no column AU45_r": table([((0, 1), VALUES[:16])], units=UNITS[:16]),
        "a.csv:2: intensity 5.1 is outside": table([((0, 1), [5.1, *VALUES[1:]])]),
        "a.csv:2: intensity nan": table([((0, 1), ["nan", *VALUES[1:]])]),
        "a.csv:2: an intensity is not a number": table([((0, 1), ["?", *VALUES[1:]])]),
        "a.csv:2: frame, confidence or success": table([((0, "?"), VALUES)]),
        "a.csv:2: 10 fields": table([((0, 1), VALUES[:5])]),
        "no action units with a confidence of 0.88": table([((0, 0.2), VALUES)]),
    }
    for words, text in cases.items():
        assert words in refusal(lambda t=text: image_units(broken(tmp_path, t), 0.88))
    short = broken(tmp_path, "a.jpg " + " ".join(["1"] * 17) + "\nb.jpg 1 2\n", "aus.txt")
    assert "aus.txt:2: expected a file name and 17" in refusal(lambda: image_units(short, 0.88))
    one = tmp_path / "a.csv"
    assert "one OpenFace csv per picture" in refusal(lambda: image_units(one, 0.88))


def test_openface_pickle_is_not_opened(tmp_path, refusal):
    bomb = broken(tmp_path, "cos\nsystem\n(S'touch ran'\ntR.", "aus_openface.pkl")
    assert "a pickle can run code" in refusal(lambda: image_units(bomb, 0.88))


def test_openface_spreadsheet_with_decimal_commas_is_read(tmp_path):
    (tmp_path / "a.csv").write_text(table([((0, 0.95), VALUES)], separator=";").replace(".", ","))
    assert torch.allclose(image_units(tmp_path, 0.88)["a"], torch.tensor(VALUES) / 5)


def test_openface_column_that_is_there_twice_is_refused(tmp_path, refusal):
    path = tmp_path / "a.csv"
    path.write_text(table([((0, 0.95, 0.1), VALUES)], before=("face", "confidence", "confidence")))
    assert f"{path}:1: has the column confidence twice" in refusal(lambda: image_units(tmp_path, 0.88))


def test_openface_page_in_place_of_a_csv_is_refused(tmp_path, refusal):
    (tmp_path / "a.csv").write_text("<html></html>")
    assert f"{tmp_path / 'a.csv'}: is a web page" in refusal(lambda: image_units(tmp_path, 0.88))
