"""Batches that know the size of images and the memory there is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from magdr_core.components.batch import Condition, Samples
from magdr_core.functional import batch_size, batching

GIB = 2**30
OF_64 = {
    "draw": 64, "output": 64, "compare": 16, "learn": 16, "test": 16, "calibrate": 32, "defend": 32,
    "search": 8, "candidates": 64, "deliver": 16,
}  # fmt: skip


@pytest.fixture
def memory(monkeypatch):
    def of(size: int) -> None:
        monkeypatch.setattr(batching, "_host_memory", lambda: size)

    return of


def test_images_of_64_pixels_go_together_as_ever_whatever_the_memory(memory):
    assert set(OF_64) == set(batching.LOADS)
    for size in (2**20, 4 * GIB, 2**45):
        memory(size)
        assert {work: batch_size((3, 64, 64), work) for work in OF_64} == OF_64
        assert batch_size((3, 32, 32), "test") == 16, "and no more of smaller ones"


# An image takes 4 bytes x 4,096 planes = 16 KiB a pixel: 256 MiB at 128 px, 1 GiB at 256 px, 4 GiB at 512 px.
# An eighth of the memory is planned with. Sixteen images of 64 px are as many pixels as four of 128 px.
@pytest.mark.parametrize(
    ("size", "side", "images"),
    [
        (4 * GIB, 128, 4),  # two would fit, but four take what sixteen small ones do
        (64 * GIB, 128, 16),  # 8 GiB: thirty-two would fit
        (24 * GIB, 128, 12),  # 3 GiB
        (64 * GIB, 256, 8),
        (64 * GIB, 512, 2),
        (64 * GIB, 1024, 1),  # not even one fits as planned; one it is
        (1024 * GIB, 1024, 8),  # 128 GiB
    ],
)
def test_larger_images_go_together_as_the_memory_holds(memory, size, side, images):
    memory(size)
    assert batch_size((16, 3, side, side), "test") == images


def test_only_the_pixels_count_not_the_form(memory):
    memory(64 * GIB)
    assert batch_size((128, 512), "test") == batch_size((256, 256), "test") == 8
    assert batch_size((0, 512), "test") == 16


def test_a_card_s_own_memory_counts(memory, monkeypatch):
    memory(GIB)
    card = type("Card", (), {"total_memory": 1024 * GIB})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    assert batch_size((512, 512), "test", "cuda:0") == 16
    assert batch_size((512, 512), "test", torch.device("cpu")) == 1


def test_a_container_s_limit_is_the_memory(tmp_path, monkeypatch):
    limits = tmp_path / "memory.max", tmp_path / "missing"
    monkeypatch.setattr(batching, "LIMITS", limits)
    limits[0].write_text("max\n")
    machine = batching._host_memory.__wrapped__()
    assert machine > 2**20
    limits[0].write_text("1048576\n")
    assert batching._host_memory.__wrapped__() == 2**20


def test_samples_go_together_by_the_kind_of_work(memory):
    memory(4 * GIB)
    c = Condition(torch.zeros(9, 1), torch.ones(9, 1, dtype=torch.bool))
    samples = Samples(torch.zeros(9, 3, 128, 128), c, tuple("abcdefghi"))
    assert samples.together("test") == 4
    assert [len(b) for b in samples.batches("test")] == [4, 4, 1]
    assert [len(b) for b in samples.batches(5)] == [5, 4]


ROOT = Path(__file__).parents[2] / "magdr_core"


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_has_a_batch_size_of_its_own(file):
    if "distillation" in file.name:
        return  # rows of a training step, which decide what is learned
    fixed = [
        line
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith(("BATCH = ", "CHUNK = ", "SCORE_BATCH = ", "ATTACK_BATCH = "))
    ]
    assert not fixed
