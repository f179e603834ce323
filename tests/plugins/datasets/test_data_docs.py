"""docs/data.md: its registry tables name parameters that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
TABLES = [part.partition("```")[0] for part in TEXT.split("```toml")[1:]]


@pytest.mark.parametrize("table", TABLES)
def test_data_docs_tables_fit_the_datasets(table, toolkit_from):
    toolkit = toolkit_from(table)
    labels = toolkit.registry.labels("dataset")
    assert labels
    for label in labels:
        assert toolkit.resolve("dataset", label).params["path"]
    for kind in ("forgery", "forensic", "generator"):
        for label in toolkit.registry.labels(kind):
            toolkit.resolve(kind, label)


def test_data_docs_tell_of_every_dataset(toolkit_from):
    host = toolkit_from().host
    host.load("builtin")
    for entry in host.entries("dataset"):
        assert f"`{entry.name}`" in TEXT
