"""Calibration files from anywhere: right ones are read, wrong ones refused in one line."""

import json
import math
import os

import pytest

from magdr_core.calibration import read_calibration
from magdr_core.calibration.content import entry_or_none, fault_in
from magdr_core.calibration.file import LARGEST
from magdr_core.errors import CalibrationError

ENTRY = {
    "kind": "detector",
    "label": "magdr",
    "task": "editing",
    "state": {"scores": {"weights": [1.0, 2]}},
    "thresholds": {"fpr": 1.5, "f1": 0},
    "clean": {"n": 20, "mean": 0.1, "std": 0.2, "fpr": 0.01},
}
RIGHT = {"schema": 1, "entries": {"aad03fee2d25d24d": ENTRY}, "provenance": {"magdr": "0.1.0"}}


def changed(**fields):
    return {**RIGHT, "entries": {"aad03fee2d25d24d": {**ENTRY, **fields}}}


def without(name):
    return {**RIGHT, "entries": {"aad03fee2d25d24d": {k: v for k, v in ENTRY.items() if k != name}}}


def nested(levels):
    return "[" * levels + "]" * levels


@pytest.fixture
def read(tmp_path):
    def read_text(content):
        file = tmp_path / "mine.json"
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_calibration(file)

    return read_text


def test_a_right_file_is_read(read):
    assert read(RIGHT) == RIGHT["entries"]
    assert read({"schema": 1, "entries": {}}) == {}
    defense = {k: v for k, v in ENTRY.items() if k not in ("thresholds", "clean")} | {"kind": "defense"}
    assert read({"schema": 1, "entries": {"k": defense}}) == {"k": defense}
    assert read(b"\xef\xbb\xbf" + json.dumps(RIGHT).encode()) == RIGHT["entries"], "an editor's mark"


KEY = "entries.aad03fee2d25d24d"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        (b"\xff\xfe{", "is not UTF-8 text"),
        ("[]", "is not a calibration"),
        ("3", "is not a calibration"),
        ("{}", "schema: is missing"),
        ({"schema": 1}, "entries: is missing"),
        ({"schema": 9, "entries": {}}, "schema: is 9, this version of magdr reads 1"),
        ({"schema": "1", "entries": {}}, "schema: "),
        ('{"schema": 1' + "0" * 400 + ', "entries": {}}', "schema: is 1000"),
        ('{"schema": 1' + "0" * 5000 + ', "entries": {}}', "is no JSON"),
        (nested(100_000), "is nested too deeply"),
        ('{"schema": 1, "entries": {}, "entries": {}}', "has the key 'entries' twice in one object"),
        ({"schema": 1, "entries": []}, "entries: "),
        ({"schema": 1, "entries": {"k": "x"}}, "entries.k: "),
        ({"schema": 1, "entries": {"\x1b[31m": 3}}, r"entries.'\x1b[31m': "),
        (without("kind"), f"{KEY}.kind: is missing"),
        (changed(kind="generator"), f"{KEY}.kind: "),
        (changed(label=3), f"{KEY}.label: "),
        (without("state"), f"{KEY}.state: is missing"),
        (changed(state=None), f"{KEY}.state: "),
        (changed(state=[1]), f"{KEY}.state: "),
        (without("thresholds"), f"{KEY}: a detector without `thresholds`"),
        (changed(thresholds={"fpr": 1.0}), f"{KEY}.thresholds.f1: is missing"),
        (changed(thresholds={"fpr": "1.0", "f1": 0.0}), f"{KEY}.thresholds.fpr: "),
        (changed(thresholds={"fpr": True, "f1": 0.0}), f"{KEY}.thresholds.fpr: "),
        (changed(thresholds={"fpr": math.nan, "f1": 0.0}), f"{KEY}.thresholds.fpr: "),
        (changed(thresholds={"fpr": 0.0, "f1": math.inf}), f"{KEY}.thresholds.f1: "),
        (changed(thresholds={"fpr": 10**400, "f1": 0.0}), f"{KEY}.thresholds.fpr: "),
        (changed(clean={**ENTRY["clean"], "n": 2.5}), f"{KEY}.clean.n: "),
        (changed(clean={**ENTRY["clean"], "fpr": 0}), f"{KEY}.clean.fpr: "),
        (changed(state={"a": [1.0, [math.nan]]}), f"{KEY}.state.a.1.0: nan is not a finite number"),
        (changed(state={"a": -math.inf}), f"{KEY}.state.a: -inf is not a finite number"),
        (changed(state={"a": 10**30}), f"{KEY}.state.a: an integer of more than 64 bits"),
        (changed(state={"a": "\ud800"}), f"{KEY}.state.a: text that is not Unicode"),
        (changed(state={"\ud800": 1}), f"{KEY}.state: a key that is not Unicode text"),
        (changed(state=json.loads('{"a": ' + nested(200) + "}")), "is nested more than 64 levels deep"),
        ({**RIGHT, "provenance": {"magdr": math.nan}}, "provenance.magdr: nan is not a finite number"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_that_names_file_and_field(read, content, said):
    with pytest.raises(CalibrationError) as caught:
        read(content)
    told = str(caught.value)
    assert said in told
    assert "mine.json'" in told
    assert told.isprintable()
    assert len(told) < 400


def test_what_is_no_file_or_too_large_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as f:
        f.truncate(100 * LARGEST)
    places = {"none": "does not exist", "": "is not a file", "pipe": "is not a file", "large": "64 MB"}
    for name, said in places.items():
        with pytest.raises(CalibrationError, match=said):
            read_calibration(tmp_path / name)
    for path, said in ((tmp_path / "a\0b", "cannot be a path"), (tmp_path / ("n" * 300), "cannot be read")):
        with pytest.raises(CalibrationError, match=said):
            read_calibration(path)
    with pytest.raises(CalibrationError, match="is not a file"):
        read_calibration(tmp_path.__class__("/dev/zero"))


def test_what_a_store_holds_counts_only_as_an_entry_of_its_kind():
    assert entry_or_none(ENTRY, "detector") is ENTRY
    assert entry_or_none(ENTRY, "defense") is None
    for wrong in (None, {}, [], {**ENTRY, "thresholds": {"fpr": math.nan, "f1": 0.0}}, {**ENTRY, "state": 3}):
        assert entry_or_none(wrong, "detector") is None


def test_fault_in_ends_on_what_contains_itself():
    loop = [1]
    loop.append(loop)
    assert fault_in({"a": loop}) == ""
    assert fault_in({"a": {1, 2}}) == "a: a set is no JSON"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1.0, 2.5], ""),
        ([1, -(2**63) + 1, 2**63 - 1], ""),
        ([1.0, float("inf")], "a.1: inf is not a finite number"),
        ([1, 2**63], "a.1: an integer of more than 64 bits"),
        ([-(2**63), 1], "a.0: an integer of more than 64 bits"),
        ([1.0, 2**63], "a.1: an integer of more than 64 bits"),
        ([[1.0], [float("nan")]], "a.1.0: nan is not a finite number"),
        ([True, None, "b", 1.0], ""),
        ([1.0, "\ud800"], "a.1: text that is not Unicode"),
    ],
)
def test_a_fault_in_a_list_is_found_whatever_else_is_in_it(value, said):
    assert fault_in({"a": value}) == said
