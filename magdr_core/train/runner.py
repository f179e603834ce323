"""Running a recipe: checkpoints, resuming, logs, the weight file and its card."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from magdr_core.components.protocols import Dataset, PairedSplit
from magdr_core.errors import MagdrError, suggestion
from magdr_core.files.disk import write_atomically
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit
from magdr_core.train.adversarial import AdversarialEditingTrainer
from magdr_core.train.context import TESTED_FROM, Log, TrainContext, Trainer, save_tensors
from magdr_core.train.editing import EditingTrainer
from magdr_core.train.enlarging import EnlargingTrainer
from magdr_core.train.parsing import ParsingTrainer
from magdr_core.train.purifying import PurifyingTrainer
from magdr_core.train.recipes import RECIPES, Recipe
from magdr_core.train.reenactment import ReenactmentTrainer
from magdr_core.train.replacement import ReplacementTrainer


def find_recipe(name: str) -> Recipe:
    """Raises MagdrError for an unknown name."""
    if name not in RECIPES:
        raise MagdrError(f"nothing to train named {name!r}{suggestion(name, RECIPES)}")
    return RECIPES[name]


def train(
    name: str,
    *,
    out: Path,
    device: str = "auto",
    steps: int | None = None,
    log: Log = print,
    progress: Callable[[int, int, Mapping[str, float]], None] = lambda done, total, losses: None,
    checkpoint_every: int = 250,
) -> Path:
    """Train a shipped network again, from the first image to the card.

    Args:
        name: a recipe.
        out: folder of the checkpoint, the weight file `NAME.safetensors` and its card `NAME.toml`. A
            checkpoint found there is continued.
        steps: fewer steps than the recipe's, for a trial.

    Returns:
        The weight file.
    """
    recipe = find_recipe(name)
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    context = _context(recipe, device, out / f"{name}.images.pt", log)
    started = time.monotonic()
    log(f"{name}: drawing {recipe.pool} training images")
    trainer = _trainer(context)
    checkpoint = out / f"{name}.checkpoint.pt"
    first, spent = _resume(checkpoint, trainer, recipe, log)
    for i in range(first, recipe.steps):
        for optimiser in trainer.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * _decay(i / recipe.steps)
        losses = trainer.step(i)
        progress(i + 1, recipe.steps, losses)
        if (i + 1) % checkpoint_every == 0 or i + 1 == recipe.steps:
            _save_checkpoint(checkpoint, trainer, recipe, i + 1, spent + time.monotonic() - started)
            log(f"{name}: step {i + 1}/{recipe.steps} " + " ".join(f"{k} {v:.4f}" for k, v in losses.items()))
    minutes = (spent + time.monotonic() - started) / 60
    context.cache.unlink(missing_ok=True)
    context.net.requires_grad_(False).eval()
    path = out / f"{name}.safetensors"
    _save_weights(context.net, path)
    _reload_half(context.net)
    log(f"{name}: measuring quality on test faces")
    quality = trainer.evaluate()
    _write_card(name, recipe, path, quality, minutes, context)
    log(f"{name}: " + " ".join(f"{k} {v:.4f}" for k, v in quality.items()))
    return path


def _decay(t: float) -> float:
    """Factor of the learning rate at a share `t` of the steps: a short warm-up, then a cosine to 1%."""
    return min(1.0, (t + 1e-3) / 0.02) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * t)))


def _context(recipe: Recipe, device: str, cache: Path, log: Log) -> TrainContext:
    lines = [
        "[registry]",
        f'name = "train"\nseed = {recipe.seed}\ndevice = "{device}"',
        f'[dataset.faces]\nuse = "procedural-faces"\nparams = {_inline(recipe.dataset)}',
        f'[{recipe.kind}.net]\nuse = "{recipe.use}"',
        f"params = {_inline({'weights': recipe.start or 'random', **recipe.params})}",
        f'[dataset.test]\nuse = "procedural-faces"\nparams = {_inline(_shown(recipe.dataset))}',
        # The generator whose attacked inputs parsers and purifiers must cope with, and a network that
        # stands in for it; built only by trainers that want them.
        '[generator.victim]\nuse = "stargan"',
        '[parser.surrogate]\nuse = "unet"',
    ]
    toolkit = Toolkit(parse_registry("\n".join(lines), Path("train.toml")))
    built = toolkit.build(recipe.kind, "net")
    net: nn.Module = built.component.requires_grad_(True).train()
    dataset: Dataset = toolkit.build("dataset", "faces")
    split = dataset.split("train")
    assert isinstance(split, PairedSplit)
    return TrainContext(recipe, toolkit, net, dataset, split, cache, log)


def _shown(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """What of a recipe's dataset decides what is to be seen; the rest is a means of training."""
    return {name: value for name, value in dataset.items() if name in ("size", "identity")}


