"""The page of `magdr onnx` in headless Chromium, with onnxruntime-web from the npm registry."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import threading

import pytest

from magdr_core.cli.onnx_verdict import words
from magdr_core.cli.plain_words import explained
from magdr_core.magdr.verdict import verdict_word
from magdr_core.to_onnx.site import write_site
from magdr_core.toolkit import Toolkit
from tests.chromium import chromium
from tests.to_onnx.test_detectors import BLOND, DONE, HEAD

ORT = "onnxruntime-web@1.30.0"

MODULE = "ort.wasm.bundle.min.mjs"

PIECES = (MODULE, "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


@pytest.fixture
def serve():
    """`serve(FOLDER)`: its address."""
    servers = []

    def start(folder):
        handler = functools.partial(Quiet, directory=str(folder))
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def guess_type(self, path):
        return "text/javascript" if str(path).endswith(".mjs") else super().guess_type(path)

    def log_message(self, *told):
        pass


@pytest.fixture
def onnxruntime_web(tmp_path):
    """`onnxruntime_web(FOLDER)` puts it there; the test is skipped where npm cannot give it."""

    def put(folder):
        command = ["npm", "install", "--prefix", str(tmp_path / "npm"), "--no-audit", "--no-fund", ORT]
        try:
            subprocess.run(command, capture_output=True, check=True, timeout=300)
        except (OSError, subprocess.SubprocessError):
            pytest.skip("onnxruntime-web cannot be had from npm")
        for name in PIECES:
            shutil.copy(tmp_path / "npm" / "node_modules" / "onnxruntime-web" / "dist" / name, folder)

    return put


def answered(browser):
    """What the page says once its buttons can be pressed again."""
    return browser.run(
        "new Promise(done => { const look = () => document.querySelector('button:disabled') ? "
        "setTimeout(look, 50) : done(document.body.innerText); setTimeout(look, 50); })",
        timeout=300,
    )


def press(browser, selector):
    browser.run(f"document.querySelector({json.dumps(selector)}).click()")
    return answered(browser)


def shown(browser, name):
    return browser.run(f"document.getElementById({json.dumps(name)}).textContent")


CASES = [
    (score, covered, name)
    for score in (4.0, 2.5, 1.0)
    for covered in (1.0, 0.0)
    for name in DONE.regions + DONE.processings
]


@pytest.mark.slow
def test_the_page_chooses_the_words_that_detect_says(serve, tmp_path):
    told = {
        "regions": DONE.regions,
        "processings": DONE.processings,
        "threshold": 3.0,
        "unsure_above": 2.0,
        "guess": False,
        "words": words(DONE, 2.0, HEAD),
    }
    site = tmp_path / "site"
    site.mkdir()
    write_site([], 32, site)
    with chromium(tmp_path / "profile") as browser:
        browser.open(serve(site))
        for score, covered, name in CASES:
            evidence = {
                kind: [9.0 if label == name else None for label in told[kind]]
                for kind in ("regions", "processings")
            }
            results = {"score": [score], "covered": [covered], **evidence}
            script = (
                f"import('./verdict.js').then(m => m.verdictOf({json.dumps(told)}, Object.fromEntries("
                f"Object.entries({json.dumps(results)})"
                ".map(([k, v]) => [k, {data: v.map(n => n ?? NaN)}]))))"
            )
            said = browser.run(script)
            kind = "regions" if name in DONE.regions else "processings"
            facts = {
                "score": score,
                "threshold": 3.0,
                "unsure_above": 2.0,
                "flagged": score > 3.0,
                "verdict": verdict_word(score, 3.0, unsure_above=2.0, guess=not covered),
                "covered_by_calibration": bool(covered),
                kind: {name: 9.0},
            }
            wanted = explained(facts, HEAD)
            if not covered and score == 2.5:
                wanted["why"] = said["why"]  # of a guess the page does not tell how near it is
            assert {key: said[key] for key in wanted} == wanted
            assert said["word"].startswith(facts["verdict"])


@pytest.mark.slow
def test_a_picture_is_judged_in_the_browser_as_by_the_toolkit(
    magdr, workshop, serve, onnxruntime_web, tmp_path, astronaut
):
    """The example, its attacked version and a file of one's own; at both widths, light and dark."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    astronaut.save(tmp_path / "own.png")
    (tmp_path / "none.png").write_text("no picture")
    options = ["--registry", workshop / "small.toml", "--cache", workshop / "cache"]
    done = magdr("onnx", "parser.faces", "detector.magdr", *options, "--calibration", workshop / "c.json")
    assert done.code == 0, done.err
    site = tmp_path / "magdr-onnx"
    assert sum(file.stat().st_size for file in site.iterdir() if file.suffix != ".onnx") < 60_000
    onnxruntime_web(site)
    toolkit = Toolkit.from_registry(workshop / "small.toml").with_calibration(workshop / "c.json")
    pipeline = toolkit.magdr("editing", cache=workshop / "cache")
    url = serve(site)
    with chromium(tmp_path / "profile") as browser:
        browser.look(390)
        browser.open(f"{url}?ort={MODULE}")
        assert "Choose a picture first." in press(browser, "[value=verdict]")
        for i, name in enumerate(("example.png", "example-attacked.png")):
            press(browser, f"#examples button:nth-child({i + 1})")
            assert "Judged in" in press(browser, "[value=verdict]")
            judged_as(browser, pipeline, site / name)
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")

        browser.look(1280, dark=True)
        browser.choose("#picture", tmp_path / "own.png")
        answered(browser)
        press(browser, "[value=verdict]")
        judged_as(browser, pipeline, tmp_path / "own.png")
        assert "its parts: " in press(browser, "[value=networks]")
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")

        browser.choose("#picture", tmp_path / "none.png")
        assert "This did not work" in answered(browser)
        assert [u for u in browser.requested() if not u.startswith((url, "blob:"))] == []
        assert browser.complaints() == []


def judged_as(browser, pipeline, file):
    """The score that is shown is the toolkit's of the middle square, and so is the verdict."""
    (verdict,) = pipeline.detect(file, edits=BLOND, whole=True)
    score = float(shown(browser, "score").split(";")[0])
    assert score == pytest.approx(verdict.score, abs=0.02)
    assert shown(browser, "word").startswith(verdict.word)
