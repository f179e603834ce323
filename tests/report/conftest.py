"""A run folder written by hand: every figure in it is known, nothing is computed."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from magdr_core.report import write_report
from magdr_core.results.columns import to_csv
from magdr_core.results.pictures import BESIDE, worst_side
from tests.run_files import save_pictures

REGISTRY = "[detector.magdr]\n[defense.magdr]\n# see https://example.org\n"


@dataclass
class FakeRun:
    """Collects rows and cells as a benchmark writes them."""

    folder: Path
    task: str = "editing"
    seed: int = 0
    n: int = 200
    rows: list[dict[str, Any]] = field(default_factory=list)
    cells: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    pictures: dict[tuple[str, str, str, str], torch.Tensor] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)

    def facts(self, role: str, component: str, attack: str, eps: float, steps: int) -> dict[str, Any]:
        undefended = role == "attack" or component == "identity"
        return {
            "task": self.task,
            "generator": "stargan",
            "dataset": "procedural-faces",
            "attack": attack,
            "eps": eps,
            "steps": steps,
            "knowledge": "none" if undefended else "oblivious",
            "role": role,
            "component": component,
            "seed": self.seed,
        }

    def cell(
        self,
        role: str,
        component: str,
        attack: str = "none",
        metrics: dict[str, float | tuple[float, float, float]] | None = None,
        *,
        eps: float = 6 / 255,
        steps: int = 30,
        **more: Any,
    ) -> FakeRun:
        """Add a cell and its rows; a metric may be `name@variant`, a value may come with its interval."""
        if attack == "none":
            eps, steps = 0.0, 0
        facts = self.facts(role, component, attack, eps, steps)
        for name, figures in (metrics or {}).items():
            metric, _, variant = name.partition("@")
            value, low, high = figures if isinstance(figures, tuple) else (figures, math.nan, math.nan)
            figure = {"metric": metric, "variant": variant, "value": value, "ci_low": low, "ci_high": high}
            self.rows.append({"registry": "mine", **facts, **figure, "n": self.n, "seconds": 2.0})
        kind = "clean" if attack == "none" else "attack"
        facts |= {"slice_role": kind, "noise": attack == "noise", "seen_by_oracle": False}
        self.cells.append({"key": "0", "facts": facts, "forwards": 4.0, "seconds": 2.0} | more)
        return self

    def fail(self, role: str, component: str, attack: str, error: str) -> FakeRun:
        return self.cell(role, component, attack, error=error, seconds=0.0)

    def draw(self, names: Sequence[tuple[str, str]], samples: int = 2, size: int = 8) -> FakeRun:
        """Pictures of (attack, component) pairs, plain and all different."""
        for index, (attack, component) in enumerate(names):
            for side, name in enumerate(("input", "output")):
                level = ((37 * index + 101 * side) % 256) / 255
                key = (self.task, attack, component, name)
                self.pictures[key] = torch.full((samples, 3, size, size), level)
        return self

    def write(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        manifest = {
            "schema": 1,
            "registry": "mine",
            "registry_file": "mine.toml",
            "registry_text": REGISTRY,
            "profile": "quick",
            "settings": {"note": "", "pictures": 6, **self.settings},
            "device": "cpu",
            "threads": 1,
            "versions": {"magdr": "0.1.0", "torch": "2.13.0"},
            "commit": "abc1234",
            "started": "2026-11-21T00:49:22+00:00",
            **self.manifest,
        }
        (self.folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        (self.folder / "results.csv").write_text(to_csv(self.rows), encoding="utf-8")
        (self.folder / "cells.json").write_text(json.dumps(self.cells), encoding="utf-8")
        save_pictures(self.folder, self.pictures)
        return self.folder


def output_error(mean: float, **more: Any) -> dict[str, Any]:
    """A defense's metrics around a mean output error."""
    rest = {"median_mse_o": mean - 1, "ssim_o": 0.8, "psnr_o": 20.0, "mse_i": 10.0, "forwards": 5.0}
    return {"mse_o": (mean, mean - 10, mean + 10), **rest, **more}