def _inline(values: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in values.items()) + " }"


def _trainer(context: TrainContext) -> Trainer:
    kinds: dict[str, Callable[[TrainContext], Trainer]] = {
        "adversarial-editing": AdversarialEditingTrainer,
        "editing": EditingTrainer,
        "enlarging": EnlargingTrainer,
        "parsing": ParsingTrainer,
        "purifying": PurifyingTrainer,
        "replacement": ReplacementTrainer,
        "reenactment": ReenactmentTrainer,
    }
    return kinds[context.recipe.trainer](context)


def _resume(path: Path, trainer: Trainer, recipe: Recipe, log: Log) -> tuple[int, float]:
    if not path.is_file():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["recipe"] != repr(recipe):
        log(f"the checkpoint {path.name} is of another recipe; starting anew")
        return 0, 0.0
    for name, module in trainer.modules.items():
        module.load_state_dict(state["modules"][name])
    for name, optimiser in trainer.optimisers.items():
        optimiser.load_state_dict(state["optimisers"][name])
    log(f"continuing at step {state['step']}")
    return int(state["step"]), float(state["seconds"])


def _save_checkpoint(path: Path, trainer: Trainer, recipe: Recipe, step: int, seconds: float) -> None:
    save_tensors(
        path,
        {
            "recipe": repr(recipe),
            "step": step,
            "seconds": seconds,
            "modules": {k: m.state_dict() for k, m in trainer.modules.items()},
            "optimisers": {k: o.state_dict() for k, o in trainer.optimisers.items()},
        },
    )


def _half(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v.half() if v.is_floating_point() else v for k, v in state.items()}


def _save_weights(net: nn.Module, path: Path) -> None:
    state = {k: v.cpu().contiguous() for k, v in _half(net.state_dict()).items()}
    content = save(state)
    write_atomically(path, lambda p: p.write_bytes(content))


def _reload_half(net: nn.Module) -> None:
    """Quality is measured on the weights as they are stored."""
    net.load_state_dict({k: v.float() for k, v in _half(net.state_dict()).items()})


def _write_card(
    name: str, recipe: Recipe, path: Path, quality: Mapping[str, float], minutes: float, context: TrainContext
) -> None:
    hardware = (
        torch.cuda.get_device_name() if context.device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    )
    parameters = sum(p.numel() for p in context.net.parameters())
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    lines = [
        f"# {name}: weights of the built-in {recipe.kind} {recipe.use!r}.",
        f'command = "magdr train {name}"',
        f'architecture = "{recipe.use}"',
        f"params = {_inline(recipe.params)}",
        f"parameters = {parameters}",
        'stored_as = "float16"',
        f'sha256 = "{sha}"',
        "",
        "[training]",
        f'data = "procedural-faces, split train, {recipe.pool} images, {context.dataset.fingerprint()}"',
        *([f'start = "{recipe.start}"'] if recipe.start else []),
        f"seed = {recipe.seed}",
        f"steps = {recipe.steps}",
        f"batch = {recipe.batch}",
        f"lr = {recipe.lr}",
        f"settings = {_inline(recipe.settings)}",
        f'hardware = "{hardware} ({platform.machine()})"',
        f'torch = "{version("torch")}"',
        f"minutes = {minutes:.1f}",
        "",
        "[quality]",
        f"# Measured on the stored weights, on {recipe.tested} test faces from index {TESTED_FROM} on.",
        *(f"{k} = {v:.5f}" for k, v in quality.items()),
        "",
    ]
    card = "\n".join(lines)
    write_atomically(path.with_suffix(".toml"), lambda p: p.write_text(card, encoding="utf-8"))
