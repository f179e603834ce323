"""magdr demo --serve: the answers behind the page, the server, and the page in a browser."""

from __future__ import annotations

import io
import re
import socket
import sys
import threading
import urllib.request

import pytest
import torch
from PIL import Image

pytest.importorskip("flask")

from magdr_core.cli.demo_server import MOST_FACES, DemoService
from magdr_core.inference.loaded import NoFaceError
from magdr_core.media import picture_of
from magdr_core.registry.read import packaged_registry
from magdr_core.toolkit import Toolkit
from magdr_core.web.answers import BAD, GOOD, Upload, Wish
from magdr_core.web.app import app_of
from magdr_core.web.server import PageServer
from tests.chromium import chromium

BLOND = Wish("editing:Blond_Hair=1")


def upload(picture, name="me.png"):
    return Upload(name, picture_of(picture, name))


@pytest.fixture(scope="module")
def service(workshop):
    """`service("always")`: of the small registry, with a calibration that flags what the word says."""
    made = {}

    def of(flags):
        if flags not in made:
            toolkit = Toolkit.from_registry(workshop / "small.toml").with_calibration(
                workshop / f"{flags}.json"
            )
            made[flags] = DemoService(toolkit, workshop / "cache")
        return made[flags]

    return of


def test_every_edit_that_the_generator_knows_is_offered(service):
    edits = service("never").edits["editing"]
    assert edits["editing:Blond_Hair=1"] == "blond hair"
    assert edits["editing:Smiling=0"] == "no smiling"
    assert "editing:Blond_Hair=0" not in edits


def test_a_picture_that_looks_clean_is_said_to_be_so_and_left_alone(service, astronaut):
    answer = service("never").answer(upload(astronaut), BLOND)
    assert answer.restored is None
    (face,) = answer.faces
    assert [c.title for c in face.columns] == ["As it came"]
    assert face.columns[0].words == "its edit, blond hair"
    assert face.columns[0].edit.shape == (3, 32, 32)


def test_the_words_are_those_of_magdr_defend(service, own, astronaut, tmp_path):
    astronaut.save(tmp_path / "me.png")
    (facts,) = own("defend", "me.png", "--json", flags="always").document["results"]
    answer = service("always").answer(upload(astronaut), BLOND)
    (face,) = answer.faces
    assert answer.headline.lower().startswith(facts["verdict"])
    assert face.reasons["Why"].lower() == facts["why"].lower()
    assert face.reasons["How sure"].lower() == facts["how_sure"].lower()
    assert answer.sentence.lower() == f"{facts['what_to_do']}.".lower()


@pytest.mark.usefixtures("restoring")
def test_a_restored_picture_is_shown_and_handed_back_whole(service, astronaut):
    answer = service("always").answer(upload(astronaut), BLOND)
    (face,) = answer.faces
    assert [c.title for c in face.columns] == ["As it came", "Restored"]
    assert answer.restored.shape == (3, 230, 230)
    assert answer.restored.dtype == torch.uint8
    before, after = (c.face.mean() for c in face.columns)
    assert after < before - 0.02
    assert answer.mark == face.mark != GOOD
    assert face.reasons["Restored by"] == "darker"


def test_every_face_has_a_verdict_of_its_own(service, couple):
    answer = service("always").answer(upload(couple), BLOND)
    assert len(answer.faces) == 2
    assert [face.title[:11] for face in answer.faces] == ["Face 1 of 2", "Face 2 of 2"]
    assert all(face.reasons["Verdict"] for face in answer.faces)
    assert "of 2 faces" in answer.headline