def full(run: FakeRun) -> FakeRun:
    """One attack, noise, two detectors, three defenses with references."""
    run.settings |= {
        "attacks": ["pgd", "noise"],
        "detectors": ["magdr", "plain"],
        "defenses": ["magdr", "jpeg"],
        "benign": ["resize"],
    }
    for attack in ("pgd", "noise"):
        run.cell(
            "attack", attack, attack, {"mse_o": (0.12346, 0.1, 0.2), "median_mse_o": 0.1, "success": 0.75}
        )
    for name, alarm in (("magdr", 0.012), ("plain", 0.052)):
        run.cell(
            "detector",
            name,
            "none",
            {"fpr_clean@fpr1": alarm, "fpr_clean@best-f1": 0.1, "fpr_benign@resize": 0.2, "forwards": 4.0},
        )
    for attack in ("pgd", "noise"):
        for name, f1 in (("magdr", 0.96666), ("plain", 0.81234)):
            metrics = {
                "f1@best-f1": (f1, 0.7, 0.98),
                "recall@fpr1": f1 - 0.1,
                "auroc": f1,
                "tpr_at_1fpr": 0.5,
            }
            noise = {"auroc_noise": 0.9} if attack == "pgd" else {}
            run.cell("detector", name, attack, {**metrics, **noise, "forwards": 4.0})
    damage = {"identity": 0.0, "magdr": 3.21, "jpeg": 55.5, "oracle": 0.0}
    under = {"identity": 643.51, "magdr": 54.04, "jpeg": 80.1, "oracle": 9.9}
    for name, error in damage.items():
        run.cell("defense", name, "none", output_error(error))
    for attack in ("pgd", "noise"):
        for name, error in under.items():
            similarity = {"ssim_o": 1 - error / 1000, "psnr_o": 40 - error / 50}
            run.cell("defense", name, attack, output_error(error, **similarity))
    return run


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., FakeRun]:
    """`fake()`: an empty run to fill."""
    return lambda **values: FakeRun(tmp_path / "run", **values)


@pytest.fixture
def whole(fake: Callable[..., FakeRun]) -> FakeRun:
    """A run in which nothing failed."""
    return full(fake())


TASKS = ("editing", "reenactment", "replacement")
BASELINES = (
    "jpeg",
    "blur",
    "me-net",
    "pixel-deflection",
    "random-resize-pad",
    "purifier",
    "super-resolution",
)
DETECTORS = ("magdr", "distortion", "consistency", "metzen", "otd", "nnif")
SWEPT = (10, 20, 50, 100, 200, 500)
WHOLE_REGISTRY = """
[attack.pgd]
[attack.cw]
[detector.magdr]
[detector.distortion]
use = "magdr"
[detector.consistency]
use = "magdr"
[defense.magdr]
"""


