"""magdr train"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
import torch

from magdr_core.cli.common import ProgressDisplay, check_writable
from magdr_core.cli.terminal import Terminal, say
from magdr_core.components.threads import probe_threads
from magdr_core.errors import one_line
from magdr_core.hosting.discovery import BUILTIN
from magdr_core.hosting.manager import PluginHost
from magdr_core.registry.read import default_registry, read_registry
from magdr_core.train.runner import check_data, find_recipe, train


@click.command("train", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", required=False)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/train"), show_default=True)
@click.option("--steps", type=click.IntRange(min=1), help="Fewer steps than the recipe, for a trial.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="A folder of portraits with masks and landmarks, for networks that learn from photographs.",
)
@click.option(
    "--registry", type=click.Path(path_type=Path), help="A registry whose local plugins bring recipes too."
)
def command(
    name: str | None, out: Path, steps: int | None, device: str, data: Path | None, registry: Path | None
) -> None:
    """Train a shipped network again, or a plugin's: NAME.safetensors and its card NAME.toml.

    A checkpoint in the folder is continued. Without NAME, lists what can be trained.
    """
    console = Terminal()
    read = read_registry(registry or default_registry())
    host = PluginHost(local=read.local, block=read.block, base=read.path.parent)
    if name not in host.recipes:
        faults = host.load_all(plugin for plugin in host.available() if plugin != BUILTIN)
        for fault in (*faults.values(), *(failure.error for failure in host.failures)):
            say(f"magdr: {one_line(fault)}", err=True)
    if name is None:
        for known, recipe in host.recipes.items():
            needs = "" if recipe.photos is None else ", needs --data FOLDER"
            console.print(f"{known}  {recipe.kind} {recipe.use}, {recipe.steps} steps{needs}")
        return
    recipe = find_recipe(name, host.recipes)
    check_data(recipe, data)
    check_writable(out)
    if device in ("auto", "cpu"):
        torch.set_num_threads(probe_threads())
    display = ProgressDisplay(console)

    def progress(done: int, total: int, losses: Mapping[str, float]) -> None:
        if display.live:
            display.step(name, done, total)

    with display.running(name, steps or recipe.steps):
        path = train(
            recipe,
            out=out,
            device=device,
            steps=steps,
            log=display.say,
            progress=progress,
            local=read.local,
            base=read.path.parent,
            data=data,
        )
    console.print(str(path), soft_wrap=True)
