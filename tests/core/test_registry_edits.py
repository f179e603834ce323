"""Edits of texts in tests go through `tests.edits.edited`, which fails where nothing matches."""

import ast
from pathlib import Path

import pytest

from tests.edits import edited

TESTS = Path(__file__).parents[1]
FORMATTING = {
    ("True", "true"),
    ("step size ", "step size"),
    ("magdr", "ours"),
    ("nnif", "second"),
    ("jpeg", "better"),
}
"""What need not be there: how a value is spelled, and names that some of the entries have."""


def edits(source: str) -> list[int]:
    """Lines with `text.replace(old, new)`; single characters, as quotes and spaces, are formatting."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr="replace"), args=[old, new, *_], keywords=[]):
                values = [a.value if isinstance(a, ast.Constant) else None for a in (old, new)]
                single = values[0] is not None and len(values[0]) == 1
                if not single and tuple(values) not in FORMATTING:
                    found.append(node.lineno)
    return found


def test_texts_are_edited_by_what_fails_where_nothing_matches():
    plain = {
        str(file.relative_to(TESTS)): lines
        for file in sorted(TESTS.rglob("*.py"))
        if file.name != "edits.py" and (lines := edits(file.read_text(encoding="utf-8")))
    }
    assert plain == {}, "use tests.edits.edited(text, (old, new))"


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('text = SMALL.replace("samples = 5", "samples = 3")', [1]),
        ('text = open("x").read().replace(old, "")', [1]),
        ('a = TEXT.replace("aa", "b").replace("cc", "d", 1)', [1, 1]),
        ("""a = repr(x).replace("'", '"')""", []),
        ("dataclasses.replace(x, y=1)", []),
        ("path.replace(target)", []),
    ],
)
def test_an_edit_is_told_from_formatting(source, lines):
    assert edits(source) == lines


def test_an_edit_that_matches_nothing_fails():
    with pytest.raises(AssertionError, match="'samples = 5' is not in the text"):
        edited("samples = 4\n", ("samples = 4", "samples = 6"), ("samples = 5", "samples = 3"))


def test_edits_follow_each_other_everywhere_or_at_the_first_place():
    assert edited("a b a", ("a", "c"), ("c b", "d")) == "d c"
    assert edited("a b a", ("a", "c"), first=True) == "c b a"
    assert edited(b"a b", (b"a", b"c")) == b"c b"
