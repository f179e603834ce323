"""The page: what stands on it, that it needs nothing else, and how it behaves in headless Chromium."""

from __future__ import annotations

import pytest

from magdr_core.compare import compare_folders
from magdr_core.report.compare import page_name, write_page
from tests.compare.conftest import REGISTRY, Folder, crowd, errors, filled
from tests.edits import edited
from tests.report.browser import Browser, chromium
from tests.report.page import Page

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page of two runs with regressions, improvements, changes, a failure and a hostile label."""
    root = tmp_path_factory.mktemp("page")
    text = edited(REGISTRY, ('eps = "6/255", steps = 30', f'eps = "6/255", steps = 30, remark = "{HOSTILE}"'))
    a = crowd(Folder(root / "a"), 0).cell("defense", "gone", {"mse_o": errors(1)})
    b = crowd(Folder(root / "b", text=text), 30)
    b.cell("defense", "gone", error=f"gone: {HOSTILE}").cell("defense", HOSTILE, {"mse_o": errors(1)})
    comparison = compare_folders(a.write(), b.write(), root / "cache")
    return comparison, write_page(comparison, root / page_name(a.path))


@pytest.fixture(scope="module")
def text(written):
    return written[1].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_page_is_well_formed_and_needs_nothing_else(page):
    assert page.scripts == 1, "its own, and none from a label"
    places = [value for _, name, value in page.attributes if name in ("src", "href", "action")]
    assert all(place.startswith("#") for place in places)
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    wanted = {v.removeprefix("#") for _, n, v in page.attributes if n == "href"}
    wanted |= {i for _, n, v in page.attributes if n in ("aria-labelledby", "for") for i in v.split()}
    assert wanted <= set(ids)


def test_hostile_labels_are_only_words(text, page):
    assert HOSTILE not in text
    assert page.text.count(HOSTILE) >= 3


def test_what_stands_out_has_regressions_first_with_figure_interval_p_and_n(page, written):
    rows = page.tables["What stands out: more than the threshold"]
    verdicts = [cells[5] for _, cells, _ in rows[1:] if cells]
    assert verdicts == sorted(verdicts, key=("regression", "uncertain", "improvement").index)
    assert verdicts.count("regression") == len(written[0].regressions) > 3
    head, cells, _ = next(r for r in rows if r[0].startswith("jpeg"))
    assert head == "jpeg mse_o; editing, pgd (eps 6/255, 30 steps)"
    assert cells[:3] == ["100.0", "130.0", "+30.0 30.0 to 30.0"]
    assert cells[3] == "0.001", "11 comparisons, and no p of random exchanges is below 1 in 10,000"
    assert cells[4:6] == ["24", "regression"]


def test_every_compared_figure_is_in_a_table(page, written):
    tables = [rows for caption, rows in page.tables.items() if caption.endswith(", editing")]
    figures = [cells for rows in tables for _, cells, _ in rows[1:] if cells]
    assert len(figures) == len(written[0].rows)


def test_changes_failures_and_what_is_not_compared_are_told(page):
    assert any(HOSTILE in cells[-1] for _, cells, _ in page.tables["Registry, settings and environment"])
    (head, cells, _) = page.tables["Cells that failed in A or B"][1]
    assert (head, cells[1]) == ("fails now", "editing, pgd (eps 6/255, 30 steps), defense gone")
    assert "Only in B" in page.text
    assert "adjusted after Holm" in page.text


def test_the_same_comparison_gives_the_same_page(written, text, tmp_path):
    assert write_page(written[0], tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_runs_without_a_difference_say_so(tmp_path):
    folders = [filled(Folder(tmp_path / name)).write() for name in "ab"]
    path = write_page(compare_folders(*folders, tmp_path / "cache"), tmp_path / "same.html")
    page = Page(path.read_text(encoding="utf-8"))
    for words in ("No figure differs by more than its threshold", "None in either run", "are the same"):
        assert words in page.text
    assert "B is worse" not in page.text


@pytest.fixture(scope="module")
def browser(tmp_path_factory, written):
    if chromium() is None:
        pytest.skip("no Chromium is installed")
    found = Browser(chromium(), tmp_path_factory.mktemp("profile"))
    found.open(written[1])
    yield found
    found.close()


SHOWN = """[...document.querySelectorAll('.task tr[data-verdict]')]
    .filter(e => e.checkVisibility()).map(e => e.dataset.verdict)"""


def test_browser_complains_of_nothing_and_asks_for_nothing(browser, written):
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.complaints() == []
    assert browser.requests() == [written[1].resolve().as_uri()]


def test_browser_rows_are_chosen_with_the_arrow_keys(browser, written):
    differing = [r for r in written[0].rows if not r.identical]
    assert len(browser.run(SHOWN)) == len(differing) < len(written[0].rows)
    browser.run("document.getElementById('rows-1').focus()")
    browser.press("ArrowRight")
    assert set(browser.run(SHOWN)) == {"regression", "improvement"}
    outline = "getComputedStyle(document.querySelector('#rows-2 + label')).outlineStyle"
    assert browser.run(outline) == "solid"
    browser.press("ArrowRight")
    assert len(browser.run(SHOWN)) == len(written[0].rows)
    browser.run("document.getElementById('rows-1').click()")


def test_browser_nothing_is_wider_than_the_screen(browser):
    for width in (1280, 400):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.call("Emulation.setDeviceMetricsOverride", **size)
        assert browser.run("document.documentElement.scrollWidth") <= width


def test_browser_words_stand_out_light_and_dark(browser):
    script = """(() => {
      const canvas = document.createElement('canvas').getContext('2d');
      const luminance = (colour) => {
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const c = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)
          .map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
      };
      const ground = luminance(getComputedStyle(document.body).backgroundColor);
      const places = '.verdict.regression .verdict.improvement .verdict.reference .causes .come small';
      return places.split(' ')
        .map(name => luminance(getComputedStyle(document.querySelector(name)).color))
        .map(l => (Math.max(l, ground) + 0.05) / (Math.min(l, ground) + 0.05));
    })()"""
    for scheme in ("light", "dark"):
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.call("Emulation.setEmulatedMedia", features=media)
        assert min(browser.run(script)) >= 4.5, scheme


def test_browser_everything_has_a_name_for_screen_readers(browser):
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = ("button", "image", "radio", "table", "region", "heading", "link")
    for node in nodes:
        if not node.get("ignored") and node["role"]["value"] in named:
            assert node.get("name", {}).get("value"), node
