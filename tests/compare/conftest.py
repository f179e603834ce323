"""Run folders written by hand: every value in them is known, nothing is computed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from magdr_core.components.fingerprints import digest
from tests.run_files import save_values

REGISTRY = """
[registry]
name = "mine"

[dataset.faces]
use = "procedural-faces"

[generator.editing]
use = "stargan"

[attack.pgd]
params = { eps = "6/255", steps = 30 }

[detector.magdr]

[defense.jpeg]
use = "fixed-chain"
params = { layers = [["jpeg"]] }

[magdr]
layers = [["median"], ["jpeg"]]

[calibration]
clean = 40
"""


@dataclass
class Folder:
    """Collects cells as the store has them, and writes a run folder."""

    path: Path
    n: int = 24
    text: str = REGISTRY
    cells: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=lambda: {"samples": 24, "defenses": ["jpeg"]})
    manifest: dict[str, Any] = field(default_factory=dict)

    def cell(
        self,
        role: str,
        component: str,
        values: Mapping[str, Sequence[float]] | None = None,
        attack: str = "pgd",
        *,
        ids: Sequence[str] | None = None,
        identities: Sequence[int] | None = None,
        slice_role: str = "",
        error: str = "",
        **facts: Any,
    ) -> Folder:
        clean = attack == "none"
        undefended = role == "attack" or component == "identity"
        told = {
            "task": "editing",
            "generator": "stargan",
            "dataset": "procedural-faces",
            "attack": attack,
            "slice_role": slice_role or ("clean" if clean else "attack"),
            "eps": 0.0 if clean else 6 / 255,
            "steps": 0 if clean else 30,
            "knowledge": "none" if undefended else "oblivious",
            "role": role,
            "component": component,
            "seed": 0,
            "noise": attack == "noise",
            "data": "faces-v1",
            "baseline": role == "defense" and not undefended,
            **facts,
        }
        if error:
            self.cells.append({"key": "", "facts": told, "error": error, "seconds": 0.0})
            return self
        n = len(next(iter((values or {}).values())))
        data: dict[str, Any] = {
            "facts": told,
            "ids": list(ids or [f"face-{i}" for i in range(n)]),
            "identities": list(identities or range(n)),
            "values": {name: list(map(float, v)) for name, v in (values or {}).items()},
            "forwards": 2.0,
            "seconds": 1.0,
        }
        if role == "detector":
            data |= {"thresholds": {"fpr": 1.5, "f1": 1.0}, "fpr": 0.01}
        self.cells.append({"key": digest([told, data]), **data})
        return self

    def write(self, values: bool = True) -> Path:
        self.path.mkdir(parents=True, exist_ok=True)
        manifest = {
            "schema": 1,
            "registry": "mine",
            "registry_text": self.text,
            "profile": "quick",
            "settings": self.settings,
            "device": "cpu",
            "versions": {"magdr": "0.1.0", "torch": "2.13.0"},
            "commit": "a" * 40,
            "started": "2026-11-21T00:49:22+00:00",
            **self.manifest,
        }
        keep = ("key", "facts", "error", "forwards", "thresholds", "seconds")
        brief = [{k: c[k] for k in keep if k in c} for c in self.cells]
        (self.path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        (self.path / "cells.json").write_text(json.dumps(brief), encoding="utf-8")
        if values:
            save_values(self.path, self.cells)
        return self.path


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Folder]:
    """`folder("a")`: an empty run folder to fill."""
    return lambda name="run", **more: Folder(tmp_path / name, **more)


def errors(mean: float, n: int = 24, spread: float = 5.0, seed: int = 0) -> list[float]:
    """Output errors of exactly that mean; those of one seed differ by a constant alone."""
    noise = np.random.default_rng(seed).normal(size=n)
    return (mean + spread * (noise - noise.mean())).tolist()


def filled(run: Folder, mse: float = 100.0, found: int = 22, disruption: float = 0.1, n: int = 24) -> Folder:
    """One attack, a detector that finds so many of the attacked images, and a defense with references."""
    run.cell("attack", "pgd", {"mse_o": errors(disruption, n, 0.01), "success": [1.0] * n})
    run.cell("detector", "magdr", {"score": [0.0] * n}, "none")
    run.cell("detector", "magdr", {"score": [2.0] * found + [0.0] * (n - found)})
    for attack, mean in (("none", 4.0), ("pgd", mse)):
        run.cell("defense", "identity", {"mse_o": errors(12 * mean, n)}, attack)
        run.cell("defense", "jpeg", {"mse_o": errors(mean, n)}, attack)
    return run


def crowd(run: Folder, shift: float) -> Folder:
    """More defenses, half of which differ, on two attacks."""
    filled(run, mse=100 + shift, found=22 if not shift else 6)
    for k in range(6):
        for attack in ("none", "pgd", "cw"):
            mean = 50.0 + (shift * (k - 2) if k % 2 else 0)
            run.cell("defense", f"defense-{k}", {"mse_o": errors(mean, seed=k)}, attack)
    return run


@pytest.fixture
def two(folder: Callable[..., Folder]) -> Callable[..., tuple[Path, Path]]:
    """`two(mse=130)`: the folders of a run and of one with such changes."""

    def make(a: Mapping[str, Any] | None = None, **b: Any) -> tuple[Path, Path]:
        return filled(folder("a"), **(a or {})).write(), filled(folder("b"), **b).write()

    return make
