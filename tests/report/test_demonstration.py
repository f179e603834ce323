"""The page of a demonstration: it says what happened, whatever that was, and is readable everywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from magdr_core.inference.demonstration import Demonstration, Version
from magdr_core.magdr import Verdict
from magdr_core.report.demonstration import (
    DemoSetting,
    change,
    headline,
    off,
    render,
    sentence,
    times,
    write_page,
)
from tests.report.browser import Browser, chromium

SETTING = DemoSetting("blond hair", "pgd", "A made-up picture", 0.01, True, 64)


def version(error, level=0.5):
    return Version(torch.full((3, 300, 300), level), torch.full((3, 64, 64), level), error)


def verdict(disrupted, plan=()):
    return Verdict(disrupted, 5.16 if disrupted else 1.99, 2.27, True, len(plan), plan, {}, {})


def story(
    *, attacked=400.0, restored=40.0, disrupted=True, noticed=True, alarm=False, plan=("median",), anew=None
):
    return Demonstration(
        version(0.0),
        version(attacked, 0.5 + 6 / 255),
        version(restored),
        verdict(alarm),
        verdict(noticed, plan if noticed else ()),
        disrupted,
        6,
        anew,
        12.25 if alarm else None,
    )


@pytest.mark.parametrize(
    ("told", "head", "words"),
    [
        (
            story(),
            "Attacked, noticed, repaired",
            "go wrong; magdr noticed the change, left the untouched photograph alone, "
            "and repaired the picture, so that 90% of the damage to the edit is gone.",
        ),
        (
            story(restored=300.0),
            "Attacked, noticed, not repaired",
            "and removed no more than 25% of the damage to the edit.",
        ),
        (
            story(restored=500.0),
            "Attacked, noticed, not repaired",
            "and made the edit no better by repairing the picture.",
        ),
        (
            story(restored=400.0, plan=()),
            "Attacked, noticed, not repaired",
            "and found no way to repair the picture.",
        ),
        (
            story(noticed=False),
            "Attacked, and not noticed",
            "did not notice the change, left the untouched photograph alone, "
            "and would have removed 90% of the damage to the edit, had it noticed.",
        ),
        (
            story(noticed=False, restored=500.0),
            "Attacked, and not noticed",
            "and could not have repaired it either.",
        ),
        (
            story(alarm=True),
            "Attacked, noticed, repaired",
            "noticed the change, suspected the untouched photograph as well, and repaired",
        ),
        (
            story(disrupted=False),
            "Attacked without much effect, noticed, repaired",
            "was to make a face editor that was asked for blond hair go wrong, and hardly did; magdr noticed",
        ),
        (
            story(disrupted=False, noticed=False),
            "Attacked without much effect, and not noticed",
            "hardly did; magdr did not notice",
        ),
        (
            story(disrupted=False, attacked=0.0, restored=0.0),
            "Attacked without much effect, and noticed",
            "and had no damage to repair.",
        ),
    ],
)
def test_the_sentence_says_what_happened(told, head, words):
    assert headline(told) == head
    said = sentence(told, SETTING)
    assert words in said
    assert said.startswith("A change of a photograph by at most 6 of 255 brightness levels, hard to see,")
    assert said.count(".") == 1
    page = render(told, SETTING)
    assert f"<h1>{head}</h1>" in page
    assert said in page


def test_a_generator_that_takes_no_wish_is_said_to_be_asked_for_nothing():
    nothing = replace(SETTING, asked="")
    assert "asked for" not in sentence(story(), nothing)
    assert "asked for" not in re.sub(r"<span class=.said.*?</span>", "", render(story(noticed=True), nothing))


def test_the_page_says_what_is_a_guess_and_what_is_not():
    assert "faces that magdr draws itself" in render(story(), SETTING)
    assert "no picture or edit like these" in render(story(), replace(SETTING, drawn=False))
    sure = replace(
        story(),
        verdict_on_photograph=replace(verdict(False), guess=False),
        verdict_on_attacked=replace(verdict(True, ("median",)), guess=False),
    )
    assert "guesses" not in render(sure, SETTING)


def test_figures_are_errors_and_their_roots():
    page = render(story(attacked=1234.5, restored=100.0, anew=81.0, alarm=True), SETTING)
    rows = re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td>', page)
    assert rows == [
        ("untouched photograph", "0", "0.0"),
        ("attacked photograph", "1,234", "35.1"),
        ("restored photograph", "100", "10.0"),
    ]
    assert "9.0 levels (a mean squared error of 81)" in page
    assert "3.5 levels (a mean squared error of 12)" in page  # of the false alarm
    assert off(0.0) == "0.0 levels (a mean squared error of 0)"
    assert "cuts it out" not in render(story(), SETTING)


def test_the_change_is_shown_as_strong_as_fits():
    told = story()
    assert times(told) == 21
    assert change(told, 21).mul(255).round().unique().tolist() == [127 + 21 * 6]
    assert times(replace(told, moved=0)) == 127
    assert times(replace(told, moved=200)) == 1


def test_names_from_outside_are_text():
    page = render(story(), replace(SETTING, picture="<b>\u202eme</b>", notes=("turned <i>",)))
    assert "&lt;b&gt;" in page
    assert "Turned &lt;i&gt;." in page
    assert "\u202e" not in page


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if chromium() is None:
        pytest.skip("no Chromium is installed")
    found = Browser(chromium(), tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_the_screen_and_asks_for_nothing(browser, tmp_path, width, scheme):
    path = write_page(
        story(alarm=True, anew=81.0, plan=("sharpen(amount=0.25) > purifier-editing",)), SETTING, tmp_path
    )
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False
    )
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(path)
    assert browser.run("document.documentElement.scrollWidth") <= width
    inside = "[...document.images, ...document.querySelectorAll('table, pre')]"
    assert browser.run(f"Math.max(...{inside}.map(e => e.getBoundingClientRect().right))") <= width
    assert browser.complaints() == []
    assert browser.requests() == [path.resolve().as_uri()]
    sizes = browser.run(
        "Promise.all([...document.images].map(i => i.decode())).then(() =>"
        "[...document.images].map(i => [i.naturalWidth, i.naturalHeight]))"
    )
    assert [tuple(size) for size in sizes] == [(300, 300), (256, 256)] * 3 + [(300, 300)]
    beside = "(c => c[1].getBoundingClientRect().top - c[0].getBoundingClientRect().top)"
    rows = browser.run(f"{beside}(document.querySelectorAll('.version'))")
    assert (rows == 0) == (width == 1280), "cards are side by side where there is room"
    pairs = browser.run(f"{beside}(document.querySelectorAll('.version img'))")
    assert (pairs == 0) == (width == 390), "a picture and its edit are, where there is none"


def test_on_paper_the_first_page_has_the_pictures(browser, tmp_path):
    path = write_page(story(), SETTING, tmp_path)
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=1032, height=703, deviceScaleFactor=1, mobile=False
    )
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        browser.open(path)
        # A4, landscape, within its margins: 186 mm.
        bottom = browser.run("document.querySelector('.versions').getBoundingClientRect().bottom")
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")
    assert 300 < bottom < 186 / 25.4 * 96


def test_every_part_has_a_name_for_screen_readers(browser, tmp_path):
    browser.open(write_page(story(), SETTING, tmp_path))
    browser.call("Accessibility.enable")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = [n for n in nodes if not n.get("ignored") and n["role"]["value"] in ("image", "table", "heading")]
    assert all(n.get("name", {}).get("value") for n in named)
    levels = [
        int(p["value"]["value"])
        for n in named
        if n["role"]["value"] == "heading"
        for p in n["properties"]
        if p["name"] == "level"
    ]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
