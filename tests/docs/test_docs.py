"""What the documentation says is so: links lead somewhere, code runs, commands exist."""

import re
import tomllib
from pathlib import Path

import pytest
import torch

from magdr_core.errors import MagdrError
from magdr_core.registry.read import default_registry, parse_registry, read_registry

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TESTED_ELSEWHERE = {"checkpoints.md", "writing-a-plugin.md"}
"""Their code blocks have tests of their own."""


def blocks(page, *languages):
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```([a-z]*)\n(.*?)^```$", text, re.M | re.S)
    return [code for language, code in found if language in languages]


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}"


def test_the_index_names_every_page():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    missing = [page.name for page in PAGES if page.name != "README.md" and f"({page.name})" not in index]
    # Some pages belong to other parts and are added to the index with them.
    assert set(missing) <= {
        *("writing-a-plugin.md", "comparing-runs.md", "adaptive-attacks.md", "defense-authors-guide.md"),
    }


@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if blocks(p, "python") and p.name not in TESTED_ELSEWHERE],
    ids=lambda p: p.name,
)
def test_python_runs_as_it_is_written(page, tmp_path, monkeypatch):
    """The blocks of a page one after the other, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    state = torch.get_rng_state()
    for code in blocks(page, "python"):
        exec(compile(code, page.name, "exec"), names)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "toml") and p.name not in TESTED_ELSEWHERE], ids=lambda p: p.name
)
def test_toml_is_a_part_of_a_registry(page):
    for text in blocks(page, "toml"):
        tomllib.loads(text)
        try:
            parse_registry(text, Path(page.name))
        except MagdrError as e:
            pytest.fail(str(e))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
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
            assert (ROOT / path).is_file(), f"{page.name}: {path}"
            known |= set(read_registry(ROOT / path).profiles)
        for name in re.findall(r"--profile ([a-z][\w-]*)", text):
            assert name in known, f"{page.name}: --profile {name}"
