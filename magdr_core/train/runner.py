"""Running a recipe: checkpoints, resuming, logs, the weight file and its card."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
import platform
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch
from safetensors.torch import save
from torch import Tensor, nn

from magdr_core.components.protocols import Dataset, PairedSplit
from magdr_core.errors import MagdrError, one_line, suggestion
from magdr_core.files.disk import write_atomically
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit
from magdr_core.train.context import TESTED_FROM, Log, TrainContext, Trainer, save_tensors
from magdr_core.train.forensic_recipes import variant
from magdr_core.train.recipes import RECIPES, Recipe


def find_recipe(name: str, recipes: Mapping[str, Recipe] = RECIPES) -> Recipe:
    """The recipe of a name; of `NAME-without-GROUP-seedN` too, see
    :func:`magdr_core.train.forensic_recipes.variant`.

    Raises:
        MagdrError: an unknown name.
    """
    if name not in recipes and (found := variant(name, recipes)) is not None:
        return found
    if name not in recipes:
        raise MagdrError(f"nothing to train named {name!r}{suggestion(name, recipes)}")
    return recipes[name]


def train(
    name: str | Recipe,
    *,
    out: Path,
    device: str = "auto",
    steps: int | None = None,
    log: Log = print,
    progress: Callable[[int, int, Mapping[str, float]], None] = lambda done, total, losses: None,
    checkpoint_every: int = 250,
    local: Mapping[str, str] | None = None,
    base: Path | None = None,
) -> Path:
    """Train a network from the first image to the card; a shipped one again, or a plugin's.

    Args:
        name: a shipped recipe's name, or a recipe.
        out: folder of the checkpoint, the weight file `NAME.safetensors` and its card `NAME.toml`. A
            checkpoint found there is continued.
        steps: fewer steps than the recipe's, for a trial.
        local: local plugins that the recipe's component or trainer comes from, as a registry has them.
        base: the folder that they are relative to.

    Returns:
        The weight file.

    Raises:
        MagdrError: no such recipe, component or trainer.
    """
    recipe = find_recipe(name) if isinstance(name, str) else name
    name = name if isinstance(name, str) else recipe.name
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    context = _context(recipe, device, out / f"{name}.images.pt", log, local or {}, base or Path.cwd())
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


def _toolkit(recipe: Recipe, device: str, local: Mapping[str, str], base: Path) -> Toolkit:
    plugin = recipe.use.rpartition("/")[0]
    lines = [
        "[registry]",
        f'name = "train"\nseed = {recipe.seed}\ndevice = "{device}"',
        f"[plugins]\nlocal = {_inline(local)}\nuse = {json.dumps([plugin] if plugin else [])}",
        f'[dataset.faces]\nuse = "procedural-faces"\nparams = {_inline(recipe.dataset)}',
        f'[{recipe.kind}.net]\nuse = "{recipe.use}"',
        f"params = {_inline({'weights': recipe.start or 'random', **recipe.params})}",
        f'[dataset.test]\nuse = "procedural-faces"\nparams = {_inline(_shown(recipe.dataset))}',
        # The generator whose attacked inputs parsers and purifiers must cope with, and a network that
        # stands in for it; built only by trainers that want them.
        '[generator.victim]\nuse = "stargan"',
        '[parser.surrogate]\nuse = "unet"',
    ]
    return Toolkit(parse_registry("\n".join(lines), base / "train.toml"))


def _context(
    recipe: Recipe,
    device: str,
    cache: Path,
    log: Log,
    local: Mapping[str, str] = MappingProxyType({}),
    base: Path = Path(),
) -> TrainContext:
    toolkit = _toolkit(recipe, device, local, base)
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
    named = {k if re.fullmatch(r"[A-Za-z0-9_-]+", k) else json.dumps(k): v for k, v in values.items()}
    return "{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in named.items()) + " }"


def _trainer(context: TrainContext) -> Trainer:
    """Raises MagdrError if the recipe names no trainer that there is."""
    named = context.recipe.trainer
    if not isinstance(named, str):
        return cast(Trainer, named(context))
    module, _, function = named.partition(":")
    try:
        make: Callable[[TrainContext], Trainer] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as e:
        raise MagdrError(
            f"recipe {context.recipe.name!r}: there is no trainer {named!r}: {one_line(e)}"
        ) from e
    return make(context)


def _described(recipe: Recipe) -> str:
    """What tells recipes apart in checkpoints."""
    return repr(replace(recipe, trainer=recipe.trainer_name))


def _resume(path: Path, trainer: Trainer, recipe: Recipe, log: Log) -> tuple[int, float]:
    if not path.is_file():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["recipe"] != _described(recipe):
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
            "recipe": _described(recipe),
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
        f"# {name}: weights of the {'' if '/' in recipe.use else 'built-in '}{recipe.kind} {recipe.use!r}.",
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
