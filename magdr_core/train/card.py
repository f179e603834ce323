"""The card of a weight file: how it was trained, on what, and how good it is."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from magdr_core.files.disk import write_atomically
from magdr_core.train.context import TrainContext
from magdr_core.train.mixing import MixedFaces
from magdr_core.train.recipes import Recipe


def inline(values: Mapping[str, Any]) -> str:
    """A mapping as an inline table of TOML."""
    named = {k if re.fullmatch(r"[A-Za-z0-9_-]+", k) else json.dumps(k): v for k, v in values.items()}
    shown = (f"{k} = {inline(v) if isinstance(v, Mapping) else json.dumps(v)}" for k, v in named.items())
    return "{ " + ", ".join(shown) + " }"


def _data_lines(recipe: Recipe, context: TrainContext) -> list[str]:
    """What a card says about the training images: of photographs also how many there are of each source, and
    what the folder's own `TERMS.txt` says."""
    dataset = context.dataset
    name = context.data or "procedural-faces"
    if isinstance(dataset, MixedFaces):
        name = f"portraits and {dataset.share:.0%} procedural-faces"
    lines = [f'data = "{name}, split train, {recipe.pool} images, {dataset.fingerprint()}"']
    if isinstance(dataset, MixedFaces):
        photos: Any = dataset.photos
        lines += [
            f"portraits = {inline(photos.sources())}",
            f"terms = {json.dumps(photos.terms() or 'not stated: the folder has no TERMS.txt')}",
        ]
    return lines


def _tested_lines(recipe: Recipe, context: TrainContext) -> list[str]:
    drawn = f"on {recipe.tested} test faces from index {context.tested_from} on."
    if context.data:
        return [
            "# Measured on the stored weights, on pictures of the test split, which training has not seen."
        ]
    if recipe.photos is None:
        return [f"# Measured on the stored weights, {drawn}"]
    return [
        "# Measured on the stored weights, on the portraits of the test split, whom training has not seen;",
        f"# `drawn_*` {drawn}",
    ]


def write_card(
    name: str, recipe: Recipe, path: Path, quality: Mapping[str, float], minutes: float, context: TrainContext
) -> None:
    hardware = (
        torch.cuda.get_device_name() if context.device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    )
    parameters = sum(p.numel() for p in context.net.parameters())
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    command = context.command or f"magdr train {name}{'' if recipe.photos is None else ' --data FOLDER'}"
    lines = [
        f"# {name}: weights of the {'' if '/' in recipe.use else 'built-in '}{recipe.kind} {recipe.use!r}.",
        f"command = {json.dumps(command)}",
        f'architecture = "{recipe.use}"',
        f"params = {inline(recipe.params)}",
        f"parameters = {parameters}",
        'stored_as = "float16"',
        f'sha256 = "{sha}"',
        "",
        "[training]",
        *_data_lines(recipe, context),
        *([f'start = "{recipe.start}"'] if recipe.start else []),
        *([f"victim = {inline(recipe.victim)}"] if recipe.victim else []),
        f"seed = {recipe.seed}",
        f"steps = {recipe.steps}",
        f"batch = {recipe.batch}",
        f"lr = {recipe.lr}",
        f"settings = {inline(recipe.settings)}",
        f'hardware = "{hardware} ({platform.machine()})"',
        f'torch = "{version("torch")}"',
        f"minutes = {minutes:.1f}",
        "",
        "[quality]",
        *_tested_lines(recipe, context),
        *(f"{k} = {v:.5f}" for k, v in quality.items()),
        "",
    ]
    card = "\n".join(lines)
    write_atomically(path.with_suffix(".toml"), lambda p: p.write_text(card, encoding="utf-8"))
