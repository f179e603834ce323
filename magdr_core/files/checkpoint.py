"""What a weight file holds: told by its first bytes, checked for damage, and read without running its code.

Three forms: safetensors; torch's zip archive (1.6, 2020, and later); torch's older stream. Only the archive
has checksums of its own, and torch does not look at them; a card with a `sha256` beside a file protects the
other two.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from magdr_core.errors import WeightsError
from magdr_core.files.pickled_calls import forbidden_calls
from magdr_core.files.user_files import not_the_file, open_regular, parse_toml, read_text

CHECKPOINTS = (".pt", ".pth", ".ckpt", ".safetensors")

STREAM = 2**31
"""Bytes of an older checkpoint that are read: all of it has to be held."""

HEADER = 2**26
"""Bytes of the list of tensors in the other two forms; real ones have some thousands."""

MEMBERS = 100_000
"""Of an archive: two or three more than the network has tensors."""

PIECE = 2**22
"""Bytes that are held while checksums are taken."""


def check_whole(path: Path, within: tuple[str, ...] = ()) -> None:
    """Find everything that is wrong with a file before a run starts, as far as the file alone tells.

    A file with another ending than a checkpoint's may be of a form that only its plugin knows, so no more is
    asked of it than that it is not empty, a web page or a Git LFS pointer.

    Args:
        within: as of :func:`read_state`.

    Raises:
        WeightsError: as :func:`read_state`.
    """
    if form_of(path) == "safetensors" or path.suffix.lower() in CHECKPOINTS:
        read_state(path, within)
    else:
        _check_card(path)


def read_state(path: Path, within: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The tensors, of any shape, of a safetensors file or of a checkpoint of torch with a plain state dict.

    Values of the first two forms stay in the file until they are used.

    Args:
        within: names under which a file may hold the state dict beside other things; the first that is there
            counts.

    Raises:
        WeightsError: empty, damaged, not what its card says, a web page, an archive, not a state dict, or a
            pickle that would run code. Nothing is run.
    """
    state = read_content(path)
    if isinstance(state, Mapping):
        state = next((state[n] for n in within if isinstance(state.get(n), Mapping)), state)
    if not isinstance(state, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        holds = listed([shown(str(k)) for k in state]) if isinstance(state, Mapping) else type(state).__name__
        entry = f"; nor one in an entry {' or '.join(within)}" if within else ""
        raise WeightsError(f"{path.name} does not hold a plain state dict, but {holds or 'nothing'}{entry}")
    check_dense(state, path)
    return dict(state)


def read_content(path: Path, *, calls: int = 1) -> Any:
    """Whatever a checkpoint holds, a state dict or something around one.

    Args:
        calls: how many of the functions that a refused pickle would call are named.

    Raises:
        WeightsError: as :func:`read_state`, but for what is not a plain state dict.
    """
    form = form_of(path)
    _check_card(path)
    if form == "safetensors":
        _check_header(path)
        with _safetensors_errors(path):
            return load_file(str(path))
    if form == "zip":
        _check_archive(path)
    elif path.stat().st_size > STREAM:
        raise WeightsError(f"{path.name} is no archive of torch and has over {STREAM:,} bytes")
    _check_calls(path)
    return _unpickled(path, mapped=form == "zip", most=calls)


def check_dense(state: Mapping[str, Tensor], path: Path) -> None:
    """Raises WeightsError for a tensor of any shape that is sparse, quantised or without values."""
    odd = [k for k, v in state.items() if v.layout != torch.strided or v.is_quantized or v.is_meta]
    if odd:
        raise WeightsError(f"{path.name}: {shown(odd[0])} is not a dense tensor")


def form_of(path: Path) -> str:
    """`safetensors`, `zip` or `stream`, by the first bytes.

    Raises:
        WeightsError: something that is certainly no weight file.
    """
    with _opened(path) as f:
        head = _first(f, 512, path)
    if not head:
        raise WeightsError(f"{path.name} is empty (0 bytes)")
    found = not_the_file(head)
    if found:
        raise WeightsError(f"{path.name} {found.replace('a web page;', 'a web page, not a checkpoint;')}")
    if head.startswith(_PACKED):
        raise WeightsError(f"{path.name} is a compressed archive, not a checkpoint; unpack it")
    if head.startswith(b"PK"):
        return "zip"
    return "safetensors" if path.suffix == ".safetensors" or head[8:9] == b"{" else "stream"


def file_sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def read_card(path: Path) -> dict[str, Any]:
    """The card beside a weight file (`NAME.toml`), or an empty mapping.

    Raises:
        WeightsError: it is no TOML file; the line names it.
    """
    card = path.with_suffix(".toml")
    if not card.exists():
        return {}
    return parse_toml(read_text(card, error=WeightsError), error=WeightsError, subject=f"{card}:")


def shown(key: str) -> str:
    """A key of a file, on one line."""
    return key if key.isprintable() and len(key) < 100 else repr(key[:100])


def listed(items: list[str], most: int = 6) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return "; ".join(items[:most]) + more


_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd")
_FORBIDDEN = re.compile(r"\bGLOBAL ([\w.]+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _opened(path: Path) -> BinaryIO:
    return open_regular(path, error=WeightsError, subject=path.name)


def _first(f: BinaryIO, count: int, path: Path) -> bytes:
    try:
        return f.read(count)
    except OSError as e:
        raise WeightsError(f"{path.name} cannot be read ({e.strerror})") from None


def _check_card(path: Path) -> None:
    """Where a card names the file's hash, the file has it."""
    wanted = str(read_card(path).get("sha256", "")).lower()
    if _SHA256.fullmatch(wanted) and file_sha256(path) != wanted:
        raise WeightsError(
            f"{path.name} is damaged or another file: its sha256 is not the one in {path.stem}.toml beside it"
        )


def _check_header(path: Path) -> None:
    """The library would hold a list of tensors of any length that is declared."""
    with _opened(path) as f:
        declared = int.from_bytes(_first(f, 8, path), "little")
    if declared > min(HEADER, path.stat().st_size - 8):
        raise WeightsError(
            f"{path.name} is damaged or truncated (it declares a header of {declared:,} bytes)"
        )
    with _safetensors_errors(path), safe_open(str(path), framework="pt") as f:
        f.keys()


@contextmanager
def _safetensors_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError) as e:
        raise WeightsError(f"{path.name} is damaged or truncated ({e})") from None


def _check_archive(path: Path) -> None:
    """A zip archive must be a checkpoint, hold no more than its size (torch never compresses), and be whole:
    torch itself reads altered weights without a word."""
    damaged = WeightsError(f"{path.name} is truncated or damaged: its zip archive has no valid end")
    try:
        archive = zipfile.ZipFile(path)
    except Exception:  # a damaged directory can fail in any way
        raise damaged from None
    with archive:
        records = archive.infolist()
        names = {record.filename for record in records}
        if any(name.endswith("/constants.pkl") for name in names):
            raise WeightsError(
                f"{path.name} is a TorchScript archive, a program with its weights; save what it holds with "
                "torch.save(torch.jit.load(FILE).state_dict(), NEW), if you trust it"
            )
        if not any(name.endswith("/data.pkl") for name in names):
            raise WeightsError(
                f"{path.name} is a zip archive, not a checkpoint; unpack it and name a file of it"
            )
        if any(r.compress_type != zipfile.ZIP_STORED or r.compress_size != r.file_size for r in records) or (
            sum(r.file_size for r in records) > path.stat().st_size
        ):
            raise WeightsError(
                f"{path.name} declares more data than it holds, which no checkpoint of torch does"
            )
        lists = max(r.file_size for r in records if r.filename.endswith(".pkl"))
        if len(names) < len(records) or len(records) > MEMBERS or lists > HEADER:
            raise WeightsError(f"{path.name} has {len(records)} members, which no checkpoint of torch has")
        if not any(r.CRC for r in records):
            return  # saved without checksums, which torch can be asked to
        for record in records:
            try:
                with archive.open(record) as member:
                    while member.read(PIECE):
                        pass
            except Exception:  # a header that does not fit can fail in any way
                raise WeightsError(
                    f"{path.name} is damaged: {shown(record.filename)} does not have the checksum that it "
                    "was saved with; copy or download the file again"
                ) from None


def _check_calls(path: Path) -> None:
    """The one call that torch allows in a pickle and that can fill any memory."""
    with _opened(path) as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(b"\nbytearray\n") >= 0:
            raise WeightsError(f"{path.name} is not a plain state dict: loading it would call bytearray")


def _unpickled(path: Path, *, mapped: bool, most: int) -> Any:
    try:
        with path.open("rb") as f, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; what matters is said below
            if mapped and path.suffix != ".safetensors":  # of these torch believes the name
                return torch.load(os.fspath(path), map_location="cpu", weights_only=True, mmap=True)
            return torch.load(f, map_location="cpu", weights_only=True)
    except Exception as e:  # a damaged pickle can fail in any way
        wanted = _FORBIDDEN.search(str(e))
        calls = forbidden_calls(path, archive=mapped) or ([wanted[1]] if wanted else [])
        if calls:
            named = listed([shown(call) for call in calls], most=most)
            raise WeightsError(
                f"{path.name} is not a plain state dict: loading it would call {named}, which was "
                "not done; save a state dict from a program that you trust"
            ) from None
        raise WeightsError(f"{path.name} is damaged, truncated or no torch checkpoint") from None
