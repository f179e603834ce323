"""Weights named by address and hash: fetched once, kept by content, never believed without their hash. The
server is a local one."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch
from safetensors.torch import save

from magdr_core.components.weights import read_state, resolve_weights
from magdr_core.errors import RegistryError, WeightsError, WriteError
from magdr_core.files import remote
from magdr_core.files.remote import cache_folder, fetched, parse_remote
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit
from tests.edits import edited

CONTENT = save({"a": torch.arange(6.0)})
HASH = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"another file").hexdigest()
END = f"#sha256={HASH}"


@dataclass
class Server:
    """Answers by path: (status, headers, content); `asked` are the paths that somebody wanted."""

    url: str = ""
    pages: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, path: str, content: bytes = CONTENT, status: int = 200, **headers: str) -> str:
        length = {} if "Transfer" in headers else {"Content-Length": str(len(content))}
        self.pages[path] = (status, length | headers, content)
        return f"{self.url}{path}"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    for name in (*remote.OFFLINE, "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    here = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here.asked.append(self.path)
            status, headers, content = here.pages.get(self.path, (404, {}, b"no such page"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield here
    listening.shutdown()
    listening.server_close()
    thread.join()


def kept() -> dict[str, bytes]:
    """What lies in the cache, cards aside."""
    files = (f for f in cache_folder().rglob("*") if f.is_file() and f.suffix != ".toml")
    return {str(f.relative_to(cache_folder())): f.read_bytes() for f in files}


def refusal(reference: str) -> str:
    with pytest.raises(WeightsError) as e:
        fetched(reference)
    message = str(e.value)
    assert message.isprintable()
    return message


def test_named_weights_are_fetched_once_and_then_read_from_the_cache(server, tmp_path):
    address = server.put("/models/net.safetensors")
    first = resolve_weights(address + END, package=None, base=tmp_path)
    assert torch.equal(read_state(first)["a"], torch.arange(6.0))
    assert kept() == {f"{HASH}/net.safetensors": CONTENT}
    again = resolve_weights(address + "#sha256=" + HASH.upper(), package=None, base=tmp_path / "elsewhere")
    assert again == first
    assert server.asked == ["/models/net.safetensors"]


def test_what_is_fetched_is_reported(server, caplog):
    caplog.set_level("INFO", logger="magdr")
    address = server.put("/net.safetensors")
    fetched(address + END)
    fetched(address + END)
    assert caplog.messages == [f"fetching {address} ({len(CONTENT)} bytes)"]


def test_the_same_content_elsewhere_is_not_fetched_again(server):
    first = fetched(server.put("/a/net.safetensors") + END)
    assert fetched(f"{server.url}/mirror/other.safetensors{END}") == first
    assert server.asked == ["/a/net.safetensors"]


@pytest.mark.parametrize(
    "fragment", ["", "#", "#sha256=", f"#md5={HASH}", f"#sha256={HASH[:-1]}", f"#{HASH}"]
)
@pytest.mark.parametrize("scheme", ["https://example.org/net.pth", "hf://org/name@main/net.pth"])
def test_an_address_without_its_hash_is_refused_and_nobody_is_asked(monkeypatch, scheme, fragment):
    monkeypatch.setattr(remote, "_opener", lambda: pytest.fail("somebody was asked"))
    message = refusal(scheme + fragment)
    assert message.startswith(f"weights {scheme!r} come with ")
    assert "nothing was fetched; end them with #sha256=<64 hexadecimal digits>" in message


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("ftp://example.org/net.pth", "cannot be fetched: write an address https://HOST/FILE#sha256=HEX"),
        ("http://example.org/net.pth", "cannot be fetched"),
        ("file:///etc/passwd", "cannot be fetched"),
        ("https:///net.pth", "cannot be fetched"),
        ("https://[1/net.pth", "at no valid address"),
        ("https://example.org/", "the file's name is empty"),
        ("https://example.org/a%2Fb", "the file's name holds '/'"),
        ("https://example.org/..", "the file's name begins or ends with a blank or a dot"),
        ("https://me:secret@example.org/net.pth", "an address must hold no user or password"),
        ("hf://org/name/net.pth", "are no file of the hub: write hf://ORG/NAME@REVISION/FILE"),
        ("hf://name@main/net.pth", "are no file of the hub"),
        ("hf://org/name@main", "are no file of the hub"),
    ],
)
def test_an_address_that_is_none_is_refused(reference, said):
    message = refusal(reference + END)
    assert said in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("hf://org/name@main/net.pth", "https://huggingface.co/org/name/resolve/main/net.pth"),
        ("hf://models/org/name@v1.0/a/b.pth", "https://huggingface.co/org/name/resolve/v1.0/a/b.pth"),
        ("hf://datasets/o/n@1f/a b.pt", "https://huggingface.co/datasets/o/n/resolve/1f/a%20b.pt"),
        ("hf://o/n@refs/pr/3/w.pt", "https://huggingface.co/o/n/resolve/refs%2Fpr%2F3/w.pt"),
    ],
)
def test_a_file_of_the_hub_comes_from_the_address_that_the_hub_gives_it(reference, url):
    assert parse_remote(reference + END).url == url


def test_a_mirror_of_the_hub_can_be_named(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f"{server.url}/")
    server.put("/org/name/resolve/main/net.safetensors")
    assert fetched("hf://org/name@main/net.safetensors" + END).read_bytes() == CONTENT


def test_another_file_than_the_one_named_is_not_kept(server):
    message = refusal(server.put("/net.safetensors") + f"#sha256={OTHER}")
    assert f"what came has sha256 {HASH}, not {OTHER}; nothing was kept" in message
    assert kept() == {}


def test_a_web_page_in_the_files_place_is_said_to_be_one(server):
    message = refusal(server.put("/net.safetensors", b"<!DOCTYPE html><title>log in</title>") + END)
    assert "what came is a web page" in message
    assert kept() == {}


def test_half_a_file_is_not_kept(server):
    address = server.put("/net.safetensors", CONTENT[:-9], Content_Length=str(len(CONTENT)))
    server.pages["/net.safetensors"][1].pop("Content-Length")
    message = refusal(address + END)
    assert f"the connection ended after {len(CONTENT) - 9:,} of {len(CONTENT):,} bytes" in message
    assert kept() == {}
    server.put("/net.safetensors")
    assert fetched(address + END).read_bytes() == CONTENT


def test_a_half_written_file_of_a_killed_process_is_not_taken_for_a_whole_one(server):
    folder = cache_folder() / HASH
    folder.mkdir(parents=True)
    (folder / ".magdr-00000000-99999999-deadbeef.tmp").write_bytes(CONTENT)  # its name is that of no result
    (folder / "net.safetensors").write_bytes(CONTENT[:-1])
    found = fetched(server.put("/net.safetensors") + END)
    assert found.read_bytes() == CONTENT
    assert server.asked == ["/net.safetensors"]


def test_a_copy_that_was_changed_is_fetched_again_and_never_read(server):
    address = server.put("/net.safetensors") + END
    path = fetched(address)
    changed = bytearray(CONTENT)
    changed[-1] ^= 1
    path.write_bytes(changed)
    with pytest.raises(WeightsError, match="is damaged or another file: its sha256 is not the one"):
        read_state(path)  # by a process that found it before it was changed
    assert fetched(address).read_bytes() == CONTENT
    assert len(server.asked) == 2


@pytest.mark.parametrize("variable", ["MAGDR_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_only_the_cache_is_used(server, monkeypatch, variable):
    address = server.put("/net.safetensors") + END
    monkeypatch.setenv(variable, "1")
    target = cache_folder() / HASH / "net.safetensors"
    message = refusal(address)
    assert f"are not in the cache, and {variable} is set" in message
    assert f"or put the file at {target}" in message
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT[:-1])
    assert "are damaged in the cache" in refusal(address)
    target.write_bytes(CONTENT)
    assert fetched(address) == target
    assert server.asked == []
    target.unlink()
    monkeypatch.setenv(variable, "0")
    assert fetched(address) == target


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, r"\(HTTP 401: it needs an account\); get the file by hand"),
        (404, r"\(HTTP 404: there is no such file\)"),
        (503, r"\(HTTP 503\)"),
    ],
)
def test_an_answer_that_is_no_file_is_said(server, status, said):
    address = server.put("/net.safetensors", b"sorry", status=status)
    with pytest.raises(WeightsError, match=said):
        fetched(address + END)
    assert kept() == {}


def test_nobody_answering_is_said(server):
    closed = server.url.rpartition(":")[0] + ":9"  # the discard port
    message = refusal(f"{closed}/net.safetensors{END}")
    assert "were not fetched: " in message
    assert message.endswith("the same command tries again")


def test_a_redirection_is_followed_but_not_to_an_open_connection_elsewhere(server):
    server.put("/real.safetensors")
    address = server.put("/net.safetensors", b"", status=302, Location="/real.safetensors")
    assert fetched(address + END).read_bytes() == CONTENT
    for place in ("http://example.org/net.safetensors", "ftp://example.org/x"):
        away = server.put("/away.pt", b"", status=302, Location=place)
        assert "which is not https" in refusal(f"{away}#sha256={OTHER}")
    local = server.put("/local.pt", b"", status=302, Location="file:///etc/passwd")
    assert "were not fetched (HTTP 302)" in refusal(f"{local}#sha256={OTHER}")


def test_a_file_without_end_is_given_up(server, monkeypatch):
    monkeypatch.setattr(remote, "MOST", 10)
    assert "have over 10 bytes" in refusal(server.put("/net.safetensors") + END)
    assert kept() == {}


def test_a_cache_that_cannot_be_written_is_said(server, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(WriteError, match="cannot be written"):
        fetched(server.put("/net.safetensors") + END)


def test_the_cache_follows_the_base_directory_rules(tmp_path, monkeypatch):
    assert cache_folder() == tmp_path / "cache" / "magdr" / "weights"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "magdr" / "weights"
    assert not os.path.exists("relative")


# -- in a registry ----------------------------------------------------------------------------------------


LOCAL = """
from magdr_core.api import MetricSpec, Weights, hookimpl
MAGDR_API = 1


