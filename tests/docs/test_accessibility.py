"""The accessibility job finds what keyboards cannot use, and does not pass for want of its tools."""

from __future__ import annotations

import importlib
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.chromium import BROWSERS, chromium
from tests.edits import edited

ROOT = Path(__file__).parents[2]

needs_browser = pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no Chromium is installed")

PAGE = """<!DOCTYPE html><html lang="en"><head><title>page</title><style>
.bare:focus { outline: none } .gone { position: absolute; left: -999px }
</style></head><body><main><h1>Page</h1>BODY</main></body></html>"""

GOOD = """<a href="#">one</a> <button>two</button>
<details><summary>three</summary><a href="#">folded</a></details>
<input type="radio" name="a" id="r1" checked><label for="r1">four</label>
<input type="radio" name="a" id="r2"><label for="r2">of the same group</label>
<p style="height: 2000px"></p><a href="#">far below</a>"""


@pytest.fixture(scope="module")
def job():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / ".ci"))
        yield importlib.import_module("accessibility")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as found:
        found.look(390)
        yield found


@pytest.fixture
def faults(job, browser, tmp_path):
    """`faults(BODY)`: what the Tab key meets on such a page."""

    def find(body):
        page = tmp_path / "page.html"
        page.write_text(edited(PAGE, ("BODY", body)), encoding="utf-8")
        browser.open(page.as_uri())
        browser.run((ROOT / ".ci" / "accessibility.js").read_text(encoding="utf-8") + "; 0")
        return list(job.tab_faults(browser))

    return find


@needs_browser
def test_a_page_for_everybody_has_no_fault(faults):
    assert faults(GOOD) == []


@needs_browser
@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<button class="bare">x</button>', "nothing shows that the focus is at <button"),
        ('<a href="#" class="gone">x</a>', "the focus is out of sight at <a"),
        ('<button tabindex="-1">x</button>', "no Tab leads to <button"),
        ('<input type="checkbox" id="b" hidden><label for="b">x</label>', "only a mouse can use <label"),
    ],
)
def test_what_a_keyboard_cannot_use_is_found(faults, body, fault):
    found = faults(GOOD + body)
    assert len(found) == 1
    assert found[0].startswith(fault)


def test_without_its_tools_the_job_fails_in_one_line(job, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert job.main([]) == 1
    told = capsys.readouterr().out
    assert told.count("\n") == 1
    assert "axe-core" in told
    assert job.main(["--if-possible"]) == 0


def test_another_file_than_the_pinned_one_is_not_run(job, monkeypatch, tmp_path):
    (tmp_path / "axe.min.js").write_text("other()", encoding="utf-8")
    with tarfile.open(tmp_path / "axe.tgz", "w:gz") as archive:
        archive.add(tmp_path / "axe.min.js", "package/axe.min.js")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho axe.tgz\n", encoding="utf-8")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(job.MissingTool, match="another file"):
        job.axe_script(tmp_path)


def test_ci_looks_at_the_pages_after_the_site_is_built():
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert run.index("job bash .ci/docs") < run.index("job .venv/bin/python .ci/accessibility.py")
