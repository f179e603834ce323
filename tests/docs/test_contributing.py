"""CONTRIBUTING.md says what is so: rooms, their order, paths and commands."""

import re
from pathlib import Path

import pytest

from tests.core.test_import_rules import ORDER

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NO_ROOMS = {"__init__", "__main__", "__pycache__", "data"}


def section(title):
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert found, title
    return found[1]


def rooms():
    """The names in the first column of the table of rooms, in order, with what is said of them."""
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section("Rooms"), re.M))


def order(text):
    return [line.split() for line in text.strip().splitlines()]


def test_the_table_has_every_room_and_no_other():
    there = {
        path.stem
        for path in (ROOT / "magdr_core").iterdir()
        if path.stem not in NO_ROOMS and (path.is_dir() or path.suffix == ".py")
    }
    assert set(rooms()) == there
    assert all(10 < len(said) < 140 for said in rooms().values())


def test_the_order_of_imports_is_the_one_that_is_held():
    (block,) = re.findall(r"```text\n(.*?)```", section("What may import what"), re.S)
    assert order(block) == order(ORDER)


def test_the_table_follows_the_order_of_imports():
    listed = [name for line in order(ORDER) for name in line if name not in NO_ROOMS]
    place = {name: i for i, line in enumerate(order(ORDER)) for name in line}
    assert set(rooms()) == set(listed)
    assert [place[name] for name in rooms()] == sorted(place[name] for name in rooms())


def test_every_path_that_is_named_is_there():
    named = set(re.findall(r"`((?:magdr_core|plugins|tests|docs|benchmarks|\.ci)/[\w./]*)`", PAGE))
    assert len(named) > 12
    assert [path for path in named if not (ROOT / path).exists()] == []
    linked = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert [path for path in linked if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", ["tests.recorded.make", "tests.edits"])
def test_modules_that_are_named_are_there(name):
    assert name in PAGE
    assert (ROOT / name.replace(".", "/")).with_suffix(".py").is_file()


def test_the_commands_are_those_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in ("ruff check .", "mypy", "pytest"):
        assert command in ci
        assert f"\n{command}\n" in section("Set up and check")
