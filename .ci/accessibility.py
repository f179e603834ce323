"""Whether everybody can use the pages: axe-core and the Tab key, in headless Chromium.

python .ci/accessibility.py [--if-possible] [PAGE ...]      PAGE: beginnings of the names of pages

Each page is looked at in windows of 390 and 1280 pixels, light and dark. It fails on anything that axe-core
finds (WCAG 2 A and AA and its best practices), on what the Tab key does not reach, on a place of the focus
that nothing shows or that lies out of sight, and on a page that is wider than its window. The documentation
site is the one that `.ci/docs` has built.

axe-core comes from the npm registry into a temporary folder, Chromium from apt if there is none. Without them
it fails; with --if-possible it only says so.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # for `tests`; at the end, where it hides nothing that is installed

import accessibility_pages as pages  # noqa: E402

from tests.chromium import BROWSERS, Browser, chromium  # noqa: E402

AXE = "axe-core@4.14.1"
AXE_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
"""Of the package's archive, as the registry has it."""

WIDTHS = (1280, 390)
MOST_PLACES = 4
"""Places of one finding that are named."""


class MissingTool(Exception):
    """Something that is needed cannot be had."""


def axe_script(folder: Path) -> str:
    """axe-core's text, from the npm registry.

    Raises:
        MissingTool: it cannot be had, or is not the one that is meant.
    """
    try:
        done = subprocess.run(
            ["npm", "pack", AXE, "--silent", "--pack-destination", str(folder)],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise MissingTool(f"{AXE} cannot be had from npm: {e}") from None
    archive = folder / done.stdout.split()[-1]
    if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != AXE_SHA512:
        raise MissingTool(f"what npm has as {AXE} is another file than AXE_SHA512 says")
    with tarfile.open(archive) as package:
        file = package.extractfile("package/axe.min.js")
        assert file is not None
        return file.read().decode("utf-8")


def need_chromium() -> None:
    """Raises MissingTool where there is no Chromium and none can be installed."""
    if any(map(shutil.which, BROWSERS)):
        return
    try:
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "chromium"], capture_output=True, check=True, timeout=600
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise MissingTool(f"Chromium is not installed and cannot be: {e}") from None


def tab_faults(browser: Browser) -> Iterator[str]:
    """What is wrong with going through the page by the Tab key, a line each."""
    expected = browser.run("magdrLook.begin()")
    reached: set[int] = set()
    # Twice around: it begins wherever the focus was.
    for _ in range(2 * len(expected) + 10):
        if len(reached) == len(expected):
            break
        browser.press("Tab")
        here = browser.run("magdrLook.here()")
        if here is None or here["index"] in reached:
            continue
        if here["index"] >= 0:
            reached.add(here["index"])
        if not here["marked"]:
            yield f"nothing shows that the focus is at {here['words']}"
        if not here["inSight"]:
            yield f"the focus is out of sight at {here['words']}"
    yield from (f"no Tab leads to {name}" for i, name in enumerate(expected) if i not in reached)
    yield from (f"only a mouse can use {name}" for name in browser.run("magdrLook.mouseAlone()"))


def axe_faults(browser: Browser, *, colours_alone: bool) -> Iterator[str]:
    """What axe-core finds, a line each."""
    for one in browser.run(f"magdrLook.audit({str(colours_alone).lower()})", timeout=600)["found"]:
        places = one["where"]
        more = f" and {len(places) - MOST_PLACES} more" if len(places) > MOST_PLACES else ""
        yield (
            f"{one['rule']} ({one['impact']}): {one['help']}\n      "
            + "\n      ".join(places[:MOST_PLACES])
            + more
        )


def faults(browser: Browser, page: pages.Page, axe: str) -> Iterator[str]:
    """What is wrong with a page, in each window."""
    browser.look(WIDTHS[0])
    page.arrive(browser)
    browser.run(f"{axe}; 0")
    browser.run((Path(__file__).with_suffix(".js")).read_text(encoding="utf-8") + "; 0")
    for width in WIDTHS:
        browser.look(width)
        found = list(tab_faults(browser)) + list(axe_faults(browser, colours_alone=False))
        if browser.run("magdrLook.tooWide()"):
            found.append("the page is wider than the window")
        browser.look(width, dark=True)
        found += [f"dark: {one}" for one in axe_faults(browser, colours_alone=True)]
        yield from (f"{width} px: {one}" for one in found)


def all_pages(folder: Path, stack: ExitStack, wanted: Sequence[str]) -> Iterator[pages.Page]:
    """The pages whose names begin so; made one after another, as they are asked for."""
    makers: dict[str, Callable[[], list[pages.Page]]] = {
        "site": pages.site,
        "leaderboard": lambda: pages.leaderboard(folder),
        "adapt": lambda: pages.adaptation(folder),
        "compare": lambda: pages.comparison(folder),
        "report": lambda: pages.report(folder),
        "demo": lambda: pages.demo(folder),
        "onnx": lambda: stack.enter_context(pages.networks(folder)),
        "demo --serve": lambda: stack.enter_context(pages.served(folder)),
    }
    for kind, make in makers.items():
        if not wanted or any(kind.startswith(w) or w.startswith(kind) for w in wanted):
            yield from (p for p in make() if not wanted or any(p.name.startswith(w) for w in wanted))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--if-possible", action="store_true", help="succeed where axe-core or Chromium is not there"
    )
    parser.add_argument("pages", nargs="*", metavar="PAGE")
    options = parser.parse_args(arguments)
    failed = looked = 0
    with tempfile.TemporaryDirectory(prefix="magdr-look-") as name, ExitStack() as stack:
        folder = Path(name)
        try:
            axe = axe_script(folder)
            need_chromium()
        except MissingTool as e:
            print(f"accessibility not checked: {e}")
            return 0 if options.if_possible else 1
        browser = stack.enter_context(chromium(folder / "profile"))
        for page in all_pages(folder, stack, options.pages):
            start = time.perf_counter()
            found = list(faults(browser, page, axe))
            print(f"  {time.perf_counter() - start:6.1f} s, {len(found)} findings: {page.name}", flush=True)
            for fault in found:
                print(f"    {fault}", flush=True)
            looked += 1
            failed += len(found)
    print(f"{looked} pages, {failed} findings")
    return 1 if failed or not looked else 0


if __name__ == "__main__":
    raise SystemExit(main())
