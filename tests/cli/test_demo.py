"""magdr demo: one photograph attacked, judged and restored, on one page."""

import base64
import io
import re
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.cli import demo
from magdr_core.cli.wishes import in_words
from magdr_core.inference import Pipeline
from magdr_core.registry.read import packaged_registry
from magdr_core.toolkit import Toolkit
from tests.edits import edited


@pytest.fixture
def shown(magdr, workshop, tmp_path):
    """`shown("never", ...)`: with the small registry, whose detector flags what the first argument says."""

    def run(flags, *arguments):
        text = (workshop / "small.toml").read_text()
        text = edited(text, ("[calibration]", f'[calibration]\nfile = "{workshop / flags}.json"'))
        (tmp_path / "r.toml").write_text(text)
        return magdr("demo", "--registry", "r.toml", "--cache", workshop / "cache", *arguments)

    return run


def pictures(page):
    """The page's pictures by what they are called, `[H,W,3]`."""
    found = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', page)
    return {
        name: np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)
        for data, name in found
    }


def errors(page):
    """The table's mean squared errors, untouched, attacked and restored."""
    return [float(v.replace(",", "")) for v in re.findall(r"photograph</th><td>([\d,.]+)</td>", page)]


def test_the_packaged_registry_is_enough_and_nothing_is_fetched(magdr, monkeypatch, tmp_path):
    """In an empty folder, with an empty home and every connection refused; a few steps of the attack."""

    def refuse(*given, **named):
        raise AssertionError("a connection was asked for")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    few = lambda toolkit, *_: toolkit.sibling("attack", "pgd", eps=6 / 255, steps=2)  # noqa: E731
    monkeypatch.setattr(demo, "ready_attack", few)
    done = magdr("demo")
    assert done.code == 0, done.err
    assert [p.name for p in tmp_path.iterdir()] == ["magdr-demo"]
    assert [p.name for p in (tmp_path / "magdr-demo").iterdir()] == ["demo.html"]
    page = (tmp_path / "magdr-demo" / "demo.html").read_text()
    assert not re.search(r"https?://|<script|<link|url\(", page)
    assert len(pictures(page)) == 7
    assert "Eileen Collins" in page
    sentence = done.out.splitlines()[-4]
    assert sentence.startswith("A change of a photograph by at most 6 of 255 brightness levels")
    assert sentence in page


def test_figures_are_those_of_the_commands_on_files(shown, own, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    assert shown("never", "--photo", "a.png").code == 0
    page = (tmp_path / "magdr-demo" / "demo.html").read_text()
    (attack,) = own("attack", "a.png", "--json").document["results"]
    untouched, attacked, restored = errors(page)
    assert untouched == 0
    assert attacked == pytest.approx(attack["output_mse"] * 255**2 / 4, abs=0.51 + 255**2 / 4 * 5e-5)
    assert restored > 0
    (verdict,) = own("detect", "a.png", "--json").document["results"]
    assert f"score {verdict['score']:.2f}, not above the threshold" in page
    images = pictures(page)
    side = attack["cut"]["side"]
    assert images["The photograph: the face in the picture"].shape == (max(side, 256),) * 2 + (3,)
    grey = images[next(name for name in images if "difference" in name)]
    assert grey.min() <= 127 - 6 * 20
    assert abs(np.median(grey) - 127) < 127


def test_a_photograph_that_is_not_noticed_is_said_to_be_so(shown, tmp_path):
    done = shown("never")
    page = (tmp_path / "magdr-demo" / "demo.html").read_text()
    assert "did not notice the change, left the untouched photograph alone" in done.out
    assert "Looks untouched: right" in page
    assert "Looks untouched: wrong" in page
    assert "and not noticed</h1>" in page
    assert "Not asked for" in page
    assert "price of a false alarm" not in page


def test_a_false_alarm_is_said_and_has_its_price(shown, monkeypatch, tmp_path):
    defend = Pipeline.defend

    def negative_photograph(self, x, c):
        outcome = defend(self, x, c)
        return replace(outcome, restored=torch.cat([1 - x[:1], outcome.restored[1:]]))

    monkeypatch.setattr(Pipeline, "defend", negative_photograph)
    done = shown("always")
    page = (tmp_path / "magdr-demo" / "demo.html").read_text()
    assert "noticed the change, suspected the untouched photograph as well" in done.out
    assert "Looks attacked: wrong" in page
    (price,) = re.findall(
        r"Its edit is off by ([\d.]+) levels .*?, which is the price of a false alarm", page
    )
    assert float(price) > 0


def test_the_photograph_may_show_and_be_asked_for_something_else(shown, astronaut, tmp_path):
    astronaut.convert("L").save(tmp_path / "<grey>.png")
    done = shown("never", "--photo", "<grey>.png", "--set", "Smiling=0", "--has", "Smiling", "--out", "here")
    assert done.code == 0, done.err
    page = (tmp_path / "here" / "demo.html").read_text()
    assert "asked for no smiling" in done.out
    assert "The photograph &lt;grey&gt;.png" in page
    for name, image in pictures(page).items():
        if name.endswith("the face in the picture") and image.shape[0] == 256:
            assert (image.max(2) - image.min(2)).max() <= 1, name


def test_a_wish_that_cannot_be_granted_is_one_line(shown, tmp_path):
    done = shown("never", "--set", "Blond_Hair", "--has", "Blond_Hair")
    assert done.code == 2
    assert "changes nothing" in done.err
    done = shown("never", "--task", "edting")
    assert done.code == 2
    assert "did you mean 'editing'" in done.err
    assert not (tmp_path / "magdr-demo").exists()


def test_every_kind_of_generator_is_asked_for_something_that_it_knows():
    toolkit = Toolkit.from_registry(packaged_registry(), device="cpu")
    assert demo.asked_for(toolkit, None, {}) == ("editing", {"Blond_Hair": 1.0})
    first = toolkit.generator("reenactment").condition_names[0]
    assert demo.asked_for(toolkit, "reenactment", {}) == ("reenactment", {first: 1.0})
    assert demo.asked_for(toolkit, "replacement", {}) == ("replacement", {})
    assert demo.asked_for(toolkit, None, {"Smiling": 1.0}) == ("editing", {"Smiling": 1.0})


def test_the_page_is_opened_where_that_is_asked_for(shown, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or len(opened) > 1)
    done = shown("never", "--open")
    assert done.code == 0
    assert opened == [(tmp_path / "magdr-demo" / "demo.html").as_uri()]
    assert "no web browser could be opened" in done.out
    assert "no web browser" not in shown("never", "--open").out
    assert shown("never").code == 0
    assert len(opened) == 2


def test_a_photograph_that_cannot_be_used_is_one_line(shown, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    for name, reason in (
        ("black.png", "no face was found; take a photograph"),
        ("missing.png", "missing.png"),
    ):
        done = shown("never", "--photo", name)
        assert done.code == 2
        assert reason in done.err
        assert "--whole" not in done.err, "the command has no such option"
        assert len(done.err.splitlines()) == 1
    (tmp_path / "file").touch()
    assert "a folder is needed there" in shown("never", "--out", "file/below").err
    assert not (tmp_path / "magdr-demo").exists()


def test_conditions_are_said_as_people_say_them():
    assert in_words("Blond_Hair", 1.0) == "blond hair"
    assert in_words("Eyeglasses", 0.0) == "no eyeglasses"
    assert in_words("AU12", 0.5) == "AU12"