def test_of_a_crowd_the_most_suspicious_are_shown(service, astronaut):
    crowd = Image.new("RGB", (4 * 230, 2 * 230))
    for i in range(8):
        crowd.paste(astronaut, (i % 4 * 230, i // 4 * 230))
    answer = service("never").answer(upload(crowd), BLOND)
    if len(answer.faces) < MOST_FACES:
        pytest.fail(f"the finder saw {len(answer.faces)} faces; the test needs more than {MOST_FACES}")
    assert len(answer.faces) == MOST_FACES
    assert any("most suspicious" in note for note in answer.notes)


def test_without_a_face_the_middle_is_used_only_if_that_is_asked_for(service):
    grey = Image.new("RGB", (80, 64), (90, 90, 90))
    with pytest.raises(NoFaceError):
        service("never").answer(upload(grey), BLOND)
    answer = service("never").answer(upload(grey), Wish(BLOND.edit, whole=True))
    assert answer.faces[0].columns[0].face.shape == (3, 64, 64)


def test_an_attack_shows_what_it_did_and_whether_it_was_noticed(service, astronaut):
    answer = service("never").answer(upload(astronaut), Wish(BLOND.edit, attack=True))
    (face,) = answer.faces
    first, attacked, restored = face.columns
    assert answer.mark == BAD
    assert "not noticed" in answer.headline
    assert first.said.lower().startswith(("not disrupted", "cannot tell; it looks not disrupted"))
    assert attacked.said == first.said
    assert restored.title == "If it were restored"
    moved = (attacked.face - first.face).abs().max()
    assert 0 < moved < 0.05
    assert re.search(r"Off by [\d.,]+ levels", face.reasons["Its edit"])


# -- the command ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--serve", "--photo", "a.png"), "--photo goes with the page that is written"),
        (("--serve", "--set", "Smiling"), "--set goes with the page that is written"),
        (("--port", "80"), "--port goes with --serve"),
        (("--serve", "--port", "70000"), "70000"),
        (("--serve", "--task", "edting"), "did you mean 'editing'"),
    ],
    ids=["photo", "set", "port alone", "port too large", "task"],
)
def test_options_that_do_not_go_together_are_one_line(magdr, arguments, words):
    done = magdr("demo", *arguments)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_a_missing_extra_is_one_line(magdr, monkeypatch):
    for name in [n for n in sys.modules if n.startswith(("magdr_core.web.app", "magdr_core.web.server"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flask", None)
    done = magdr("demo", "--serve")
    assert done.code == 2
    assert done.err == "magdr: --serve needs flask, which is not installed: pip install 'magdr[demo]'\n"


def test_a_port_that_is_taken_is_one_line(magdr, workshop):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = magdr("demo", "--serve", "--port", port, "--registry", workshop / "small.toml")
    assert done.code == 2
    assert f"port {port} of 127.0.0.1 cannot be used (address already in use)" in done.err


def test_the_command_serves_until_it_is_interrupted(magdr, workshop, astronaut, monkeypatch):
    """The page is asked for while it runs; then the interrupt that Ctrl-C would send."""
    got = []
    serve = PageServer.serve_forever

    def asked_once(self, *given):
        def browser():
            with urllib.request.urlopen(self.url) as answer:
                got.append(answer.read().decode())
            self.shutdown()

        thread = threading.Thread(target=browser)
        thread.start()
        serve(self, *given)
        thread.join()

    monkeypatch.setattr(PageServer, "serve_forever", asked_once)
    options = ["--registry", workshop / "small.toml", "--cache", workshop / "cache"]
    done = magdr("demo", "--serve", "--port", "0", "--calibration", workshop / "never.json", *options)
    assert done.code == 0, done.err
    assert re.search(r"http://127\.0\.0\.1:\d+/ shows the page, to this computer alone", done.out)
    assert "blond hair" in got[0]


# -- the server ---------------------------------------------------------------------------------------------


@pytest.fixture
def served(service):
    """`served(service)`: the page's address."""
    running = []

    def of(judge):
        server = PageServer(app_of(judge), 0)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        running.append((server, thread))
        return server.url

    yield of
    for server, thread in running:
        server.shutdown()
        thread.join(10)


def multipart(content, **fields):
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode()
        for k, v in fields.items()
    ]
    head = b'--x\r\nContent-Disposition: form-data; name="picture"; filename="me.png"\r\n\r\n'
    return b"".join([*parts, head, content, b"\r\n--x--\r\n"])


def test_it_listens_to_this_computer_alone(served, service):
    url = served(service("never"))
    port = int(url.rstrip("/").rpartition(":")[2])
    assert url == f"http://127.0.0.1:{port}/"
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_a_browser_that_connects_and_says_nothing_does_not_block_others(served, service):
    url = served(service("never"))
    port = int(url.rstrip("/").rpartition(":")[2])
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.status == 200
    finally:
        for connection in silent:
            connection.close()


def test_components_are_not_blamed_for_requests_that_come_while_they_run(served, service, astronaut):
    """Two uploads at once, from threads that begin while the other is judged."""
    url = served(service("never"))
    out = io.BytesIO()
    astronaut.save(out, "PNG")
    body = multipart(out.getvalue(), mode="check", edit=BLOND.edit)
    said = []

    def send():
        request = urllib.request.Request(url, body, {"Content-Type": "multipart/form-data; boundary=x"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            said.append(answer.read().decode())

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 2
    assert all("How sure" in text for text in said)


# -- a browser ----------------------------------------------------------------------------------------------


def unnamed(browser):
    """Fields and pictures without a name, by what a browser makes of labels."""
    return browser.run(
        "[...document.querySelectorAll('input,select,button,img')].filter(e => e.matches('img') ? !e.alt : "
        "e.matches('button') ? !e.textContent.trim() : !e.labels.length).map(e => e.outerHTML.slice(0, 80))"
    )


@pytest.mark.slow
def test_a_picture_is_uploaded_and_judged_in_a_browser(served, tmp_path, astronaut):
    """With the packaged registry: as it is, attacked first, and a file that is none; at both widths."""
    url = served(DemoService(Toolkit.from_registry(packaged_registry()), tmp_path / "cache"))
    astronaut.save(tmp_path / "me.png")
    (tmp_path / "none.png").write_text("no picture")
    with chromium(tmp_path / "profile") as browser:
        browser.look(390)
        browser.open(url)
        assert unnamed(browser) == []
        browser.choose("#picture", tmp_path / "me.png")
        browser.click("button", timeout=300)
        assert "How sure" in browser.text()
        assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth >= 200)")
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        assert unnamed(browser) == []

        browser.look(1280, dark=True)
        tops = "[...document.querySelectorAll('figure')].map(e => e.getBoundingClientRect().top)"
        assert len(set(browser.run(tops))) == 1, "a face that was left alone stands beside its edit"
        browser.run("document.querySelector('[value=attack]').click()")
        browser.choose("#picture", tmp_path / "me.png")
        browser.click("button", timeout=300)
        assert "Attacked" in browser.run("document.querySelector('h1').innerText")
        assert browser.run("document.images.length") == 6
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")

        browser.choose("#picture", tmp_path / "none.png")
        browser.click("button")
        assert "“none.png” is not a picture" in browser.run("document.getElementById('problem').innerText")
        order = []
        for _ in range(6):
            browser.press("Tab")
            order.append(browser.run("document.activeElement.name || document.activeElement.innerText"))
        assert order == ["picture", "edit", "mode", "whole", "Go", "example"]
        assert [u for u in browser.requested() if not u.startswith(url)] == []
        assert [c for c in browser.complaints() if "422" not in c] == []


@pytest.mark.slow
def test_a_file_that_is_too_large_is_told_in_a_browser(served, service, tmp_path):
    """Before it is sent; and by the server, where the page's script does not run."""
    url = served(service("never"))
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(70_000_000)
    with chromium(tmp_path / "profile") as browser:
        browser.open(url)
        browser.choose("#picture", tmp_path / "large.png")
        assert "70 MB" in browser.run("document.getElementById('picture').validationMessage")
        browser.run("document.getElementById('picture').setCustomValidity('')")
        browser.click("button")
        assert "is too large" in browser.run("document.getElementById('problem').innerText")
