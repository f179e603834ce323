"""What the documentation says is so: links lead somewhere, code runs, commands exist."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import torch

from magdr_core.errors import MagdrError
from magdr_core.hosting.core import core_kinds
from magdr_core.hosting.manager import BUILTIN, PluginHost
from magdr_core.registry.read import default_registry, parse_registry, read_registry

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
NOTEBOOK = DOCS / "tutorial.ipynb"
TESTED_ELSEWHERE = {"checkpoints.md", "writing-a-plugin.md"}
"""Their code blocks have tests of their own."""


def blocks(page, *languages):
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```([a-z]*)\n(.*?)^```$", text, re.M | re.S)
    return [code for language, code in found if language in languages]


def named(page):
    """Where a page is below docs/, for the names of tests and for messages."""
    return page.relative_to(DOCS).as_posix()


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{named(page)}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{named(page)}: {target}"


def test_the_index_names_every_page():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = index + re.sub(r"\]\(", "](api/", (DOCS / "api" / "README.md").read_text(encoding="utf-8"))
    missing = [named(page) for page in PAGES if page.parent != DOCS or page.name != "README.md"]
    missing = [name for name in missing if f"({name})" not in linked]
    # Some pages belong to other parts and are added to the index with them.
    assert set(missing) <= {
        *("writing-a-plugin.md", "comparing-runs.md", "adaptive-attacks.md", "defense-authors-guide.md"),
    }


@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if blocks(p, "python") and p.name not in TESTED_ELSEWHERE],
    ids=named,
)
def test_python_runs_as_it_is_written(page, tmp_path, monkeypatch):
    """The blocks of a page one after the other, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    state = torch.get_rng_state()
    for code in blocks(page, "python"):
        exec(compile(code, page.name, "exec"), names)
    assert torch.equal(state, torch.get_rng_state())


def test_the_notebook_runs_as_it_is_written(tmp_path, monkeypatch):
    """Its cells one after the other, without Jupyter; the site's build runs it with Jupyter."""
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names = {"__name__": NOTEBOOK.stem}
    state = torch.get_rng_state()
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), names)
    assert torch.equal(state, torch.get_rng_state())
    # What its text says of its figures.
    assert not any(verdict.disrupted for verdict in names["magdr"].detect(names["noise"], names["c"]))
    assert all(verdict.disrupted for verdict in names["verdicts"])
    after, before = (
        names["error"](names["G"](names["restored"], names["c"])),
        names["error"](names["disrupted"]),
    )
    assert all(a < b / 4 for a, b in zip(after, before, strict=True))
    assert names["row"].oblivious.value < names["row"].undefended.value


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 4
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


TABLES = core_kinds().keys() - {"augmentation", "restoration"}
"""Kinds whose pages have a table of all components; of the other two a picture has them, or their stages."""


@pytest.mark.parametrize("kind", core_kinds(), ids=str)
def test_every_kind_has_a_page_with_an_example_that_names_its_components(kind):
    page = DOCS / "kinds" / f"{core_kinds()[kind].plural}.md"
    assert blocks(page, "python")
    text = page.read_text(encoding="utf-8")
    assert f"](../registry.md#{core_kinds()[kind].plural})" in text
    assert f"]({page.name})" in (DOCS / "kinds" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", sorted(TABLES))
def test_a_page_with_a_table_of_components_has_all_of_them(kind):
    host = PluginHost()
    host.load(BUILTIN)
    built_in = {e.name for e in host.entries(kind) if e.origin.namespace == BUILTIN}
    text = (DOCS / "kinds" / f"{core_kinds()[kind].plural}.md").read_text(encoding="utf-8")
    told = {
        n
        for line in text.splitlines()
        if line.startswith("| `")
        for n in re.findall(r"`([\w-]+)`", line.split("|")[1])
    }
    assert told == built_in


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "toml") and p.name not in TESTED_ELSEWHERE], ids=named
)
def test_toml_is_a_part_of_a_registry(page):
    for text in blocks(page, "toml"):
        tomllib.loads(text)
        try:
            parse_registry(text, Path(page.name))
        except MagdrError as e:
            pytest.fail(str(e))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_and_their_options_exist(page):
    for line in shell_lines(page):
        words = line.split()
        if words[0] == "python":
            script = next(w for w in words[1:] if not w.startswith("-"))
            assert (ROOT / script).is_file(), line
        elif words[0] == "magdr":
            check(words[1:], line)
        else:
            assert words[0] in ("pip", "git"), line


def shell_lines(page):
    for code in blocks(page, "", "console"):
        for line in code.splitlines():
            # Of console blocks only what follows the prompt was typed; other blocks without a language may be
            # pictures of folders.
            typed = line.removeprefix("$ ")
            if line.startswith("$ ") or line.startswith(("magdr ", "python ", "pip ")):
                yield typed.partition("  #")[0].strip()
    for line in re.findall(r"`((?:magdr|python) [^`]*)`", page.read_text(encoding="utf-8")):
        if not re.search(r"[A-Z|\[]{3,}|\.\.\.", line):
            yield line


def check(words, line):
    """A magdr command: its name, its options and how many values they take."""
    import click

    from magdr_core.hosting.commands import core_commands

    assert words[0] in core_commands(), line
    command = command_of(words[0])
    rest = words[1:]
    while isinstance(command, click.Group):
        if not rest:
            return
        assert rest[0] in command.commands, line
        command, rest = command.commands[rest[0]], rest[1:]
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"-h", "--help"}
    for word in rest:
        if word.startswith("-"):
            assert word.partition("=")[0] in known, line


def command_of(name):
    import importlib

    return importlib.import_module(f"magdr_core.cli.{name}").command


def test_profiles_and_registries_that_are_named_exist():
    registry = parse_registry((ROOT / "registry.toml").read_text(encoding="utf-8"), default_registry())
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        known = {*registry.profiles, *re.findall(r"^ *\[profile\.([\w-]+)\]", text, re.M)}
        for path in set(re.findall(r"benchmarks/registries/[\w.-]+\.toml", text)):
            assert (ROOT / path).is_file(), f"{named(page)}: {path}"
            known |= set(read_registry(ROOT / path).profiles)
        for name in re.findall(r"--profile ([a-z][\w-]*)", text):
            assert name in known, f"{named(page)}: --profile {name}"
