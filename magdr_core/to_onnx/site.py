"""A folder with converted networks and a page that runs them in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from magdr_core.files.disk import write_atomically
from magdr_core.functional import PARTS
from magdr_core.to_onnx.convert import Converted

PAGE = ("index.html", "page.css", "page.js", "picture.js", "verdict.js")
"""What is copied; the page takes onnxruntime-web from where its user says."""

MODELS = "models.json"


def write_site(
    converted: Sequence[Converted], size: int, folder: Path, *, verdict: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write the page and what it needs to know beside the networks; the paths.

    Args:
        converted: the first of each kind is what the page runs.
        size: of the pictures that they take.
        verdict: JSON-able, what the page is told of a detector: its `file` and the words of its verdicts.

    Raises:
        WriteError: a file cannot be written.
    """
    told = {
        "size": size,
        "parts": list(PARTS),
        "models": [asdict(one) for one in first_of_each(converted)],
        "verdict": verdict,
    }
    texts = {name: (files("magdr_core.to_onnx") / name).read_text(encoding="utf-8") for name in PAGE}
    texts[MODELS] = json.dumps(told, indent=None) + "\n"
    for name, text in texts.items():
        _write(folder / name, text)
    return [folder / name for name in texts]


def first_of_each(converted: Iterable[Converted]) -> list[Converted]:
    """The first network of each kind."""
    found: dict[str, Converted] = {}
    for one in converted:
        found.setdefault(one.kind, one)
    return list(found.values())


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8", newline="\n"))
