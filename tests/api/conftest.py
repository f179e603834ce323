"""The library on the small registry: untrained networks, calibrated to flag everything or nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from magdr_core.inference import Pipeline
from magdr_core.toolkit import Toolkit
from tests.cli.conftest import astronaut, couple, magdr, own, restoring, workshop

__all__ = ["astronaut", "couple", "magdr", "own", "restoring", "workshop"]

SIZE = 32
EDITS = {"Blond_Hair": 1}


@pytest.fixture(scope="session")
def calibrated(workshop) -> Callable[..., Pipeline]:
    """`calibrated("always")` or `calibrated("never")`: a pipeline that flags what it says."""

    @cache
    def make(flags: str = "never", **options) -> Pipeline:
        toolkit = Toolkit.from_registry(workshop / "small.toml", device="cpu")
        toolkit = toolkit.with_calibration(workshop / f"{flags}.json")
        return toolkit.magdr("editing", cache=workshop / "cache", **options)

    return make


@pytest.fixture(scope="session")
def faces(workshop) -> torch.Tensor:
    toolkit = Toolkit.from_registry(workshop / "small.toml", device="cpu")
    return toolkit.build("dataset", "faces").split("test")[[0, 1, 2]].images


@pytest.fixture
def picture(faces, tmp_path) -> Path:
    """The first face as a file of its own size."""
    from magdr_core.media import write_picture

    write_picture(tmp_path / "a.png", faces[0])
    return tmp_path / "a.png"
