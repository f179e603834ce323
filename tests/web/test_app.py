"""The page of `magdr demo --serve`, by Flask's test client, before a service that needs no network."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("flask")

from magdr_core.errors import ComponentError
from magdr_core.inference.loaded import NoFaceError
from magdr_core.media import picture_of
from magdr_core.web import app as pages
from magdr_core.web.answers import BAD, Answer, FaceAnswer, FaceVersion, Upload
from magdr_core.web.app import app_of
from magdr_core.web.uploads import MAX_BYTES, name_of

EDITS = {"editing": {"editing:Blond_Hair=1": "blond hair", "editing:Smiling=0": "no smiling"}}


class Answers:
    """Says of every picture that it is disrupted, and hands back its negative."""

    about = ("The verdicts are made up.",)

    def __init__(self):
        self.edits = EDITS
        self.asked = []
        self.fails = None

    def example(self):
        return Upload("astronaut", picture_of(np.full((32, 32, 3), 7, np.uint8), "astronaut"))

    def answer(self, upload, wish):
        self.asked.append((upload, wish))
        if self.fails is not None:
            raise self.fails
        face = torch.zeros(3, 16, 16)
        columns = [
            FaceVersion("As it came", face, face, "its edit"),
            FaceVersion("Restored", face, face, "its edit"),
        ]
        faces = [FaceAnswer("Face 1 of 1 <b>", BAD, {"Why": "a <script>"}, columns)]
        return Answer(
            "Disrupted", BAD, "Use the restored one.", faces, ["A note."], 255 - upload.picture.levels
        )


@pytest.fixture
def service():
    return Answers()


@pytest.fixture
def browser(service):
    return app_of(service).test_client()


def png(size=(40, 30), mode="RGB"):
    out = io.BytesIO()
    Image.new(mode, size, (200, 100, 50) if mode == "RGB" else 0).save(out, "PNG")
    return out.getvalue()


def sent(browser, content=None, name="me.png", **fields):
    content = png() if content is None else content
    return browser.post("/", data={"picture": (io.BytesIO(content), name), "mode": "check", **fields})


def problem(answer):
    found = re.findall(r'role="alert" id="problem">([^<]*)</p>', answer.text)
    return found[0] if found else ""


def test_the_form_offers_every_edit_and_says_where_pictures_stay(browser):
    answer = browser.get("/")
    assert answer.status_code == 200
    for key, words in EDITS["editing"].items():
        assert re.search(f'<option value="{key}"( selected)?>{words}</option>', answer.text)
    assert "nothing of it is written to disk" in answer.text
    assert "The verdicts are made up." in answer.text


def test_an_upload_is_judged_as_the_form_says(browser, service):
    answer = sent(browser, edit="editing:Smiling=0", mode="attack", whole="on")
    assert answer.status_code == 200
    ((upload, wish),) = service.asked
    assert upload.picture.levels.shape == (3, 30, 40)
    assert upload.picture.levels[:, 0, 0].tolist() == [200, 100, 50]
    assert (wish.edit, wish.attack, wish.whole) == ("editing:Smiling=0", True, True)
    assert "<h1>Disrupted</h1>" in answer.text
    assert '<option value="editing:Smiling=0" selected>' in answer.text
    assert len(re.findall(r'<img src="data:image/png;base64,[^"]+" alt="[^"]+"', answer.text)) == 4
    assert "a &lt;script&gt;" in answer.text
    assert "<script>" not in answer.text


def test_an_edit_that_is_not_offered_counts_as_the_first(browser, service):
    sent(browser, edit="editing:Wings=1")
    assert service.asked[0][1].edit == "editing:Blond_Hair=1"


def test_the_example_needs_no_upload(browser, service):
    answer = browser.post("/", data={"picture": (io.BytesIO(b""), ""), "example": "1"})
    assert answer.status_code == 200
    assert service.asked[0][0].name == "astronaut"


def test_the_restored_picture_is_saved_to_the_last_bit_and_the_last_two_alone(browser):
    keys = [
        re.search(r'href="(/restored/[^"]+)"', sent(browser, png((40 + i, 30))).text)[1] for i in range(3)
    ]
    assert len(set(keys)) == 3
    answer = browser.get(keys[2])
    got = np.asarray(Image.open(io.BytesIO(answer.data)))
    assert got.shape == (30, 42, 3)
    assert got[0, 0].tolist() == [55, 155, 205]
    assert "me.png.restored.png" in answer.headers["Content-Disposition"]
    assert browser.get(keys[1]).status_code == 200
    gone = browser.get(keys[0])
    assert gone.status_code == 404
    assert "no such page or picture any more" in problem(gone)


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        pytest.param(b"", "", "choose a file first", id="none"),
        pytest.param(b"", "me.png", "“me.png” is empty.", id="empty"),
        pytest.param(b"hello", "me.jpg", "“me.jpg” is not a picture (JPEG, PNG", id="text"),
        pytest.param(png((300, 300))[:-200], "me.png", "“me.png” is damaged or truncated", id="truncated"),
        pytest.param(png((8, 8)), "me.png", "“me.png”: 8 x 8 pixels are too few", id="tiny"),
        pytest.param(png((9000, 9000), "1"), "me.png", "more than 64 megapixels", id="many pixels"),
        pytest.param(b"\0\0\0\x18ftypheic\0\0\0\0mif1", "me.heic", "convert it to PNG or JPEG", id="heic"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_plain_sentence(browser, service, content, name, words):
    answer = sent(browser, content, name)
    assert answer.status_code == 422
    assert words in problem(answer)
    assert problem(answer).endswith((".", "”"))
    assert service.asked == []
    assert '<form method="post"' in answer.text


def test_a_file_with_too_many_bytes_is_a_plain_sentence(browser, service):
    answer = sent(browser, b"\0" * (MAX_BYTES + 200_000))
    assert answer.status_code == 413
    assert problem(answer) == "The file has 51 MB and is too large; pictures of up to 50 MB are read."
    assert service.asked == []


def test_no_face_and_a_failing_component_are_plain_sentences(browser, service):
    service.fails = NoFaceError("me.png: no face was found; with --whole its middle square is used")
    answer = sent(browser)
    assert answer.status_code == 422
    assert problem(answer).startswith("No face was found in “me.png”.")
    assert "--whole" not in answer.text
    service.fails = ComponentError("generator 'editing': gives NaN")
    answer = sent(browser)
    assert answer.status_code == 500
    assert problem(answer) == "Generator &#39;editing&#39;: gives NaN."


def test_uploads_never_touch_the_disk(browser, service, monkeypatch):
    def refuse(*given, **named):
        raise AssertionError("a temporary file was asked for")

    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", refuse)
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    assert len(out.getvalue()) > 1_000_000  # more than what is kept in memory by default
    assert sent(browser, out.getvalue()).status_code == 200


def test_other_hosts_and_other_sites_are_refused(browser, service):
    assert browser.get("/", headers={"Host": "127.0.0.1:8765"}).status_code == 200
    assert browser.get("/", headers={"Host": "localhost:8765"}).status_code == 200
    refused = browser.get("/", headers={"Host": "pictures.example"})
    assert refused.status_code == 400
    for place in ("cross-site", "same-site"):
        answer = browser.post("/", data={"example": "1"}, headers={"Sec-Fetch-Site": place})
        assert answer.status_code == 403
    assert service.asked == []
    assert (
        browser.post("/", data={"example": "1"}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    )


def test_nothing_is_loaded_from_elsewhere_or_kept_by_the_browser(browser):
    for path in ("/", "/page.css", "/page.js"):
        answer = browser.get(path)
        assert answer.status_code == 200
        assert not re.search(r"https?://|url\(|@import", answer.text)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert browser.get("/elsewhere").status_code == 404
    assert browser.put("/").status_code == 405


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("C:\\Users\\me\\a.png", "a.png"),
        ("/pictures/of/me/a.png", "a.png"),
        ("..", "the picture"),
        ("a" * 100 + ".png", "a" * 48 + "..." + "aaaaa.png"),
    ],
)
def test_names_are_shown_without_folders_and_not_too_long(given, shown):
    assert name_of(given) == shown


def test_an_invisible_direction_mark_in_a_name_is_shown(browser):
    text = sent(browser, b"", "a\u202egnp.exe").text
    assert "\u202e" not in text
    assert "gnp.exe" in text


def test_a_large_file_is_taken_in_before_it_is_answered(browser, monkeypatch):
    """Or the browser, still sending, shows an error of its own."""
    monkeypatch.setattr(pages, "MAX_BYTES", 1000)
    app = app_of(Answers())
    rest = io.BytesIO(b"\0" * 300_000)
    answer = app.test_client().post(
        "/", input_stream=rest, content_length=300_000, content_type="multipart/form-data; boundary=x"
    )
    assert answer.status_code == 413
    assert rest.read() == b""
