"""The pages at the root: links lead somewhere, and what is to be cited is said alike everywhere."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.test_docs import anchors
from tests.edits import edited

ROOT = Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("*.md"))
CITATION = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        file = (ROOT / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_pages_that_a_project_has_are_there_and_linked():
    for name in ("CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "CITATION.cff"):
        assert f"]({name})" in README
        assert (ROOT / name).is_file()


def test_the_release_to_cite_is_the_one_that_is_packaged():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert re.findall(r"^version: (.+)$", CITATION, re.M) == [project["version"]]
    assert re.findall(r"^  version = \{(.+)\}$", README, re.M) == [project["version"]]
    (author,) = project["authors"]
    assert re.findall(r"^  - name: (.+)$", CITATION, re.M) == [author["name"]]
    assert f"{{{{{author['name']}}}}}" in README
    assert re.findall(r"^license: (.+)$", CITATION, re.M) == [project["license"]]


def test_the_paper_of_the_method_is_cited_alike():
    title, authors, pages = (
        re.search(rf"^  {key} += \{{(.+)\}}", README, re.M)[1] for key in ("title", "author", "pages")
    )
    reference = CITATION.split("references:\n")[1].split("  - type: ")[1]
    assert edited(title, ("{MagDR}", "MagDR")) in reference
    assert reference.count("family-names") == len(authors.split(" and ")) == 5
    for author in authors.split(" and "):
        family, given = author.split(", ")
        assert f"- family-names: {family}\n        given-names: {given}\n" in reference
    first, last = pages.split("--")
    assert f'start: "{first}"\n    end: "{last}"' in reference


def test_citation_file_is_yaml_with_the_fields_that_the_format_requires():
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with other packages, or not")
    cff = yaml.safe_load(CITATION)
    assert {"cff-version", "message", "title", "authors"} <= set(cff)
    assert cff["cff-version"] == "1.2.0"
    for reference in cff["references"]:
        assert {"type", "title", "authors"} <= set(reference)
        assert all({"family-names", "given-names"} <= set(person) for person in reference["authors"])


# -- the page of a package index, which has no files of the repository beside it -------------------------

PACKAGE = (ROOT / "PACKAGE.md").read_text(encoding="utf-8")


def test_the_page_of_a_package_index_leads_nowhere_that_an_index_does_not_have():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["readme"] == "PACKAGE.md"
    targets = re.findall(r"\]\(([^)]+)\)", PACKAGE)
    assert targets
    assert set(targets) <= set(project["urls"].values())
    assert "![" not in PACKAGE
    for path in re.findall(r"`([\w./-]+(?:\.\w+|/))`", PACKAGE):
        assert (ROOT / path).exists() or path == "me.jpg", path


def test_the_page_of_a_package_index_says_what_the_readme_says():
    (first,) = re.findall(r"^# magdr\n\n(.*?)\n\n", README, re.S)
    assert " ".join(first.split()) in " ".join(PACKAGE.split())
    own, theirs = (re.search(r"^```\n(.*?)^```$", text, re.M | re.S)[1] for text in (README, PACKAGE))
    assert edited(own, ("pip install .", "pip install magdr")) == theirs


def test_papers_among_the_addresses_of_the_project_are_those_that_are_cited():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = set(re.findall(r"url: (https://arxiv\.org/\S+)", CITATION))
    named = {url for url in project["urls"].values() if "arxiv.org" in url}
    assert named == cited
