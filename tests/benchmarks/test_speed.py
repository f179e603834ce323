"""What benchmarks/speed compares does the same work, and its figures are what they are called."""

import json
import subprocess
import sys
import time

import pytest
import torch

from tests.benchmarks.conftest import FOLDER

CPU = torch.device("cpu")


def test_contestants_run_in_turn_after_a_warm_up(speed):
    clock = speed("clock").Clock("wall", 2, CPU)
    ran = []
    times = clock.in_turn({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")})
    assert ran == ["a", "b"] * 3
    assert [len(seconds) for seconds in times.values()] == [2, 2]


def test_a_ratio_is_taken_round_by_round(speed):
    found = speed("clock").ratio([4.0, 9.0, 6.0], [2.0, 3.0, 1.0])
    assert found == {"ratio": 3.0, "low": 2.0, "high": 6.0}


def test_process_time_does_not_count_waiting(speed):
    clock = speed("clock")
    nap = lambda: time.sleep(0.05)  # noqa: E731
    assert clock.Clock("cpu", 1, CPU).seconds(nap) < 0.02
    assert clock.Clock("wall", 1, CPU).seconds(nap) > 0.04


def test_exclusive_time_leaves_out_what_is_inside(speed):
    inside = speed("inside").Exclusive(speed("clock").Clock("wall", 1, CPU))

    def outer():
        time.sleep(0.05)
        inside.call("inner", lambda: time.sleep(0.1))

    inside.call("outer", outer)
    assert inside.seconds["inner"] == pytest.approx(0.1, abs=0.04)
    assert inside.seconds["outer"] == pytest.approx(0.05, abs=0.04)


def test_the_public_loop_takes_gradients_of_weights_and_stays_in_its_ball(speed):
    reference = speed("reference_loop")
    torch.manual_seed(0)
    main = torch.nn.Sequential(
        torch.nn.Conv2d(4, 3, 3, padding=1), torch.nn.InstanceNorm2d(3, affine=True), torch.nn.Tanh()
    ).requires_grad_(False)
    net = reference.reference_network(main)
    x = torch.rand(2, 3, 8, 8) * 1.6 - 0.8
    start = x + 0.05 * (2 * torch.rand(x.shape) - 1)
    found, losses = reference.reference_loop(net, x, torch.ones(2, 1), start, steps=5)
    assert losses[-1] > losses[0]
    assert (found - x).abs().max() <= 0.05 + 1e-6
    assert all(p.grad is not None for p in net.parameters())
    assert net[1].track_running_stats
    assert net.training
    assert not any(p.requires_grad for p in main.parameters()), "a copy"


def test_loops_of_the_same_attack_see_the_same_losses(speed):
    clock = speed("clock").Clock("cpu", 1, CPU)
    rows = speed("loops").table("cpu", clock, ["ours"], size=16, batch=2, steps=2)
    drift = {row["contestant"]: row["loss_drift"] for row in rows if "loss_drift" in row}
    assert drift["public loop"] == 0
    assert drift["ours"] < 1e-3


def test_a_peer_that_is_missing_is_told(speed, monkeypatch):
    peers = speed("peers")
    here = peers.importlib.util.find_spec
    monkeypatch.setattr(
        peers.importlib.util, "find_spec", lambda name: None if name in ("kornia", "pywt") else here(name)
    )
    rows = peers.table(speed("clock").Clock("cpu", 1, CPU), images=2, size=32)
    notes = {(row["what"], row["contestant"]) for row in rows if row.get("note") == "not installed"}
    assert {("SSIM", "kornia"), ("wavelet, BayesShrink", "scikit-image loop")} <= notes
    same = {(row["what"], row["contestant"]): row["apart"] for row in rows if "apart" in row}
    for peer in (
        ("SSIM", "scikit-image loop"),
        ("JPEG 75", "PIL loop"),
        ("median 3x3", "PIL loop"),
        ("total variation, 20 steps", "scikit-image loop"),
    ):
        assert same[peer] < 2e-3, peer


def test_the_page_names_hardware_ratios_and_what_is_missing(speed):
    told = speed("told")
    rows = [
        {"what": "SSIM", "contestant": "a", "seconds": 0.5, "ratio": 2.0, "low": 1.5, "high": 2.5},
        {"what": "SSIM", "contestant": "b", "note": "not installed"},
    ]
    content = {
        "hardware": "Abacus 3",
        "cores": 2,
        "threads": 1,
        "clock": "wall",
        "rounds": 3,
        "loop": "x",
        "date": "2026-01-01",
        "versions": {"torch": "2"},
        "tables": {"filters": rows},
    }
    page = told.page(content)
    assert "Speed on Abacus 3" in page
    assert "2.00 (1.50 to 2.50)" in page
    assert "not installed" in page


def test_the_gpu_script_says_in_one_line_that_there_is_no_gpu(tmp_path):
    done = subprocess.run(
        ["sh", FOLDER / "gpu.sh", tmp_path / "out"],
        capture_output=True,
        text=True,
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": ""},
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no CUDA" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_command_writes_both_files(tmp_path):
    options = ["--parts", "filters", "--filters", "2x32", "--clock", "cpu", "--threads", "1", "--rounds", "1"]
    done = subprocess.run(
        [sys.executable, FOLDER / "run.py", *options, "--name", "here", "--out", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "here.json").read_text())
    assert content["tables"]["filters"]
    assert content["hardware"] in (tmp_path / "here.md").read_text()
