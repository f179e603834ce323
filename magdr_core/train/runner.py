"""Running a recipe: checkpoints, resuming, logs, the weight file and its card."""

from __future__ import annotations

import importlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
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
from magdr_core.train.card import inline, write_card
from magdr_core.train.context import Log, TrainContext, Trainer, save_tensors
from magdr_core.train.forensic_recipes import variant
from magdr_core.train.mixing import MixedFaces
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
    data: Path | None = None,
) -> Path:
    """Train a network from the first image to the card; a shipped one again, or a plugin's.

    Args:
        name: a shipped recipe's name, or a recipe.
        out: folder of the checkpoint, the weight file `NAME.safetensors` and its card `NAME.toml`. A
            checkpoint found there is continued.
        steps: fewer steps than the recipe's, for a trial.
        local: local plugins that the recipe's component or trainer comes from, as a registry has them.
        base: the folder that they are relative to.
        data: the folder of portraits, for a recipe that learns from photographs (docs/data.md).

    Returns:
        The weight file.

    Raises:
        MagdrError: no such recipe, component or trainer; no folder of portraits for a recipe that needs one,
            or one for a recipe that does not.
    """
    recipe = find_recipe(name) if isinstance(name, str) else name
    name = name if isinstance(name, str) else recipe.name
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    check_data(recipe, data)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    context = _context(recipe, device, out / f"{name}.images.pt", log, local or {}, base or Path.cwd(), data)
    return train_in(context, name, out=out, progress=progress, checkpoint_every=checkpoint_every)


def train_in(
    context: TrainContext,
    name: str,
    *,
    out: Path,
    progress: Callable[[int, int, Mapping[str, float]], None] = lambda done, total, losses: None,
    checkpoint_every: int = 250,
) -> Path:
    """Train the network of a context by its recipe; arguments and result are those of :func:`train`.

    Raises:
        MagdrError: no such trainer.
    """
    recipe, log = context.recipe, context.log
    started = time.monotonic()
    log(f"{name}: drawing {recipe.pool} training images")
    trainer = trainer_of(context)
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
    write_card(name, recipe, path, quality, minutes, context)
    unit = "mse_o: output MSE in squared levels of 255, less is better"
    told = f" ({unit})" if any("mse_o" in what for what in quality) else ""
    log(f"{name}: quality, as its card has it{told}")
    for what, value in quality.items():
        log(f"{name}: {what} {value:.4f}")
    return path


def check_data(recipe: Recipe, data: Path | None) -> None:
    """Raises MagdrError if a recipe for photographs is given no folder of them, or another recipe is."""
    if recipe.photos is None and data is not None:
        raise MagdrError(f"{recipe.name} learns from drawn faces alone and takes no folder of portraits")
    if recipe.photos is not None and data is None:
        raise MagdrError(
            f"{recipe.name} learns from portraits of your own: --data FOLDER (its layout is in docs/data.md)"
        )


def _decay(t: float) -> float:
    """Factor of the learning rate at a share `t` of the steps: a short warm-up, then a cosine to 1%."""
    return min(1.0, (t + 1e-3) / 0.02) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * t)))


def _toolkit(recipe: Recipe, device: str, local: Mapping[str, str], base: Path, data: Path | None) -> Toolkit:
    plugin = recipe.use.rpartition("/")[0]
    lines = [
        "[registry]",
        f'name = "train"\nseed = {recipe.seed}\ndevice = "{device}"',
        f"[plugins]\nlocal = {inline(local)}\nuse = {json.dumps([plugin] if plugin else [])}",
        f'[dataset.faces]\nuse = "procedural-faces"\nparams = {inline(recipe.dataset)}',
        f'[{recipe.kind}.net]\nuse = "{recipe.use}"',
        f"params = {inline({'weights': recipe.start or 'random', **recipe.params})}",
        f'[dataset.test]\nuse = "procedural-faces"\nparams = {inline(_shown(recipe.dataset))}',
        # The generator whose attacked inputs parsers and purifiers must cope with, and a network that
        # stands in for it; built only by trainers that want them.
        _table("generator.victim", {"use": "stargan", **recipe.victim}),
        _table("parser.surrogate", {"use": "unet", **recipe.surrogate}),
    ]
    if recipe.photos is not None:
        photos = {"path": str(data and data.resolve()), **recipe.photos}
        shown = {k: v for k, v in photos.items() if k in ("path", "size", "least_source")}
        for label, params in (("photos", photos), ("test-photos", shown)):
            lines.append(_table(f"dataset.{label}", {"use": "portraits", "params": params}))
    return Toolkit(parse_registry("\n".join(lines), base / "train.toml"))


def _context(
    recipe: Recipe,
    device: str,
    cache: Path,
    log: Log,
    local: Mapping[str, str] = MappingProxyType({}),
    base: Path = Path(),
    data: Path | None = None,
) -> TrainContext:
    toolkit = _toolkit(recipe, device, local, base, data)
    built = toolkit.build(recipe.kind, "net")
    net: nn.Module = built.component.requires_grad_(True).train()
    dataset: Dataset = toolkit.build("dataset", "faces")
    if recipe.photos is not None:
        dataset = MixedFaces(dataset, toolkit.build("dataset", "photos"), recipe.drawn)
    split = dataset.split("train")
    assert isinstance(split, PairedSplit)
    return TrainContext(recipe, toolkit, net, dataset, split, cache, log)


def _shown(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """What of a recipe's dataset decides what is to be seen; the rest is a means of training."""
    return {name: value for name, value in dataset.items() if name in ("size", "identity")}


def _table(name: str, values: Mapping[str, Any]) -> str:
    """A table of a registry, whose own tables are inline."""
    lines = (f"{k} = {inline(v) if isinstance(v, Mapping) else json.dumps(v)}" for k, v in values.items())
    return "\n".join([f"[{name}]", *lines])


def trainer_of(context: TrainContext) -> Trainer:
    """What trains the context's network. Raises MagdrError if the recipe names no trainer that there is."""
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
