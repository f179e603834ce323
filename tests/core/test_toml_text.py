"""TOML that is written is read back as the same values, whatever keys and texts there are."""

import datetime
import tomllib

import pytest

from magdr_core.files.toml_text import to_toml
from magdr_core.registry import packaged_registry

ODD = {
    "plain": 1,
    "a b": {"": {"x": 1}, "quo\"te'd": {"y.z": [1, 2.5, True, False]}, "ключ": {}},
    "table": {
        "text": 'a "quoted" \\ back\\slash \n new line \t tab \x7f delete \x01 control',
        "hidden": "\u202eright to left\u200b zero width\ufeff",
        "wide": "\U0001f600 face",
        "int": -(2**62),
        "floats": [0.1, 1e300, -1e-9, float("inf"), float("-inf"), 3.0],
        "when": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        "day": datetime.date(2026, 1, 2),
        "hour": datetime.time(3, 4, 5),
        "nothing": [],
        "inline": {"deep": {"deeper": {"deepest": [{}, {"a": [[1], []]}]}}},
        "tables": [{"attack": "pgd", "condition": "unknown"}, {"attack": "cw"}],
    },
    "empty": {},
    "long": {"words": [f"word-{i}" for i in range(60)], "nested": [["x" * 40] * 4, ["y"], ["z" * 120]]},
}


@pytest.mark.parametrize(
    "data",
    [ODD, {}, tomllib.loads(packaged_registry().read_text(encoding="utf-8"))],
    ids=["odd", "nothing", "registry"],
)
def test_written_values_are_read_back(data):
    text = to_toml(data)
    assert tomllib.loads(text) == data
    assert list(tomllib.loads(text)) == list(data), "tables stay in order"


def test_text_that_nobody_would_see_is_escaped():
    assert to_toml({"a": "\u202e\x1b"}) == 'a = "\\U0000202e\\u001b"\n'


def test_lines_stay_short():
    assert max(map(len, to_toml({"long": {"words": ODD["long"]["words"]}}).splitlines())) <= 100


def test_comments_stand_above_their_tables_and_cannot_break_out():
    said = {"a.b": "of a.b\x1b\nsecond"}
    text = to_toml({"a": {"b": {"x": 1}, "c": {}}}, lambda table: said.get(table, ""))
    assert text == "# of a.b\\U0000001b\n# second\n[a.b]\nx = 1\n\n[a.c]\n"


def test_what_toml_does_not_have_is_refused():
    with pytest.raises(TypeError, match="NoneType"):
        to_toml({"a": None})
