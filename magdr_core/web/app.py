"""The page as a Flask application: one form, one answer, and nothing that is written to disk.

The server answers this computer's own browsers alone. Names of other hosts are refused (a web site could let
its name point here), and so are forms that other sites send.
"""

from __future__ import annotations

import io
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Any

import torch
from flask import Flask, Request, Response, abort, render_template, request
from jinja2 import StrictUndefined
from PIL import Image
from torch import Tensor
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from magdr_core.errors import DataError, MagdrError
from magdr_core.functional import resize
from magdr_core.media.panels import SIDE
from magdr_core.media.pictures import to_levels
from magdr_core.printable import visible
from magdr_core.report.data_url import png_url
from magdr_core.web.answers import Answer, Service, Upload, Wish
from magdr_core.web.uploads import MAX_BYTES, UNNAMED, read_upload, sentence_about, too_large

HOSTS = ["127.0.0.1", "localhost"]

KEPT = 2
"""Restored pictures that can be downloaded; older ones are forgotten."""

MOST_DRAINED = 2_000_000_000
"""Bytes of a file that is too large which are taken in, and thrown away."""

ATTACK = "attack"

POLICY = (
    "default-src 'none'; img-src data:; style-src 'self'; script-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

ELSEWHERE = ("cross-site", "same-site")
"""What a browser says of a form that another site sends; `same-site` is another port of this computer."""


class _InMemory(Request):
    """Uploads never touch the disk, where large ones would go by default."""

    max_form_parts = 20

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return io.BytesIO()


class _Page(Flask):
    request_class = _InMemory


@dataclass(frozen=True)
class _Kept:
    name: str
    levels: Tensor


class Downloads:
    """The last restored pictures, under names that nobody can guess."""

    def __init__(self, most: int = KEPT) -> None:
        self.most = most
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, name: str, levels: Tensor) -> str:
        """`[3,H,W]` uint8 -> the key that `get` takes."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._kept[key] = _Kept(name, levels)
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
        return key

    def get(self, key: str) -> _Kept | None:
        with self._lock:
            return self._kept.get(key)


def app_of(service: Service) -> Flask:
    """The page in front of a service. Pictures are judged one after the other."""
    app = _Page(__name__, template_folder=".", static_folder=None)
    app.config.update(TRUSTED_HOSTS=HOSTS, MAX_CONTENT_LENGTH=MAX_BYTES + 100_000)
    app.jinja_options = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    app.jinja_env.filters["url"] = _url
    downloads, one_at_a_time = Downloads(), threading.Lock()

    def page(status: HTTPStatus = HTTPStatus.OK, **values: Any) -> tuple[str, int]:
        told = {"answer": None, "problem": "", "name": "", "download": "", "wish": _first(service), **values}
        text = render_template("page.html", service=service, most=MAX_BYTES // 10**6, **told)
        return visible(text, lines=True), status

    @app.get("/")
    def form() -> tuple[str, int]:
        return page()

    @app.post("/")
    def judge() -> tuple[str, int]:
        if request.headers.get("Sec-Fetch-Site") in ELSEWHERE:
            abort(HTTPStatus.FORBIDDEN)
        wish = _wish(service)
        try:
            upload = service.example() if "example" in request.form else _uploaded()
        except DataError as e:
            problem = sentence_about(_name(e), e)
            return page(HTTPStatus.UNPROCESSABLE_ENTITY, problem=problem, wish=wish)
        try:
            with one_at_a_time:
                answer = service.answer(upload, wish)
        except DataError as e:
            problem, status = sentence_about(upload.name, e), HTTPStatus.UNPROCESSABLE_ENTITY
            return page(status, problem=problem, wish=wish)
        except MagdrError as e:
            problem, status = sentence_about(upload.name, e), HTTPStatus.INTERNAL_SERVER_ERROR
            return page(status, problem=problem, wish=wish)
        return page(answer=answer, name=upload.name, download=_kept(answer, upload), wish=wish)

    def _kept(answer: Answer, upload: Upload) -> str:
        return "" if answer.restored is None else downloads.keep(upload.name, answer.restored)

    @app.get("/restored/<key>.png")
    def restored(key: str) -> Response:
        found = downloads.get(key)
        if found is None:
            abort(HTTPStatus.NOT_FOUND)
        out = io.BytesIO()
        Image.fromarray(to_levels(found.levels)).save(out, "PNG")
        done = Response(out.getvalue(), mimetype="image/png")
        done.headers.set("Content-Disposition", "attachment", filename=f"{found.name}.restored.png")
        return done

    @app.get("/page.css")
    def css() -> Response:
        return Response(_source(app, "page.css"), mimetype="text/css")

    @app.get("/page.js")
    def js() -> Response:
        return Response(_source(app, "page.js"), mimetype="text/javascript")

    @app.errorhandler(RequestEntityTooLarge)
    def large(error: RequestEntityTooLarge) -> tuple[str, int]:
        _drain()
        return page(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, problem=too_large(request.content_length))

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> Response | tuple[str, int]:
        said = {
            HTTPStatus.NOT_FOUND: "There is no such page or picture any more; here is the form.",
            HTTPStatus.FORBIDDEN: "This form was sent by another web site, so it was not looked at.",
        }
        code = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
        if code not in said:
            return Response(f"{code} {error.name}\n", code, mimetype="text/plain")
        return page(HTTPStatus(code), problem=said[HTTPStatus(code)])

    @app.after_request
    def closed(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response

    return app


def _first(service: Service) -> Wish:
    return Wish(next(iter(next(iter(service.edits.values())))))


def _wish(service: Service) -> Wish:
    """What the form says; another edit than those that it offers counts as the first."""
    edit = request.form.get("edit", "")
    if not any(edit in group for group in service.edits.values()):
        edit = _first(service).edit
    return Wish(edit, attack=request.form.get("mode") == ATTACK, whole="whole" in request.form)


def _uploaded() -> Upload:
    """The picture of the form.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    file = request.files.get("picture")
    if file is None or not file.filename:
        raise DataError(f"{UNNAMED}: is missing; choose a file first")
    return read_upload(file.read(), file.filename)


def _name(error: DataError) -> str:
    return str(error).partition(": ")[0]


def _drain() -> None:
    """Take in what is still coming: a browser that is answered before it has sent all shows an error of its
    own instead of the answer."""
    stream, left = request.environ["wsgi.input"], min(request.content_length or 0, MOST_DRAINED)
    while left > 0 and (got := stream.read(min(left, 1 << 20))):
        left -= len(got)


def _url(image: Tensor) -> str:
    """`[3,s,s]` in [0,1] as a data URL; small ones are enlarged, which browsers do less well."""
    large = image if image.shape[-1] >= SIDE else torch.clamp(resize(image[None], SIDE)[0], 0, 1)
    return png_url(to_levels(large))


def _source(app: Flask, name: str) -> str:
    with app.open_resource(name, "r", encoding="utf-8") as file:
        text: str = file.read()
    return text
