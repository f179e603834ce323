"""Weight files: where they are, what they hold, and whether they fit.

Nothing here executes code from a file: safetensors, or torch's pickle with `weights_only`. What a file is, is
told by its first bytes: names lie, above all those of downloads that went wrong.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from magdr_core.errors import WeightsError, suggestion

BUILTIN = "builtin:"
RANDOM = "random"
CHECKPOINTS = (".pt", ".pth", ".ckpt", ".safetensors")


def resolve_weights(reference: str, *, package: str | None, base: Path) -> Path | None:
    """`builtin:NAME`, a path, or `random` -> a file that is there and whole, or None for `random`.

    Args:
        reference: the parameter's value.
        package: the package of the plugin, whose `weights/` folder `builtin:` means.
        base: folder that relative paths start from (the registry's).

    Raises:
        WeightsError: a file that is missing, damaged, of another kind, or a pickle that would run code.
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
        if path.is_dir():
            raise WeightsError(f"weight file {reference!r} is a folder; name the file in it")
        if not path.is_file():
            raise WeightsError(f"weight file {reference!r} does not exist (looked in {path.parent})")
    check_whole(path)
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


def check_whole(path: Path) -> None:
    """Find everything that is wrong with a file before a run starts, as far as the file alone tells.

    A file with another ending than a checkpoint's may be of a form that only its plugin knows, so no more is
    asked of it than that it is not empty, a web page or a Git LFS pointer.

    Raises:
        WeightsError: as :func:`read_state`.
    """
    form = _form(path)
    if form == "safetensors":
        with _safetensors_errors(path), safe_open(str(path), framework="pt") as f:
            f.keys()
    elif path.suffix.lower() in CHECKPOINTS:
        read_state(path)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a torch checkpoint that holds a plain state dict.

    Checkpoints of either form are read: the zip archive of torch 1.6 (2020) and later, and the older stream,
    since most public face models are older.

    Raises:
        WeightsError: empty, damaged, a web page, an archive, not a state dict, or a pickle that would run
            code. Nothing is run.
    """
    form = _form(path)
    if form == "safetensors":
        with _safetensors_errors(path):
            return load_file(str(path))
    if form == "zip":
        _check_archive(path)
    try:
        with path.open("rb") as f, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; what matters is said below
            state = torch.load(f, map_location="cpu", weights_only=True)
    except Exception as e:  # a damaged pickle can fail in any way
        wanted = _FORBIDDEN.search(str(e))
        if wanted:
            raise WeightsError(
                f"{path.name} is not a plain state dict: loading it would call {wanted[1]}, which was not "
                "done; save a state dict from a program that you trust"
            ) from None
        raise WeightsError(f"{path.name} is damaged, truncated or no torch checkpoint") from None
    if not isinstance(state, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        holds = (
            _listed([_shown(str(k)) for k in state]) if isinstance(state, Mapping) else type(state).__name__
        )
        raise WeightsError(f"{path.name} does not hold a plain state dict, but {holds or 'nothing'}")
    odd = [k for k, v in state.items() if v.layout != torch.strided or v.is_quantized or v.is_meta]
    if odd:
        raise WeightsError(f"{path.name}: {_shown(odd[0])} is not a dense tensor")
    return dict(state)


_FORBIDDEN = re.compile(r"\bGLOBAL ([\w.]+)")


def _form(path: Path) -> str:
    """`safetensors`, `zip` or `stream`, by the first bytes.

    Raises:
        WeightsError: something that is certainly no weight file.
    """
    try:
        with path.open("rb") as f:
            head = f.read(512)
    except OSError as e:
        raise WeightsError(f"{path.name} cannot be read ({e.strerror})") from None
    if not head:
        raise WeightsError(f"{path.name} is empty (0 bytes)")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<script", b"<!--")):
        raise WeightsError(
            f"{path.name} is a web page, not a checkpoint; a download saved its page instead of the file"
        )
    if text.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path.name} is a Git LFS pointer, not the file itself; run `git lfs pull`")
    if head.startswith(b"PK"):
        return "zip"
    return "safetensors" if path.suffix == ".safetensors" or head[8:9] == b"{" else "stream"


@contextmanager
def _safetensors_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError) as e:
        raise WeightsError(f"{path.name} is damaged or truncated ({e})") from None


def _check_archive(path: Path) -> None:
    """A zip archive must be a checkpoint, and hold no more than its size: torch never compresses."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except Exception:  # a damaged directory can fail in any way
        raise WeightsError(f"{path.name} is truncated or damaged: its zip archive has no valid end") from None
    if not any(record.filename.endswith("/data.pkl") for record in records):
        raise WeightsError(f"{path.name} is a zip archive, not a checkpoint; unpack it and name a file of it")
    if any(r.compress_type != zipfile.ZIP_STORED for r in records) or (
        sum(r.file_size for r in records) > path.stat().st_size
    ):
        raise WeightsError(f"{path.name} declares more data than it holds, which no checkpoint of torch does")


def _shown(key: str) -> str:
    return key if key.isprintable() and len(key) < 100 else repr(key[:100])


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
        WeightsError: keys, shapes or types that do not match, or values that are not finite, listed; and
            as :func:`read_state`.
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
    faults += [f"unexpected {_shown(k)}" for k in state if k not in wanted]
    both = [k for k in wanted if k in state]
    faults += [
        f"{k} is {tuple(state[k].shape)}, expected {tuple(wanted[k].shape)}"
        for k in both
        if state[k].shape != wanted[k].shape
    ]
    faults += [
        f"{k} is {_dtype(state[k])}, expected {_dtype(wanted[k])}"
        for k in both
        if not (state[k].dtype in _FLOATS if wanted[k].is_floating_point() else state[k].dtype in _COUNTS)
    ]
    name = type(module).__name__
    if faults:
        raise WeightsError(f"{path.name} does not fit {name}: {_listed(faults)}")
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    broken = [k for k in both if not state[k].isfinite().all()]
    if broken:
        raise WeightsError(f"{path.name} holds NaN or infinite values in {_listed(broken)}")
    module.load_state_dict(state)


_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COUNTS = (torch.int32, torch.int64)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _listed(items: list[str], most: int = 6) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return "; ".join(items[:most]) + more


def read_card(path: Path) -> dict[str, object]:
    """The card beside a weight file (`NAME.toml`), or an empty mapping."""
    import tomllib

    card = path.with_suffix(".toml")
    return tomllib.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
