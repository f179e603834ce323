"""A report as the tests read it."""

from __future__ import annotations

from html.parser import HTMLParser

from magdr_core.report import write_report

VOID = ("meta", "img", "input", "link", "br")


class Page(HTMLParser):
    """What the tests look at: tables as texts with the marks of their cells, and every attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[tuple[str, list[str], list[bool]]]] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self._open: list[str] = []
        self._caption = ""
        self._cell: list[str] | None = None
        self._class = ""
        self.text = ""
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.scripts += tag == "script"
        if tag not in VOID:
            self._open.append(tag)
        if tag == "caption":
            self._caption = ""
        if tag == "tr":
            self._grouping = dict(attrs).get("class") == "groups"
            self._row: list[str] = []
            self._best: list[bool] = []
        if tag in ("td", "th"):
            self._cell, self._class = [], dict(attrs).get("class") or ""

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, f"<{tag}> is closed in the wrong place"
        if tag == "caption":
            self.tables[self._caption.strip()] = []
        if tag in ("td", "th"):
            self._row.append(" ".join("".join(self._cell).split()))
            self._best.append(self._class == "best")
            self._cell = None
        if tag == "tr" and not self._grouping:  # what stands above the heads of columns
            self.tables[self._caption.strip()].append((self._row[0], self._row[1:], self._best[1:]))

    def handle_data(self, data):
        if "script" in self._open or "style" in self._open:
            return
        self.text += data
        if self._open and self._open[-1] == "caption":
            self._caption += data
        elif self._cell is not None:
            self._cell.append(data)

    def block(self, caption, title):
        """The rows under a block's heading; the whole table has the heading ''."""
        rows = self.tables[caption]
        heads = [i for i, (_, cells, _) in enumerate(rows) if not cells]
        start = next(i for i in heads if rows[i][0].startswith(title)) + 1 if title else 1
        return rows[start : next((i for i in heads if i >= start), len(rows))]


def page_of(run):
    """The report of a hand-written run."""
    return Page(write_report(run.write()).read_text(encoding="utf-8"))


def page_in(folder):
    """A report that is there already."""
    return Page(text_in(folder))


def text_in(folder):
    return (folder / "report.html").read_text(encoding="utf-8")
