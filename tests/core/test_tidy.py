"""JSON of others is taken only if programs can work with it."""

import json
import re

import pytest

from magdr_core.files.strict_json import read_json


def test_ordinary_json_is_read():
    data = {"a": [1, 2.5, None, True, "\u00e9\U0001f600"], "b": {"c": -(2**62)}}
    assert read_json(json.dumps(data)) == data
    assert read_json(json.dumps(data).encode()) == data


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": [1, NaN]}', "a[1]: nan is no figure"),
        ('{"a": {"b": -Infinity}}', "a.b: -inf is no figure"),
        ("[1e999]", "[0]: inf is no figure"),
        ('{"a": ' + "9" * 6000 + "}", "a: an integer of more than 64 bits"),
        ('{"a": 9223372036854775808}', "a: an integer of more than 64 bits"),
        ('{"a": ["\\udcff"]}', "a[0]: text with half a surrogate pair"),
        ('{"a": {"\\udcff": 1}}', "a: text with half a surrogate pair"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        ("[" * 50 + "]" * 50, "nested too deep"),
        ("[" * 100_000, "nested too deep"),
        ("{", "not JSON (Expecting property name enclosed in double quotes, line 1)"),
        ("", "not JSON"),
        (b"\xff", "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_no_program_can_work_with_is_refused_with_its_place(text, said):
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        read_json(text)
    assert "\n" not in str(error.value)
