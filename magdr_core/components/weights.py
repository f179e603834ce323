"""Weight files: where they are, and whether they fit a network.

Nothing here executes code from a file: safetensors, or torch's pickle with `weights_only`. What a file is, is
told by its first bytes: names lie, above all those of downloads that went wrong.
"""

from __future__ import annotations

import importlib.resources
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from magdr_core.components.state_keys import faults_between, unwrapped
from magdr_core.errors import WeightsError, brief, suggestion
from magdr_core.files.checkpoint import check_whole, file_sha256, listed, read_card, read_state
from magdr_core.files.names import unsafe
from magdr_core.files.remote import fetched, is_remote
from magdr_core.files.user_files import open_regular, user_path

__all__ = ["file_sha256", "load_state", "read_card", "read_state", "resolve_weights", "weights_folder"]

BUILTIN = "builtin:"
RANDOM = "random"


def resolve_weights(
    reference: str, *, package: str | None, base: Path, within: tuple[str, ...] = ()
) -> Path | None:
    """`builtin:NAME`, a path, an address with its hash, or `random` -> a file that is there and whole; None
    for `random`.

    Args:
        reference: the parameter's value; a path may start with `~` and hold environment variables. For
            addresses see :func:`~magdr_core.files.remote.fetched`.
        package: the package of the plugin, whose `weights/` folder `builtin:` means.
        base: folder that relative paths start from (the registry's).
        within: names under which the file may hold the state dict.

    Raises:
        WeightsError: a file that is missing, damaged, of another kind, or a pickle that would run code; an
            address without a hash, or from which that file does not come.
    """
    if reference == RANDOM:
        return None
    if reference.startswith(BUILTIN):
        folder = weights_folder(package)
        name = reference.removeprefix(BUILTIN)
        path = folder / f"{name}.safetensors"
        if unsafe(name) or not path.is_file():
            known = [p.stem for p in folder.glob("*.safetensors")]
            raise WeightsError(f"no built-in weights {brief(name)}{suggestion(name, known)}")
    elif is_remote(reference):
        path = fetched(reference)
    else:
        path = user_path(reference, base, error=WeightsError, what="weight file")
        if not path.exists():
            raise WeightsError(f"weight file {brief(reference)} does not exist (looked in {path.parent})")
        open_regular(path, error=WeightsError, subject=f"weight file {brief(reference)}").close()
    check_whole(path, within)
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


def load_state(
    module: nn.Module,
    path: Path | str | None,
    *,
    within: tuple[str, ...] = (),
    stale: tuple[str, ...] = (),
    adapt: Callable[[dict[str, Tensor]], Mapping[str, Tensor]] | None = None,
    remedy: Callable[[Mapping[str, Tensor]], str] | None = None,
) -> None:
    """Load a state dict into a module, every key accounted for; tensors of any shape.

    The names that `DataParallel`, `DistributedDataParallel`, `torch.compile` and an owner such as `model.`
    leave in keys are taken away first.

    Args:
        module: receives the weights (as float32); left at its random initialisation if `path` is None.
        path: the file, as core resolved it.
        within: names under which the file may hold the state dict, the first that is there counts; the same
            as the parameter's `WeightsFile` has.
        stale: endings of keys that old checkpoints carry and that are dropped.
        adapt: maps what is left of another implementation's state dict to this module's keys.
        remedy: what to change so that a state dict fits that does not, such as the parameters that it was
            made with; an empty text if that cannot be told. Whatever it raises counts as that.

    Raises:
        WeightsError: keys, shapes or types that do not match, or values that are not finite, listed; and
            as :func:`read_state`.
    """
    if path is None:
        return
    path = Path(path)
    wanted = module.state_dict()
    state = {k: v for k, v in read_state(path, within).items() if not k.endswith(stale or ("\0",))}
    try:
        state = unwrapped(state, wanted)
        if adapt is not None:
            state = dict(adapt(state))
    except WeightsError as e:
        raise WeightsError(f"{path.name}: {e}") from None
    faults = faults_between(state, wanted)
    name = type(module).__name__
    if faults:
        hint = _told(remedy, state)
        raise WeightsError(f"{path.name} does not fit {name}: {'; '.join(faults)}{hint and f'. {hint}'}")
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    broken = [k for k in wanted if not state[k].isfinite().all()]
    if broken:
        raise WeightsError(f"{path.name} holds NaN or infinite values in {listed(broken)}")
    module.load_state_dict(state)


def _told(remedy: Callable[[Mapping[str, Tensor]], str] | None, state: Mapping[str, Tensor]) -> str:
    try:
        return remedy(state) if remedy is not None else ""
    except Exception:  # it looks into a file of unknown content, and the fault is told without it as well
        return ""
