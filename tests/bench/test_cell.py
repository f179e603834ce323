"""Cells are typed in memory and JSON in files, and nothing is lost between the two."""

import json

import numpy as np
import pytest

from magdr_core.results.cell import CellResult, Facts
from magdr_core.results.store import Store

FACTS = {
    **{
        "task": "editing",
        "generator": "toy",
        "dataset": "faces",
        "attack": "benign:jpeg",
        "slice_role": "benign",
    },
    **{
        "eps": 0.02,
        "steps": 3,
        "knowledge": "oblivious",
        "role": "detector",
        "component": "magdr",
        "seed": 0,
    },
    "noise": False,
}


def test_every_stored_cell_comes_back_as_it_was(shop):
    cells = [c for c in shop.first.cells if not c.failed]
    store = Store(shop.folder / "cache")
    assert len(cells) > 10
    for cell in cells:
        stored = store.json("cells", cell.key)
        assert CellResult.from_json(stored).as_json() == stored
        assert not CellResult.from_json(stored).more, "every field that a cell has is declared"


def test_cells_json_holds_the_brief_form_of_every_cell(shop):
    written = json.loads((shop.folder / "run" / "cells.json").read_text(encoding="utf-8"))
    told = [cell.brief() for cell in shop.first.cells]
    for brief in (*told, *written):
        del brief["seconds"]  # of the run that computed the cell last
        brief.pop("mse_o", None)  # which the role of defenses adds
    assert told == written
    assert not [brief for brief in written if "values" in brief]


def test_a_failed_cell_keeps_its_form():
    failed = {"key": "", "facts": FACTS, "error": "no", "seconds": 0.0, "ids": [], "values": {}}
    assert CellResult.from_json(failed).as_json() == failed
    assert CellResult.from_json(failed).failed


def test_what_a_role_keeps_besides_is_kept():
    cell = CellResult.from_json(
        {"key": "k", "facts": FACTS, "ids": ["a"], "identities": [1], "heat": {"a": 1}}
    )
    assert cell.more == {"heat": {"a": 1}}
    assert cell.as_json()["heat"] == {"a": 1}


def test_the_json_of_a_cell_is_a_copy():
    cell = CellResult.from_json(
        {"key": "k", "facts": FACTS, "ids": ["a"], "identities": [1], "values": {"score": [1.0]}}
    )
    told = cell.as_json()
    told["values"]["score"][0], told["ids"][0], told["facts"]["task"] = 9.0, "b", "other"
    assert (cell.values["score"][0], cell.ids[0], cell.facts.task) == (1.0, "a", "editing")


def test_facts_that_are_not_known_are_left_out():
    assert Facts.from_json(FACTS).as_json() == FACTS
    known = {**FACTS, "data": "v1", "baseline": False, "seen_by_oracle": True}
    assert Facts.from_json(known).as_json() == known
    assert Facts.from_json({**known, "colour": "red"}) == Facts.from_json(known)
    assert Facts.from_json(FACTS).besides == "jpeg"


def test_values_are_arrays_of_64_bits():
    cell = CellResult(Facts.from_json(FACTS), values={"score": [1, 2], "m/score": np.float32([0.5])})
    assert cell.array("score").dtype == cell.array("m/score").dtype == np.float64
    assert cell.array("other") is None
    assert cell.variants == ["", "m"]


def test_facts_that_are_missing_are_an_error():
    with pytest.raises(TypeError, match="component"):
        Facts.from_json({name: value for name, value in FACTS.items() if name != "component"})
