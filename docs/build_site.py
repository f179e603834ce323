"""Builds the documentation site and checks it. Needs `pip install -e ".[docs]"`.

python docs/build_site.py [FOLDER]      FOLDER is build/site if left out

Strict: a warning of Sphinx is an error, as is a link or an anchor that leads nowhere, a page that nothing
leads to, and anything that a browser would fetch from elsewhere in order to show a page.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

DOCS = Path(__file__).parent
MADE_BY_SPHINX = {"genindex.html", "py-modindex.html", "search.html"}
"""Pages that the theme reaches by a form or not at all."""

ELSEWHERE = re.compile(r"(?:https?:)?//")
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
"""Elements whose attribute a browser fetches as soon as it shows the page; `link` depends on its `rel`."""

NOT_FETCHED = {"canonical", "next", "prev", "search", "index", "alternate", "author", "license", "help"}
CSS_URL = re.compile(r"@import\s+[\"']([^\"']+)|url\(\s*[\"']?([^\"')]+)")


@dataclass
class Page(HTMLParser):
    """The anchors of a page, where its links lead, and what it needs to be shown."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.anchors |= {told[name] for name in ("id", "name") if told.get(name)}
        if tag == "a" and told.get("href"):
            self.links.append(told["href"])
        elif tag == "link" and not set(told.get("rel", "").lower().split()) & NOT_FETCHED:
            self.needs.append(told.get("href", ""))
        elif told.get(FETCHED.get(tag, "")):
            self.needs.append(told[FETCHED[tag]])
        self.needs += _fetched_by_css(told.get("style", ""))


def read(page: Path) -> Page:
    parsed = Page()
    parsed.feed(page.read_text(encoding="utf-8"))
    parsed.close()
    return parsed


def faults(folder: Path) -> Iterator[str]:
    """What is wrong with a built site, a line each."""
    pages = {path.resolve(): read(path) for path in sorted(folder.rglob("*.html"))}
    reached = set()
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        for link in (*page.links, *page.needs):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                yield f"{name}: {link} leads nowhere"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name}: {link}: no such anchor"
            if target != path:
                reached.add(target)
        for need in page.needs:
            if ELSEWHERE.match(need):
                yield f"{name}: needs {need} from elsewhere"
    start = (folder / "index.html").resolve()
    for path in pages:
        if path not in reached and path != start and path.name not in MADE_BY_SPHINX:
            yield f"{path.relative_to(folder.resolve())}: nothing leads there"
    for sheet in sorted(folder.rglob("*.css")):
        for need in _fetched_by_css(sheet.read_text(encoding="utf-8")):
            if ELSEWHERE.match(need):
                yield f"{sheet.relative_to(folder)}: needs {need} from elsewhere"


def _fetched_by_css(text: str) -> list[str]:
    return [imported or url for imported, url in CSS_URL.findall(text)]


def build(folder: Path) -> int:
    """Sphinx's exit status."""
    from sphinx.cmd.build import build_main

    source = str(DOCS.parent)
    return build_main(["-c", str(DOCS), "-W", "--keep-going", "-q", "-T", source, str(folder)])


def main(folder: Path) -> int:
    status = build(folder)
    if status:
        return status
    # An overview of sources that no page links to, and that itself links to one which is not made.
    (folder / "_modules" / "index.html").unlink(missing_ok=True)
    found = list(faults(folder))
    for fault in found:
        print(fault)
    pages = len(list(folder.rglob("*.html")))
    print(f"{folder}: {pages} pages, {len(found)} fault{'s' * (len(found) != 1)}; begin at index.html")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS.parent / "build" / "site"))
