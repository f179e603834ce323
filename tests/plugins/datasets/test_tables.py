"""The text tables of datasets, warts included."""

from __future__ import annotations

import pytest
from magdr_plugins.datasets._splits import by_hash, by_time
from magdr_plugins.datasets._tables import fields, read_attributes, read_mapping, read_numbers


@pytest.fixture
def written(tmp_path):
    def write(text, name="table.txt", encoding="utf-8"):
        (tmp_path / name).write_bytes(text.encode(encoding))
        return tmp_path / name

    return write


FORMS = {
    "official": "2\r\nBald Young \r\n000001.jpg -1  1 \r\n000002.jpg  1 -1\r\n",
    "byte-order mark": "\ufeff2\nBald Young\n000001.jpg -1  1\n000002.jpg  1 -1",
    "no count": "Bald Young\n000001.jpg -1 1\n000002.jpg 1 -1\n",
    "named first column": "image_id Bald Young\n000001.jpg -1 1\n000002.jpg 1 -1\n",
    "csv": "image_id,Bald,Young\n000001.jpg,-1,1\n000002.jpg,1,-1\n",
    "csv, blanks and quotes": '\ufeff"image_id", Bald, Young\n\n"000001.jpg", -1, 1\n000002.jpg,1,-1\n\n',
    "csv, open ends": "image_id,Bald,Young,\n000001.jpg,-1,1,\n000002.jpg,1,-1,\n",
    "csv of 0 and 1": "file,Bald,Young\n000001.jpg,0,1\n000002.jpg,1,0\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_attributes_every_layout_gives_the_same_table(written, form):
    table = read_attributes(written(FORMS[form]))
    assert table.names == ("Bald", "Young")
    assert table.files == ("000001.jpg", "000002.jpg")
    assert table.values.tolist() == [[0, 1], [1, 0]]


BROKEN = {
    "declares 3 pictures, lists 1": "3\nBald Young\na.jpg 1 1\n",
    ":3: 2 fields": "Bald Young\na.jpg 1 1\nb.jpg 1\n",
    ":2: '2' is not one of": "Bald Young\na.jpg 1 2\n",
    "lists the picture 'a.jpg' twice": "Bald Young\na.jpg 1 1\na.jpg 1 1\n",
    "lists the attribute 'Bald' twice": "Bald Bald\na.jpg 1 1\n",
    "is empty": " \n\n",
    ":2: 4 fields do not fit": "Bald Young\na.jpg 1 1 1\n",
}


@pytest.mark.parametrize("words", BROKEN)
def test_attributes_broken_tables_are_named_with_the_line(written, refusal, words):
    path = written(BROKEN[words])
    text = refusal(lambda: read_attributes(path))
    assert str(path) in text
    assert words in text


def test_attributes_of_another_encoding_or_missing_are_refused(written, refusal, tmp_path):
    path = written("Bald\nä.jpg 1\n", encoding="latin-1")
    assert "is not UTF-8 text: byte 0xe4 at 5, line 2" in refusal(lambda: read_attributes(path))
    assert "does not exist" in refusal(lambda: read_attributes(tmp_path / "none.txt"))


def test_numbers_come_from_text_and_csv(written):
    expected = {"a.jpg": 0, "b.jpg": 2}
    assert read_numbers(written("a.jpg 0\nb.jpg  2 \n")) == expected
    assert read_numbers(written("image_id,partition\na.jpg,0\nb.jpg,2\n")) == expected


def test_numbers_that_are_none_are_named(written, refusal):
    path = written("a.jpg 0\nb.jpg two\n")
    assert f"{path}:2: expected a file name and a number, got 'b.jpg two'" in refusal(
        lambda: read_numbers(path)
    )


def test_mapping_prefers_the_original_file(written):
    with_header = "idx  orig_idx  orig_file\n0 119613 119614.jpg\n1 8 000009.jpg\n"
    assert read_mapping(written(with_header)) == {0: 119614, 1: 9}
    assert read_mapping(written(with_header.partition("\n")[2])) == {0: 119614, 1: 9}
    assert read_mapping(written("idx orig_idx\n0 119613\n")) == {0: 119614}


def test_mapping_of_other_columns_or_damaged_is_refused(written, refusal):
    assert "expected the columns idx" in refusal(lambda: read_mapping(written("a b\n0 1\n")))
    assert ":2: '1 x'" in refusal(lambda: read_mapping(written("0 1 000002.jpg\n1 x\n")))


def test_splits_by_hash_depend_on_the_own_name_only():
    names = [f"{i}.jpg" for i in range(1000)]
    rows = by_hash(names)
    assert sorted(r for part in rows.values() for r in part) == list(range(1000))
    assert [len(rows[n]) for n in ("train", "calibration", "test")] == pytest.approx([600, 200, 200], abs=50)
    fewer = names[::3]
    for split, part in by_hash(fewer).items():
        assert {fewer[r] for r in part} <= {names[r] for r in rows[split]}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 100])
def test_splits_by_time_follow_each_other(count):
    rows = by_time(count)
    assert rows["train"] + rows["calibration"] + rows["test"] == list(range(count))


def test_tables_with_semicolons_and_decimal_commas_are_read(written):
    table = read_attributes(written('\ufeff"image_id";Bald;Young\r\n"a;b.jpg";-1;1\r\nc.jpg;1;-1;\r\n'))
    assert (table.files, table.values.tolist()) == (("a;b.jpg", "c.jpg"), [[0, 1], [1, 0]])
    assert list(fields(written("a;b\n0,88;-1,5\n")))[1] == (2, ["0.88", "-1.5"])


PAGE = "<!DOCTYPE html><html><head><title>Quota exceeded</title></head><body></body></html>\n"


@pytest.mark.parametrize("read", [read_attributes, read_numbers, read_mapping])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (PAGE, "is a web page; a download saved its page instead of the file"),
        (" \n", ""),
        ("", ""),
        ("version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        ("idx orig_idx orig_file\n", ""),
        ('a,"b\n', ""),
    ],
    ids=["page", "blank", "empty", "pointer", "header", "open-quote"],
)
def test_tables_without_a_picture_are_refused(written, refusal, read, content, said):
    path = written(content)
    text = refusal(lambda: read(path))
    assert str(path) in text
    assert said in text


def test_tables_name_pictures_inside_their_folder(written, refusal):
    for name in ("../x.jpg", "/etc/x.jpg", "a/../../x.jpg"):
        path = written(f"Bald\n{name} 1\n")
        assert f"{path}:2: {name!r} is not a picture inside" in refusal(lambda p=path: read_attributes(p))


def test_numbers_that_are_out_of_range_or_listed_twice_are_named(written, refusal):
    path = written("a.jpg 0\nb.jpg 3\n")
    assert f"{path}:2: 3 is not one of 0, 1, 2" in refusal(lambda: read_numbers(path, allowed=range(3)))
    assert read_numbers(path) == {"a.jpg": 0, "b.jpg": 3}
    path = written("a.jpg 0\na.jpg 1\n")
    assert f"{path}:2: lists 'a.jpg' twice" in refusal(lambda: read_numbers(path))
    for odd in ("--5", "²", "9" * 30):
        path = written(f"a.jpg 0\nb.jpg {odd}\n")
        assert f"{path}:2: expected a file name and a number" in refusal(lambda p=path: read_numbers(p))


def test_mapping_lists_each_picture_once(written, refusal):
    path = written("0 1 000002.jpg\n0 2 000003.jpg\n")
    assert f"{path}:2: lists 0 twice" in refusal(lambda: read_mapping(path))
