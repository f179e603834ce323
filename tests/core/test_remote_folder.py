"""Folders of the hub: fetched once as a whole, kept by content, never believed without their hash."""

from __future__ import annotations

import hashlib
import re

import pytest

from magdr_core.errors import MagdrError, WeightsError
from magdr_core.files import remote, remote_folder
from magdr_core.files.remote import cache_folder
from magdr_core.files.remote_folder import fetched_folder, folder_sha256
from magdr_core.toolkit import Toolkit
from tests.edits import edited

FILES = {"index.json": b"{}", "unet/config.json": b"[1]", "unet/net.safetensors": bytes(range(200))}
ADDRESS = "hf://org/tiny@v1"


def digest(files=FILES):
    lines = "".join(f"{name}\0{hashlib.sha256(files[name]).hexdigest()}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


NAMED = f"{ADDRESS}#sha256={digest()}"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """What the hub has, by its addresses; `asked` are those that somebody wanted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in (*remote.OFFLINE, "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    pages = {f"https://huggingface.co/org/tiny/resolve/v1/{name}": data for name, data in FILES.items()}
    asked = []

    def pieces(part):
        asked.append(part.url)
        if part.url not in pages:
            raise WeightsError(f"weights {part.reference} were not fetched (HTTP 404)")
        data = pages[part.url]
        yield data[:7]
        yield data[7:]

    monkeypatch.setattr(remote_folder, "pieces", pieces)
    hub = type("Hub", (), {"pages": pages, "asked": asked})
    return hub


def kept():
    return {p.relative_to(cache_folder()).as_posix() for p in cache_folder().rglob("*") if p.is_file()}


def test_a_folder_is_fetched_once_and_kept_by_content(hub):
    folder = fetched_folder(NAMED, tuple(FILES))
    assert {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    } == FILES
    assert folder.name == "tiny"
    assert folder_sha256(folder) == digest()
    assert len(hub.asked) == 3
    assert (
        fetched_folder(
            edited(NAMED.upper(), ("HF://ORG/TINY@V1#SHA256", "hf://org/tiny@v1#sha256")), tuple(FILES)
        )
        == folder
    )
    assert len(hub.asked) == 3, "it is there"


def test_another_folder_is_refused_and_not_kept(hub):
    hub.pages["https://huggingface.co/org/tiny/resolve/v1/unet/config.json"] = b"[2]"
    other = digest(FILES | {"unet/config.json": b"[2]"})
    with pytest.raises(WeightsError, match=rf"not the one that was named: what came has sha256 {other}"):
        fetched_folder(NAMED, tuple(FILES))
    assert not kept()


def test_a_file_that_is_not_there_leaves_nothing_behind(hub):
    del hub.pages["https://huggingface.co/org/tiny/resolve/v1/unet/net.safetensors"]
    with pytest.raises(WeightsError, match="HTTP 404"):
        fetched_folder(NAMED, tuple(FILES))
    assert not kept()


@pytest.mark.parametrize("harm", ["changed", "more", "less"])
def test_a_copy_that_is_no_longer_the_same_is_fetched_again(hub, harm):
    folder = fetched_folder(NAMED, tuple(FILES))
    if harm == "changed":
        (folder / "index.json").write_bytes(b"{1}")
    elif harm == "more":
        (folder / "pickle.bin").write_bytes(b"1")
    else:
        (folder / "index.json").unlink()
    again = fetched_folder(NAMED, tuple(FILES))
    assert again == folder
    assert folder_sha256(again) == digest()
    assert len(hub.asked) == 6


def test_a_copy_that_another_process_has_fetched_meanwhile_is_left_alone(hub, monkeypatch):
    """It may be read from at that moment."""
    target, fetch = cache_folder() / digest() / "tiny", remote_folder.pieces

    def slower(part):
        yield from fetch(part)
        if part.name == "net.safetensors":
            for name, data in FILES.items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(data)
            (target / ".theirs").touch()  # hidden, so no part of the hash

    monkeypatch.setattr(remote_folder, "pieces", slower)
    assert fetched_folder(NAMED, tuple(FILES)) == target
    assert (target / ".theirs").exists()
    assert [p.name for p in target.parent.iterdir()] == ["tiny"]


def test_the_order_of_a_folders_files_is_of_their_names_parts_and_of_no_system(tmp_path):
    names = ["LICENSE", "a/b", "a-c/d", "a.json", "index.json"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    lines = "".join(f"{name}\0{hashlib.sha256(name.encode()).hexdigest()}\n" for name in names)
    assert folder_sha256(tmp_path) == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize("variable", remote.OFFLINE)
def test_offline_there_is_the_copy_or_a_refusal(hub, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(WeightsError, match=rf"tiny@v1'? is not in the cache, and {variable} is set"):
        fetched_folder(NAMED, tuple(FILES))
    monkeypatch.delenv(variable)
    folder = fetched_folder(NAMED, tuple(FILES))
    monkeypatch.setenv(variable, "1")
    assert fetched_folder(NAMED, tuple(FILES)) == folder
    (folder / "index.json").write_bytes(b"")
    with pytest.raises(WeightsError, match="damaged in the cache"):
        fetched_folder(NAMED, tuple(FILES))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (ADDRESS, "comes with no hash, so nothing was fetched"),
        (f"{ADDRESS}#sha256=12", "a hash that is not sha256="),
        (f"hf://org/tiny#sha256={digest()}", "no folder of the hub: write hf://ORG/NAME@REVISION#sha256=HEX"),
        (f"hf://org/tiny@v1/unet#sha256={digest()}", "no folder of the hub"),
        (f"hf://org/..@v1#sha256={digest()}", "its name"),
        (f"https://org/tiny@v1#sha256={digest()}", "no folder of the hub"),
    ],
    ids=["no hash", "short", "no revision", "a file", "climbs", "elsewhere"],
)
def test_other_addresses_are_refused_before_anything_is_fetched(hub, reference, words):
    with pytest.raises(WeightsError, match=re.escape(words)):
        fetched_folder(reference, tuple(FILES))
    assert not hub.asked


def test_a_mirror_and_a_pull_requests_revision(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    for name, data in FILES.items():
        hub.pages[f"https://mirror.example/org/tiny/resolve/refs%2Fpr%2F3/{name}"] = data
    fetched_folder(f"hf://org/tiny@refs/pr/3#sha256={digest()}", tuple(FILES))
    assert all(url.startswith("https://mirror.example/") for url in hub.asked)


PLUGIN = """
from typing import Annotated
from magdr_core.api import AugmentationSpec, FromRegistry, hookimpl
MAGDR_API = 1

FILES = ("index.json", "unet/config.json", "unet/net.safetensors")

class Named:
    def __init__(
        self,
        *,
        model: Annotated[str, FromRegistry(hub=FILES)] = DEFAULT,
        other: Annotated[str, FromRegistry()] = "",
    ):
        self.model, self.other = model, other

    def __call__(self, x):
        return x

@hookimpl
def magdr_augmentations():
    return [AugmentationSpec(name="named", build=Named)]
"""


@pytest.fixture
def resolved(tmp_path, hub):
    def resolve(params, default='""'):
        (tmp_path / "named.py").write_text(edited(PLUGIN, ("DEFAULT", default)))
        path = tmp_path / "named.toml"
        path.write_text(
            '[plugins]\nlocal = { named = "./named.py" }\n'
            f'[augmentation.a]\nuse = "named/named"\nparams = {{ {params} }}\n'
        )
        return Toolkit.from_registry(path).resolve("augmentation", "a")

    return resolve


def test_a_registry_names_a_folder_of_the_hub_or_a_path(resolved, hub, tmp_path):
    found = resolved(f'model = "{NAMED}"')
    assert folder_sha256(cache_folder() / digest() / "tiny") == digest()
    assert found.params["model"] == str(cache_folder() / digest() / "tiny")
    assert found.identity["params"]["model"] == f"sha256={digest()}", "results are of a content"
    own = resolved('model = "tiny"')
    assert own.params["model"] == str(tmp_path / "tiny")
    elsewhere = resolved(f'model = "hf://other/copy@main#sha256={digest()}"')
    assert elsewhere.identity == found.identity


def test_a_default_fetches_nothing_and_neither_do_other_parameters(resolved, hub):
    with pytest.raises(MagdrError, match="fetches nothing that no table names: write model"):
        resolved("", default=repr(NAMED))
    resolved(f'other = "{NAMED}"')
    assert not hub.asked
