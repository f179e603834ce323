"""The shipped registries on the pretended device: every table is built, and all that is quick is called."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from magdr_core.testing.fake_cuda import fake_cuda
from magdr_core.testing.inputs import make_inputs
from magdr_core.toolkit import Toolkit
from tests.portraits import write_portraits

ROOT = Path(__file__).parents[2]
FILES = [
    ROOT / "registry.toml",
    Path("builtin:photos"),
    *sorted((ROOT / "benchmarks" / "registries").glob("*.toml")),
]

CALLED = ("augmentation", "restoration", "metric", "parser", "generator")
"""Attacks, detectors and defenses are called in `test_catalogue.py`: here they would take minutes."""


@pytest.fixture(scope="module")
def met():
    """The settings that were tried: the registries share most of theirs."""
    return set()


@pytest.fixture(scope="module", autouse=True)
def portraits(tmp_path_factory):
    """The photographs that `photos.toml` is about are everybody's own."""
    folder = tmp_path_factory.mktemp("portraits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAGDR_PORTRAITS", str(write_portraits(folder)))
        yield


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_table_of_a_registry_runs_on_the_device(path, met):
    with fake_cuda():
        kit = Toolkit.from_registry(path, device="cuda:0")
        inputs = make_inputs(1, 64, 64).to(kit.device)
        for kind in (*CALLED, "attack", "dataset"):
            for label in kit.registry.labels(kind):
                resolved = kit.resolve(kind, label)
                if (kind, resolved.key) in met or "data" in str(resolved.params.get("path", "")):
                    continue
                met.add((kind, resolved.key))
                built = kit.build(kind, label)
                if kind in CALLED:
                    assert called(kind, built, inputs, kit, label).is_cuda


def called(kind, built, inputs, kit, label):
    x = inputs.images
    if kind == "metric":
        return built.given(None, None)(x, inputs.others, inputs.masks)
    if kind == "generator":
        batch = kit.build("dataset", kit.registry.dataset_of(label)).split("test")[[0]]
        return built(batch.images, built.draw(batch, kit.rng("conditions", batch.ids)))
    if kind == "parser" or not built.stochastic:
        with torch.no_grad():
            return built(x)
    return built(x, rng=kit.rng(label, inputs.ids))
