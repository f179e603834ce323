"""Shared by the tests of datasets: building one by its registry table, and what every dataset promises."""

from __future__ import annotations

import json
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.errors import MagdrError
from magdr_core.testing import conformance_checks

SPLITS = ("train", "calibration", "test")


@pytest.fixture
def dataset(toolkit_from: Callable[..., Any]) -> Callable[..., Any]:
    """`dataset(use, **params)`: built as a registry would."""

    def build(use: str, **params: Any) -> Any:
        values = "".join(
            f"{k} = {json.dumps(str(v) if isinstance(v, Path) else v)}\n" for k, v in params.items()
        )
        return toolkit_from(f"[dataset.x]\nuse = {use!r}\n[dataset.x.params]\n{values}").build("dataset", "x")

    return build


def refusal(action: Callable[[], Any]) -> str:
    """The one line with which something is refused."""
    with pytest.raises(MagdrError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.fixture(name="refusal")
def refusal_fixture() -> Callable[[Callable[[], Any]], str]:
    return refusal


@pytest.fixture
def holds(dataset: Callable[..., Any]) -> Callable[..., Any]:
    """`holds(use, **params)`: build it, check what every dataset promises (by the conformance suite) and what
    the built-in ones do beyond that, and give it back."""

    def check(use: str, **params: Any) -> Any:
        told = {k: str(v) if isinstance(v, Path) else v for k, v in params.items()}
        for judge in conformance_checks(use, params={("dataset", use): told}):
            try:
                judge()
            except unittest.SkipTest as e:
                pytest.fail(f"{judge}: {e}")
        one, other = dataset(use, **params), dataset(use, **params)
        assert one.fingerprint() == other.fingerprint()
        ids: list[str] = []
        for name in SPLITS:
            split, again = one.split(name), other.split(name)
            count = len(split)
            assert len(again) == count
            if count == 0:
                continue
            whole = split[list(range(count))]
            size = one.size
            assert whole.images.shape == (count, 3, size, size)
            assert whole.images.dtype == torch.float32
            # Another instance, other company, another order: the same picture and id.
            for i in (count - 1, 0, count // 2):
                alone = again[[i]]
                assert alone.ids == whole.ids[i : i + 1]
                assert torch.equal(alone.images[0], whole.images[i])
                for key, values in whole.attributes.items():
                    assert alone.attributes[key][0] == values[i]
            ids += whole.ids
            assert len(split[[]]) == 0
            assert "there is no index" in refusal(lambda s=split, n=count: s[[n]])
            assert "there is no index" in refusal(lambda s=split: s[[-1]])
        assert len(set(ids)) == len(ids)
        assert "did you mean 'calibration'?" in refusal(lambda: one.split("calibrate"))
        return one

    return check


@pytest.fixture
def paint() -> Callable[..., np.ndarray]:
    """`paint(path, height, width, seed)`: write a random picture, lossless whatever the file is called."""

    def write(path: Path, height: int = 40, width: int = 32, seed: int = 0) -> np.ndarray:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, format="PNG")
        return pixels

    return write
