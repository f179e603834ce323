"""Weight files: where they are, what they hold, and whether they fit.

Nothing here executes code from a file: safetensors, or torch's pickle with `weights_only`.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import pickle
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from magdr_core.errors import WeightsError, suggestion

BUILTIN = "builtin:"
RANDOM = "random"


def resolve_weights(reference: str, *, package: str | None, base: Path) -> Path | None:
    """`builtin:NAME`, a path, or `random` -> a file that is there and whole, or None for `random`.

    Args:
        reference: the parameter's value.
        package: the package of the plugin, whose `weights/` folder `builtin:` means.
        base: folder that relative paths start from (the registry's).

    Raises:
        WeightsError: missing or damaged file.
    """
    if reference == RANDOM:
        return None
    if reference.startswith(BUILTIN):
        folder = weights_folder(package)
        name = reference.removeprefix(BUILTIN)
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            known = [p.stem for p in folder.glob("*.safetensors")]
            raise WeightsError(f"no built-in weights {name!r}{suggestion(name, known)}")
    else:
        path = Path(base, Path(reference).expanduser())
        if not path.is_file():
            raise WeightsError(f"weight file {reference!r} does not exist (looked in {path.parent})")
    if path.suffix == ".safetensors":
        try:
            with safe_open(str(path), framework="pt") as f:
                f.keys()
        except (SafetensorError, OSError) as e:
            raise WeightsError(f"weight file {reference!r} is damaged or truncated ({e})") from None
    return path


def weights_folder(package: str | None) -> Path:
    """The folder of a plugin package's weights and calibrations.

    Raises:
        WeightsError: a local file has none.
    """
    if package is None:
        raise WeightsError("'builtin:' weights belong to a packaged plugin; a local file names a path")
    module = sys.modules.get(package)
    if module is not None and getattr(module, "__file__", None):
        return Path(str(module.__file__)).parent / "weights"
    return Path(str(importlib.resources.files(package))) / "weights"


def file_sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file or of a torch checkpoint that holds a plain state dict.

    Raises:
        WeightsError: damaged, not a state dict, or a pickle that would run code.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(str(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as e:
        raise WeightsError(f"{path.name} is damaged or truncated ({e})") from None
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError, KeyError) as e:
        reason = str(e).splitlines()[0]
        raise WeightsError(f"{path.name} is not a weight file that can be loaded safely ({reason})") from None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path.name} does not hold a plain state dict")
    return dict(state)


def load_state(
    module: nn.Module,
    path: Path | str | None,
    *,
    stale: tuple[str, ...] = (),
    adapt: Callable[[dict[str, Tensor]], Mapping[str, Tensor]] | None = None,
) -> None:
    """Load a state dict into a module, every key accounted for.

    Args:
        module: receives the weights (as float32); left at its random initialisation if `path` is None.
        path: the file, as core resolved it.
        stale: endings of keys that old checkpoints carry and that are dropped.
        adapt: maps what is left of another implementation's state dict to this module's keys.

    Raises:
        WeightsError: keys or shapes that do not match, listed.
    """
    if path is None:
        return
    path = Path(path)
    state = {k: v for k, v in read_state(path).items() if not k.endswith(stale or ("\0",))}
    if adapt is not None:
        try:
            state = dict(adapt(state))
        except WeightsError as e:
            raise WeightsError(f"{path.name}: {e}") from None
    wanted = module.state_dict()
    faults = [f"missing {k}" for k in wanted if k not in state]
    faults += [f"unexpected {k}" for k in state if k not in wanted]
    faults += [
        f"{k} is {tuple(state[k].shape)}, expected {tuple(wanted[k].shape)}"
        for k in wanted
        if k in state and state[k].shape != wanted[k].shape
    ]
    if faults:
        more = f" and {len(faults) - 6} more" if len(faults) > 6 else ""
        name = type(module).__name__
        raise WeightsError(f"{path.name} does not fit {name}: {'; '.join(faults[:6])}{more}")
    module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})


def read_card(path: Path) -> dict[str, object]:
    """The card beside a weight file (`NAME.toml`), or an empty mapping."""
    import tomllib

    card = path.with_suffix(".toml")
    return tomllib.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
