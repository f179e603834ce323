"""Folders of the Hugging Face hub that a registry names by address and hash, such as a pipeline of diffusers:
fetched once, kept by content, and never used unless all of their files are those that the hash was taken of.

`hf://ORG/NAME@REVISION#sha256=HEX` names no file: which files of the repository are meant, whoever has the
parameter says. The hash is that of :func:`folder_sha256`, of all of them by name; no list of the hub's is
believed or needed.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from magdr_core.errors import WeightsError, WriteError, brief
from magdr_core.files.names import unsafe
from magdr_core.files.remote import Remote, cache_folder, offline, parse_remote, pieces


def folder_sha256(folder: Path) -> str:
    """The sha256 of a folder, 64 hexadecimal digits: of a line for each file, hidden ones left out, with its
    name, a zero byte and the sha256 of its content, in the order of names, part by part (`a/b` before `a-c`),
    capitals first: on every system the same."""
    total = hashlib.sha256()
    for parts in sorted(p.relative_to(folder).parts for p in folder.rglob("*") if p.is_file()):
        if not any(part.startswith(".") for part in parts):
            with folder.joinpath(*parts).open("rb") as f:
                found = hashlib.file_digest(f, "sha256").hexdigest()
            total.update(f"{'/'.join(parts)}\0{found}\n".encode())
    return total.hexdigest()


def is_hub_folder(reference: str) -> bool:
    """Whether a text is an address of the hub and no path."""
    return reference.startswith("hf://")


def fetched_folder(reference: str, files: Sequence[str]) -> Path:
    """The folder that an address of the hub names: the copy in the cache, else one that is fetched now.

    Its hash is taken each time. A copy that does not have it is fetched again; what came broken or is another
    folder is not kept.

    Args:
        reference: `hf://ORG/NAME@REVISION#sha256=HEX`, the hash as of :func:`folder_sha256`.
        files: of the repository, by their names in it.

    Raises:
        WeightsError: another address, or one without a hash; no copy while offline; no answer, or others.
        WriteError: the cache cannot be written.
    """
    parts = parsed(reference, files)
    address, wanted = reference.partition("#")[0], parts[0].sha256
    kept = cache_folder() / wanted
    target = kept / _name(address)
    for copy in _copies(kept):
        if folder_sha256(copy) == wanted:
            return copy
    if (variable := offline()) is not None:
        state = "damaged in the cache" if target.exists() else "not in the cache"
        raise WeightsError(
            f"the folder {brief(address, 200)} is {state}, and {variable} is set: run once without it, or "
            f"put its files into {target}"
        )
    coming = kept / f".magdr-{secrets.token_hex(4)}.tmp"
    try:
        for part, name in zip(parts, files, strict=True):
            place = coming / name
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as file:
                for piece in pieces(part):
                    file.write(piece)
        found = folder_sha256(coming)
        if found != wanted:
            raise WeightsError(
                f"the folder {brief(address, 200)} is not the one that was named: what came has sha256 "
                f"{found}, not {wanted}; nothing was kept"
            )
        _place(coming, target, wanted)
    except OSError as e:
        raise WriteError(f"{target}: cannot be written ({e.strerror or e})") from None
    finally:
        shutil.rmtree(coming, ignore_errors=True)
    return target


def _place(coming: Path, target: Path, wanted: str) -> None:
    """Give a folder its name. Another process may have been quicker and use its copy already, so that this is
    replaced only where it is damaged."""
    try:
        coming.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        if folder_sha256(target) != wanted:
            shutil.rmtree(target)
            coming.rename(target)


def parsed(reference: str, files: Sequence[str]) -> list[Remote]:
    """Where each file comes from. Raises WeightsError as :func:`fetched_folder`."""
    address, _, fragment = reference.partition("#")
    inside = address.removeprefix("hf://").partition("@")[2].removeprefix("refs/pr/")
    if not is_hub_folder(reference) or not inside or "/" in inside:
        raise WeightsError(
            f"{brief(address, 200)} is no folder of the hub: write hf://ORG/NAME@REVISION#sha256=HEX, or the "
            "path of a folder; the revision is a commit, a tag or a branch"
        )
    if fault := unsafe(_name(address)):
        raise WeightsError(f"the folder {brief(address, 200)}: its name {fault}")
    if not fragment:
        raise WeightsError(
            f"the folder {brief(address, 200)} comes with no hash, so nothing was fetched; end it with "
            "#sha256=<64 hexadecimal digits>, those of a copy that you trust (magdr_core.api.folder_sha256)"
        )
    return [parse_remote(f"{address}/{name}#{fragment}") for name in files]


def _name(address: str) -> str:
    """Of the repository, without its owner."""
    return address.removeprefix("hf://").partition("@")[0].rpartition("/")[2]


def _copies(kept: Path) -> list[Path]:
    """Folders of one content, under whatever names they were fetched."""
    found = sorted(kept.iterdir()) if kept.is_dir() else []
    return [folder for folder in found if folder.is_dir() and not folder.name.startswith(".")]