def everything(folder: Path, tasks: Sequence[str] = TASKS, *, n: int = 256, seed: int = 7) -> FakeRun:
    """A run with all that a report can show, a sweep and the errors of single images included."""
    rng = random.Random(seed)

    def around(value: float, spread: float = 0.1) -> tuple[float, float, float]:
        return value, value * (1 - spread), value * (1 + spread)

    run = FakeRun(folder, n=n)
    run.manifest["registry_text"] = WHOLE_REGISTRY
    run.settings |= {
        "generators": list(tasks),
        "attacks": ["pgd", "cw", "noise"],
        "detectors": list(DETECTORS),
        "defenses": ["magdr", *BASELINES],
        "benign": ["resize"],
    }
    for run.task in tasks:
        for attack, strength in (("none", 0.0), ("pgd", 1.0), ("cw", 0.6), ("noise", 0.01)):
            if strength:
                disruption = {"mse_o": around(0.1 * strength), "median_mse_o": 0.08 * strength}
                run.cell("attack", attack, attack, {**disruption, "success": around(0.8 * strength)})
            for name in DETECTORS:
                skill = 0.5 + 0.49 * rng.random() if name != "magdr" else 0.98
                if not strength:
                    alarms = {"fpr_clean@fpr1": around(1 - skill), "fpr_clean@best-f1": 0.05}
                    run.cell("detector", name, attack, {**alarms, "fpr_benign@resize": 0.04, "forwards": 6.0})
                    continue
                shares = {m: around(skill, 0.02) for m in ("precision", "recall", "f1", "f1_weighted")}
                metrics = {f"{m}@best-f1": share for m, share in shares.items()}
                metrics |= {"recall@fpr1": around(skill), "auroc": around(skill, 0.01)}
                metrics |= {"tpr_at_1fpr": skill, "tpr_at_5fpr": skill, "forwards": 6.0}
                run.cell("detector", name, attack, metrics)
            for name in ("identity", "magdr", *BASELINES, "oracle"):
                left = {"identity": 1.0, "magdr": 0.02, "oracle": 0.015}.get(name, 0.03 + rng.random() / 2)
                cost = {"identity": 0.0, "magdr": 0.1, "oracle": 0.0}.get(name, 60 * rng.random())
                error = 1600 * strength * left + cost
                metrics = {"mse_o": around(error), "median_mse_o": 0.7 * error, "mse_i": around(30.0)}
                metrics |= {"ssim_o": around(1 / (1 + error / 500), 0.01), "ssim_i": 0.9, "psnr_i": 33.0}
                metrics |= {
                    "psnr_o": 40 - error / 60,
                    "psnr_pooled_o": 38 - error / 60,
                    "psnr_pooled_i": 32.0,
                }
                metrics |= {"featsim_o": 0.9, "featsim_i": 0.95, "fsim_o": 0.8, "fsim_i": 0.97}
                metrics |= {"mse_o@ensemble": 0.9 * error, "forwards": 60.0 if name == "magdr" else 1.0}
                if name != "identity" and strength:
                    metrics["mse_o_difference@to purifier"] = (error - 100, error - 120, error - 80)
                    metrics["significant@to purifier"] = float(name == "magdr")
                errors = {f"face-{i}": round(error * (0.2 + 1.6 * rng.random()), 3) for i in range(n)}
                run.cell("defense", name, attack, metrics, mse_o=errors)
        for name in DETECTORS:
            fall = 0.0004 if name == "magdr" else 0.0004 + 0.001 * rng.random()
            for steps in SWEPT:
                f1 = 0.97 - fall * steps
                facts = run.facts("detector", name, "pgd-all", 6 / 255, steps) | {"knowledge": "adaptive"}
                figure = {"metric": "f1", "variant": f"steps={steps}", "value": f1}
                interval = {"ci_low": f1 - 0.02, "ci_high": min(1.0, f1 + 0.02)}
                run.rows.append({"registry": "mine", **facts, **figure, **interval, "n": n, "seconds": 2.0})
    return run


def paint(run: FakeRun, samples: int = 4, size: int = 64) -> FakeRun:
    """Pictures that no compression makes small: smooth faces with noise on them."""
    generator = torch.Generator().manual_seed(0)
    shade = torch.linspace(0.2, 0.8, size)[None, None, None, :].expand(samples, 3, size, size)
    names = {
        (c["facts"]["task"], c["facts"]["attack"], c["facts"]["component"]): 1.0
        for c in run.cells
        if c["facts"]["role"] == "defense"
    }
    names |= {(task, "none", "clean"): 1.0 for task, _, _ in names}
    for name in names:
        for side in ("input", "output"):
            noise = 0.1 * torch.randn(shade.shape, generator=generator)
            run.pictures[(*name, side)] = (shade + noise).clamp(0, 1)
    for cell in run.cells:
        if "mse_o" in cell and cell["facts"]["component"] == "magdr":
            cell["worst"] = sorted(cell["mse_o"], key=cell["mse_o"].get, reverse=True)[:5]
            name = tuple(cell["facts"][k] for k in ("task", "attack", "component"))
            for side in BESIDE:
                noise = 0.1 * torch.randn(5, 3, size, size, generator=generator)
                run.pictures[(*name, worst_side(side, run.seed))] = (shade[:1] + noise).clamp(0, 1)
    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """The same as `complete` with its report written, for tests that change nothing."""
    run = paint(everything(tmp_path_factory.mktemp("finished") / "run", n=20), samples=2, size=16)
    write_report(run.write())
    return run


@pytest.fixture
def complete(tmp_path: Path) -> FakeRun:
    """A run with everything that a report can show, with small pictures."""
    return paint(everything(tmp_path / "run", n=20), samples=2, size=16)
