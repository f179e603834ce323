"""magdr weights"""

from __future__ import annotations

from pathlib import Path

import click

from magdr_core.cli.common import check_writable
from magdr_core.cli.groups import CommandGroup
from magdr_core.cli.terminal import say
from magdr_core.errors import WeightsError
from magdr_core.files.unwrapping import save_unwrapped, unwrap


@click.group("weights", cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Bring weight files into a form that loads anywhere."""


@command.command("convert")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--key", metavar="NAME", help="Which state dict, where there are several: model_ema, say.")
@click.option("--prefix", default="", metavar="TEXT", help="Only keys that begin with TEXT, without it.")
def convert(source: Path, out: Path, key: str | None, prefix: str) -> None:
    """Write the state dict in IN (.pth, .pt, .ckpt, .pkl, .safetensors) to OUT, a .safetensors file.

    What programs wrap around it (`state_dict`, `model`, an optimiser beside it, `module.` before all keys) is
    taken away. Nothing in IN is run: a file that would need it is refused, and what it would call is named.
    Prints the keys, and the hash with which a registry may name the file.
    """
    if out.suffix != ".safetensors":
        raise click.UsageError(f"{out} must end with .safetensors")
    if not source.exists():
        raise WeightsError(f"{source} does not exist")
    check_writable(out.parent)
    found = unwrap(source, key=key, prefix=prefix)
    digest = save_unwrapped(found, source, out)
    for name, tensor in found.state.items():
        say(f"{name}  {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}")
    if found.left_out:
        say(f"left out, being no tensors: {', '.join(found.left_out)}")
    if found.others:
        say(f"also in {source.name}: {', '.join(found.others)} (--key takes one of them)")
    count = sum(tensor.numel() for tensor in found.state.values())
    place = f" of {found.place}" if found.place else ""
    say(f"{out}: {len(found.state)} tensors{place}, {count:,} values, sha256 {digest}")
