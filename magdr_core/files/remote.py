"""Files that a registry names by address and hash: fetched once, kept by content, and never used unless they
have that hash.

`https://HOST/FILE#sha256=HEX`, or `hf://ORG/NAME@REVISION/FILE#sha256=HEX` for a file of the Hugging Face
hub, which comes from the address that the hub gives every file, so that no client library is needed.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from magdr_core.errors import WeightsError, brief
from magdr_core.files.checkpoint import file_sha256
from magdr_core.files.disk import write_atomically
from magdr_core.files.names import unsafe
from magdr_core.files.user_files import not_the_file, open_regular

OFFLINE = ("MAGDR_OFFLINE", "HF_HUB_OFFLINE")
"""Environment variables of which either, set to anything but 0, `false`, `no` or `off`, forbids to fetch."""

HUB = "https://huggingface.co"
"""Where the hub is; a mirror can be named by the environment variable `HF_ENDPOINT`."""

MOST = 2**36
"""Bytes of one file, lest an address without end fill the disk."""

PIECE = 2**20
"""Bytes that are held while a file comes."""

WAIT = 60.0
"""Seconds without any byte until a connection counts as lost."""

_log = logging.getLogger("magdr")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HASH = re.compile(r"sha256=([0-9a-fA-F]{64})")
_HUB_FILE = re.compile(
    r"(?:models/|(?P<kind>datasets/|spaces/))?(?P<repo>[\w.-]+/[\w.-]+)@(?P<rev>refs/pr/\d+|[^/@]+)/(?P<file>.+)"
)
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Remote:
    """A file elsewhere.

    Attributes:
        reference: as the registry has it, without the hash.
        url: where it is fetched from.
        sha256: 64 lower-case hexadecimal digits.
        name: of the file, safe to be one.
    """

    reference: str
    url: str
    sha256: str
    name: str


def is_remote(reference: str) -> bool:
    """Whether a text is an address, of whatever scheme, and no path."""
    return _SCHEME.match(reference) is not None


def parse_remote(reference: str) -> Remote:
    """Read an address with its hash.

    Raises:
        WeightsError: another scheme, no hash, no revision of a hub's file, or no file's name.

    >>> parse_remote("hf://org/name@v1/sub/net.pth#sha256=" + 64 * "0").url
    'https://huggingface.co/org/name/resolve/v1/sub/net.pth'
    """
    address, _, fragment = reference.partition("#")
    subject = f"weights {brief(address, 200)}"
    url = _hub_url(address, subject) if address.startswith("hf://") else address
    try:
        parts = urlsplit(url)
        allowed = parts.hostname and (parts.scheme == "https" or _is_local(parts.hostname, parts.scheme))
    except ValueError as e:
        raise WeightsError(f"{subject} are at no valid address: {e}") from None
    if not allowed or not url.isascii() or not url.isprintable() or " " in url:
        raise WeightsError(
            f"{subject} cannot be fetched: write an address https://HOST/FILE#sha256=HEX, "
            "hf://ORG/NAME@REVISION/FILE#sha256=HEX, or the path of a file"
        )
    if parts.username or parts.password:
        raise WeightsError(f"weights at {parts.hostname}: an address must hold no user or password")
    name = unquote(parts.path.rpartition("/")[2])
    if fault := unsafe(name):
        raise WeightsError(f"{subject}: the file's name {fault}")
    found = _HASH.fullmatch(fragment)
    if found is None:
        wrong = "a hash that is not sha256=<64 hexadecimal digits>" if fragment else "no hash"
        raise WeightsError(
            f"{subject} come with {wrong}, so nothing was fetched; end them with #sha256=<64 hexadecimal "
            "digits>, the publisher's or those of a copy that you trust (`sha256sum FILE`)"
        )
    return Remote(address, url, found[1].lower(), name)


def fetched(reference: str) -> Path:
    """The file that an address names: the copy in the cache, else one that is fetched now.

    Its hash is taken each time. A copy that does not have it is fetched again; what came broken or is another
    file is not kept.

    Raises:
        WeightsError: as :func:`parse_remote`; no copy while offline; no answer, or another file.
        WriteError: the cache cannot be written.
    """
    remote = parse_remote(reference)
    folder = cache_folder() / remote.sha256
    copies = _copies(folder, remote)
    for copy in copies:
        if _hash_of(copy) == remote.sha256:
            return copy
    target = folder / remote.name
    if (variable := offline()) is not None:
        state = "damaged in the cache" if copies else "not in the cache"
        raise WeightsError(
            f"weights {brief(remote.reference, 200)} are {state}, and {variable} is set: run once without "
            f"it, or put the file at {target}"
        )
    write_atomically(target.with_suffix(".toml"), lambda path: path.write_text(_card(remote), "utf-8"))
    write_atomically(target, lambda path: _download(remote, path))
    return target


def offline() -> str | None:
    """The environment variable that forbids to fetch; None if none does."""
    return next((name for name in OFFLINE if _is_set(name)), None)


def cache_folder() -> Path:
    """Where fetched files are kept, a folder for each content: `magdr/weights` in `$XDG_CACHE_HOME` or
    `~/.cache` (Windows: in `%LOCALAPPDATA%`).

    Raises:
        WeightsError: there is no home folder.
    """
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    named = os.environ.get(variable, "")
    try:
        # A relative one is to be ignored (XDG base directory specification).
        root = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
    except RuntimeError:
        raise WeightsError(f"there is no home folder to keep weights in; set {variable}") from None
    return root / "magdr" / "weights"


def _hub_url(address: str, subject: str) -> str:
    found = _HUB_FILE.fullmatch(address.removeprefix("hf://"))
    if found is None:
        raise WeightsError(
            f"{subject} are no file of the hub: write hf://ORG/NAME@REVISION/FILE; the revision is a commit, "
            "a tag or a branch"
        )
    place = f"{found['kind'] or ''}{found['repo']}/resolve/{quote(found['rev'], safe='')}"
    return f"{os.environ.get('HF_ENDPOINT', '').rstrip('/') or HUB}/{place}/{quote(found['file'])}"


def _is_local(host: str, scheme: str) -> bool:
    """Without encryption only from this machine, where a tunnel or a mirror may end."""
    return scheme == "http" and host in _LOCAL


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() not in ("", "0", "false", "no", "off")


def _copies(folder: Path, remote: Remote) -> list[Path]:
    """Files of this content under any name; of the same ending, which tells their form."""
    ending = Path(remote.name).suffix
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [f for f in files if f.suffix == ending and not f.name.startswith(".") and f.is_file()]


def _hash_of(path: Path) -> str:
    open_regular(path, error=WeightsError).close()
    return file_sha256(path)


def _card(remote: Remote) -> str:
    """Whoever reads the copy later compares it with this hash, too."""
    source = remote.reference.replace("\\", "%5C").replace('"', "%22")
    return f'source = "{source}"\nsha256 = "{remote.sha256}"\n'


def _download(remote: Remote, path: Path) -> None:
    digest = hashlib.sha256()
    head = b""
    with path.open("wb") as file:
        for piece in pieces(remote):
            head = head or piece[:512]
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != remote.sha256:
        found = not_the_file(head).partition(";")[0] or f"has sha256 {digest.hexdigest()}"
        raise WeightsError(
            f"weights {brief(remote.reference, 200)} are not the file that was named: what came {found}, not "
            f"{remote.sha256}; nothing was kept"
        )


def pieces(remote: Remote) -> Iterator[bytes]:
    """The bytes of a file as they come, all of them or a WeightsError: no answer, or half of one."""
    subject = f"weights {brief(remote.reference, 200)}"
    request = urllib.request.Request(remote.url, headers={"User-Agent": "magdr"})
    try:
        with _opener().open(request, timeout=WAIT) as answer:
            told = answer.headers.get("Content-Length", "")
            size = int(told) if told.isdecimal() else None
            shown = f"{size:,} bytes" if size is not None else "unknown size"
            _log.info("fetching %s (%s)", remote.reference, shown)
            came = 0
            while piece := answer.read(PIECE):
                came += len(piece)
                if came > MOST:
                    raise WeightsError(f"{subject} have over {MOST:,} bytes; fetch them yourself")
                yield piece
    except urllib.error.HTTPError as e:
        why = {401: ": it needs an account", 403: ": it needs an account", 404: ": there is no such file"}
        raise WeightsError(
            f"{subject} were not fetched (HTTP {e.code}{why.get(e.code, '')}); get the file by hand and name "
            "its path"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as e:
        reason = getattr(e, "reason", None) or e
        raise WeightsError(f"{subject} were not fetched: {reason}; the same command tries again") from None
    if size is not None and came != size:
        raise WeightsError(
            f"{subject} were not fetched: the connection ended after {came:,} of {size:,} bytes; the same "
            "command tries again"
        )


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Redirects)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to where an address of the first kind could point, too, and nowhere else."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        parts = urlsplit(newurl)
        from_here = _is_local(urlsplit(req.full_url).hostname or "", "http")
        if parts.scheme != "https" and not (from_here and _is_local(parts.hostname or "", parts.scheme)):
            raise urllib.error.URLError(f"it leads to {newurl!r:.100}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
