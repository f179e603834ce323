"""magdr init"""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from magdr_core.cli.terminal import say
from magdr_core.errors import MagdrError
from magdr_core.files.disk import write_atomically
from magdr_core.registry.read import read_registry

NAME = "registry.toml"

TEXT = """\
# A registry says what runs. Change first: [generator.editing], to the generator that you want to defend, and
# the numbers of [calibration] and [profile.quick], which are small here so that all is done in a few minutes.
# docs/registry.md has every table and key. `include = "builtin:faces64"` in [registry] would bring all of the
# packaged registry, of which each table here would replace its namesake.

# Whose results these are, and on what device.
[registry]
name = "mine"
seed = 0
device = "auto"                             # cuda, cpu, auto

# The faces: drawn ones. "folder" takes pictures of your own: params = { path = "my/faces", size = 64 }
[dataset.faces]
use = "procedural-faces"
params = { size = 64 }

# What is defended; its label is the task's name. The shipped face editor.
[generator.editing]
use = "stargan"
params = { weights = "builtin:stargan-faces64" }

# The attack: how far each pixel may be moved, and for how many steps.
[attack.pgd]
params = { eps = "6/255", steps = 10 }

# MagDR itself: what it measures by, and the filters that it may chain. Left out, each has a default.
[magdr]
criteria = ["l1", "ssim", "gradient"]
layers = [["gaussian", "median", "nlm", "purifier"], ["jpeg", "sharpen"]]

# Faces that detectors and MagDR learn from; so few make rough thresholds. 192, 1000 and 48 are better.
[calibration]
fit = 24
clean = 100
attacked = 12
attacks = ["pgd"]

# A benchmark: these components on so many images. Equal-strength noise must not look like an attack.
[profile.quick]
samples = 4
attacks = ["pgd", "noise"]
detectors = ["magdr"]
defenses = ["magdr", "fixed-chain"]
"""


@click.command("init", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".", metavar="[DIR]")
def command(folder: Path) -> None:
    """Write a short, commented registry.toml to start from, into DIR (default: here).

    A registry that is there already is left alone: exit code 2.
    """
    path = folder / NAME
    if path.exists() or path.is_symlink():
        raise MagdrError(f"{path} is there already, and stays as it is; name another folder")
    write_atomically(path, lambda partial: partial.write_text(TEXT, encoding="utf-8"))
    read_registry(path)
    say(f"{path} is written; next:")
    say(f"  magdr registry check {shlex.quote(str(path))}")
    say(f"  magdr bench {shlex.quote(str(path))}")
