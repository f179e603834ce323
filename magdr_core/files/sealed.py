"""Sealed files: each says which result it holds, with a checksum, so that nothing else is taken for it.

JSON is an envelope on one line, then the content as it was hashed. Tensors carry the same in the metadata of
their safetensors file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

_OPENED = re.compile(
    rb'\{"kind": "([a-z-]{1,40})", "key": "([\w.-]{1,200})", "sha256": "([0-9a-f]{64})", "data":\n'
)
_CLOSED = b"\n}\n"
_EARLIER = 2**24
"""Bytes up to which content without a seal is looked at for what it is."""


class UnsealedError(ValueError):
    """Content without a seal, as versions before 0.2 wrote it."""


def seal_json(kind: str, key: str, data: Mapping[str, Any]) -> bytes:
    """Raises ValueError for NaN and infinity, which JSON has no numbers for."""
    body = json.dumps(data, indent=1, sort_keys=True, allow_nan=False).encode()
    head = f'{{"kind": "{kind}", "key": "{key}", "sha256": "{_digest(kind, key, body)}", "data":\n'
    return head.encode() + body + _CLOSED


def open_json(content: bytes, kind: str, key: str) -> dict[str, Any]:
    """The data.

    Nothing is parsed before the checksum has shown that it is what was written.

    Raises:
        UnsealedError: there is no seal on it.
        ValueError: it is something else, or damaged; the message goes on from the file's name.
    """
    found = _OPENED.match(content)
    if found is None or not content.endswith(_CLOSED):
        if found is None and _is_object(content):
            raise UnsealedError("has no checksum")
        raise ValueError("is damaged")
    body = content[found.end() : -len(_CLOSED)]
    _compare((found[1].decode(), found[2].decode()), (kind, key))
    if found[3].decode() != _digest(kind, key, body):
        raise ValueError("was changed or damaged: its checksum is another")
    data = _parsed(body)
    if not isinstance(data, dict):
        raise ValueError("holds no table")
    return data


def seal_images(key: str, levels: Tensor) -> bytes:
    """uint8 images `[n,3,H,W]` as a file."""
    levels = levels.cpu().contiguous()
    seal = {"kind": "images", "key": key, "sha256": _tensor_digest(key, levels)}
    # As one entry: safetensors writes several in an order of chance, and equal results shall be equal files.
    return save({"images": levels}, {"seal": json.dumps(seal)})


def open_images(content: bytes, key: str) -> Tensor:
    """uint8 `[n,3,H,W]`.

    Raises:
        UnsealedError: there is no seal on it.
        ValueError: it is something else, or damaged; the message goes on from the file's name.
    """
    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        seal = header.get("__metadata__", {}).get("seal")
        told = {} if seal is None else dict(json.loads(seal))
    except (SafetensorError, ValueError, RecursionError, AttributeError, KeyError, TypeError):
        raise ValueError("is damaged") from None
    levels = tensors.get("images")
    if levels is None or len(tensors) != 1 or levels.ndim != 4 or levels.shape[1] != 3:
        raise ValueError("holds no images")
    if seal is None:
        raise UnsealedError("has no checksum")
    _compare((told.get("kind"), told.get("key")), ("images", key))
    if str(levels.dtype) != "torch.uint8" or told.get("sha256") != _tensor_digest(key, levels):
        raise ValueError("was changed or damaged: its checksum is another")
    return levels


def expected_size(shape: Sequence[int]) -> int:
    """Bytes that a file of images of this shape takes at most."""
    count = 1
    for n in shape:
        count *= int(n)
    return count + 2**16


def _is_object(content: bytes) -> bool:
    if len(content) > _EARLIER:
        return False
    try:
        return isinstance(_parsed(content), dict)
    except ValueError:
        return False


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise ValueError("is nested too deep") from None


def _refused(name: str) -> Any:
    raise ValueError(f"holds {name}")


def _compare(found: tuple[Any, Any], wanted: tuple[str, str]) -> None:
    if found != wanted:
        raise ValueError(f"is another result's file ({str(found[0])[:40]}, {str(found[1])[:80]})")


def _digest(kind: str, key: str, body: bytes) -> str:
    return hashlib.sha256(f"{kind}/{key}\n".encode() + body).hexdigest()


def _tensor_digest(key: str, levels: Tensor) -> str:
    found = hashlib.sha256(f"images/{key} {levels.dtype} {list(levels.shape)}\n".encode())
    found.update(levels.numpy().data)
    return found.hexdigest()
