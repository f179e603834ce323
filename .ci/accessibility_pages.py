"""The pages that accessibility.py looks at: made by magdr's own commands, or by its functions from made-up
figures where a command would take minutes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.chromium import Browser

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "site"
SITE_PAGES = ("docs/README", "docs/kinds/defenses", "docs/tasks/editing", "docs/registry", "docs/glossary")

UNFOLD = "document.querySelectorAll('details').forEach(d => d.open = true)"
ENLARGE = "document.querySelector('.zoom').click()"


@dataclass(frozen=True)
class Page:
    """A page, and how a browser gets there."""

    name: str
    arrive: Callable[[Browser], None]


def of_file(name: str, path: Path, *scripts: str) -> Page:
    """A page in a file, in the state that these scripts bring it into."""

    def arrive(browser: Browser) -> None:
        browser.open(path.resolve().as_uri())
        for script in (UNFOLD, *scripts):
            browser.run(script)

    return Page(name, arrive)


def site() -> list[Page]:
    """Pages of the documentation, which `.ci/docs` has built.

    Raises:
        FileNotFoundError: it has not.
    """
    paths = [SITE / f"{name}.html" for name in SITE_PAGES]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path.relative_to(ROOT)} is missing: bash .ci/docs")
    return [of_file(f"site, {path.relative_to(SITE)}", path) for path in paths]


def report(folder: Path) -> list[Page]:
    """The report of the smoke registry, as it is and with a picture enlarged."""
    _magdr("bench", ROOT / "benchmarks" / "registries" / "smoke.toml", "--out", folder / "run", folder=folder)
    path = folder / "run" / "report.html"
    return [of_file("report", path), of_file("report, a picture enlarged", path, ENLARGE)]


def demo(folder: Path) -> list[Page]:
    _magdr("demo", "--out", folder / "demo", folder=folder)
    return [of_file("demo", folder / "demo" / "demo.html")]


def comparison(folder: Path) -> list[Page]:
    """Two hand-written runs with regressions, improvements and a failure."""
    from magdr_core.compare import compare_folders
    from magdr_core.report.compare import write_page
    from tests.compare.conftest import Folder, crowd, errors

    a = crowd(Folder(folder / "a"), 0).cell("defense", "gone", {"mse_o": errors(1)})
    b = crowd(Folder(folder / "b"), 30).cell("defense", "gone", error="gone: it cannot be built")
    path = write_page(compare_folders(a.write(), b.write(), folder / "cache"), folder / "compare.html")
    return [of_file("compare", path)]


def leaderboard(folder: Path) -> list[Page]:
    entries = ROOT / "benchmarks" / "leaderboard" / "quick.csv"
    _magdr("leaderboard", "page", entries, "--out", folder / "board", folder=folder)
    return [of_file("leaderboard", folder / "board" / "index.html")]


def adaptation(folder: Path) -> list[Page]:
    """The page of `magdr adapt` with made-up figures: the command trains for minutes."""
    from magdr_core.adapt.page import write_page
    from magdr_core.adapt.tables import GeneratorSource
    from magdr_core.registry.read import read_registry
    from tests.adapt.world import SIZE, made_up, write_world

    source = GeneratorSource(
        read_registry(write_world(folder / "world")), "sharp", folder / "adapt", SIZE, ()
    )
    counts = {"train": 120, "calibration": 40, "test": 40}
    path = write_page(folder / "adapt.html", source, made_up(0.012, -0.2, -0.15), no_twin="", pictures=counts)
    return [of_file("adapt", path)]


SHOW_ANSWER = """
const answer = async () => {
  const told = await (await fetch("models.json")).json(), { verdictOf } = await import("./verdict.js");
  const data = (values) => ({ data: values });
  const said = verdictOf(told.verdict, { score: data([4]), regions: data([5, 1]), processings: data([2]) });
  for (const [id, text] of Object.entries(said)) {
    if (document.getElementById(id)) document.getElementById(id).textContent = text;
  }
  document.getElementById("word").classList.add(said.mark);
  document.querySelectorAll("[hidden]").forEach((part) => { part.hidden = false; });
};
answer()"""


@contextmanager
def networks(folder: Path) -> Iterator[list[Page]]:
    """The page of `magdr onnx`, which is served, with made-up networks; and with a verdict."""
    from magdr_core.cli.onnx_verdict import words
    from magdr_core.to_onnx.convert import Converted
    from magdr_core.to_onnx.detectors import ConvertedDetector
    from magdr_core.to_onnx.site import write_site

    score = ("score", "regions", "processings")
    done = ConvertedDetector("magdr", "d.onnx", 1, 0.0, score, ("skin", "nose"), ("jpeg",), 3.0)
    verdict = {
        **asdict(done),
        "asked": "blond hair",
        "taken_for_granted": ["no eyeglasses"],
        "unsure_above": 2.0,
        "guess": False,
        "examples": ["example.png", "example-attacked.png"],
        "words": words(done, 2.0, {"command": "detect", "false_alarms": 0.01}),
    }
    models = [Converted(kind, "a", "a.onnx", 1, 0.0, True) for kind in ("restoration", "parser", "forensic")]
    write_site(models, 64, folder / "networks", verdict=verdict)
    handler = partial(_Quiet, directory=str(folder / "networks"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"

        def judged(browser: Browser) -> None:
            browser.open(url)
            browser.run(SHOW_ANSWER)

        try:
            yield [
                Page("onnx", lambda browser: browser.open(url)),
                Page("onnx, a verdict", judged),
            ]
        finally:
            server.shutdown()


@contextmanager
def served(folder: Path) -> Iterator[list[Page]]:
    """`magdr demo --serve`: its form, its answer about the example picture, and its answer to no picture."""
    with subprocess.Popen(
        _command("demo", "--serve", "--port", "0", folder=folder),
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=_environment(),
    ) as server:
        assert server.stdout is not None
        try:
            url = next(word for line in server.stdout for word in line.split() if word.startswith("http://"))

            def asked(browser: Browser) -> None:
                browser.open(url)
                browser.click("[name=example]", timeout=600)

            def refused(browser: Browser) -> None:
                none = folder / "none.png"
                none.write_text("no picture", encoding="utf-8")
                browser.open(url)
                browser.choose("#picture", none)
                browser.click("button[type=submit]")

            yield [
                Page("demo --serve", lambda browser: browser.open(url)),
                Page("demo --serve, an answer", asked),
                Page("demo --serve, no picture", refused),
            ]
        finally:
            server.terminate()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *told: object) -> None:
        """Nothing: what is asked for is no finding."""


def _command(*arguments: object, folder: Path) -> list[str]:
    cache = ("--cache", folder / "cache") if arguments[0] in ("bench", "demo") else ()
    return [sys.executable, "-m", "magdr_core", *map(str, (*arguments, *cache))]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONUNBUFFERED": "1"}


def _magdr(*arguments: object, folder: Path) -> None:
    """Raises subprocess.CalledProcessError, after what the command said."""
    command = _command(*arguments, folder=folder)
    done = subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n")
        done.check_returncode()