class Far:
    def __init__(self, *, weights: Weights = "https://example.org/net.safetensors#sha256={HASH}"):
        self.file = weights

    def __call__(self, a, b):
        return (a - b).abs().mean((1, 2, 3))


@hookimpl
def magdr_metrics():
    return [MetricSpec(name="far", build=Far)]
"""


def toolkit(tmp_path, params: str) -> Toolkit:
    (tmp_path / "far.py").write_text(edited(LOCAL, ("{HASH}", HASH)))
    text = f'[plugins]\nlocal = {{ far = "far.py" }}\n[metric.m]\nuse = "far/far"\n{params}'
    return Toolkit(parse_registry(text, tmp_path / "r.toml"), device="cpu")


def test_results_depend_on_the_content_and_not_on_the_address(server, tmp_path):
    remote_ = toolkit(tmp_path, f'params = {{ weights = "{server.put("/net.safetensors")}{END}" }}')
    (tmp_path / "mine.pt").write_bytes(CONTENT)
    local = toolkit(tmp_path, 'params = { weights = "mine.pt" }')
    assert remote_.resolve("metric", "m").key == local.resolve("metric", "m").key
    assert remote_.build("metric", "m").component.file.read_bytes() == CONTENT


def test_the_registrys_error_names_the_table(tmp_path):
    bad = toolkit(tmp_path, 'params = { weights = "https://example.org/net.pth" }')
    with pytest.raises(
        RegistryError, match=r"^r\.toml \[metric\.m\]: weights 'https://example.org/net.pth' come"
    ):
        bad.resolve("metric", "m")


def test_a_plugins_default_is_never_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "_opener", lambda: pytest.fail("somebody was asked"))
    with pytest.raises(RegistryError) as e:
        toolkit(tmp_path, "").resolve("metric", "m")
    named = f"https://example.org/net.safetensors{END}"
    assert str(e.value) == (
        f'r.toml [metric.m]: fetches nothing that no table names: write weights = "{named}"'
    )
