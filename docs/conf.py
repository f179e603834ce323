"""How Sphinx builds the documentation site. `python docs/build_site.py` runs it and checks what it made.

The pages are plain Markdown, to be read where they lie as well. So the site's source is the whole repository,
of which only pages are taken: links to an example, a registry or a table of results lead where they lead in
an editor. What the site needs beyond Markdown is made here: the sidebar comes from the lists in
docs/README.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from magdr_core import __version__  # noqa: E402

project = "magdr"
author = "the magdr authors"
project_copyright = author
version = release = __version__
language = "en"

root_doc = "docs/README"
include_patterns = [
    "docs/**",
    "benchmarks/results/**",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "tests/thirdparty/acme_quality/README.md",
]
exclude_patterns = [".*", "build", "dist", "runs", "magdr-out", "magdr_core", "plugins", "**/__pycache__"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}

# -- Markdown: headings have the anchors that GitHub gives them. The glossary's terms are small headings.
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]

# -- The notebook is run, and a cell that fails ends the build.
nb_execution_mode = "auto"
nb_execution_raise_on_error = True
nb_execution_timeout = 900

# -- Docstrings: Google's sections, and backticks around code, as everywhere in this project.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes have a list of their own, and are no second entry in the index
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

# -- Looks. Fonts are the system's; nothing is fetched from elsewhere when a page is read.
html_theme = "furo"
html_title = f"magdr {release}"
html_static_path = ["site/static"]
html_extra_path = ["site/root"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": False}

CAPTION = re.compile(r"^(\w[^\n]*):$")
PAGE = re.compile(r"\[[^\]]+\]\(([\w./-]+\.(?:md|ipynb))\)")
BELOW = ("docs/api/README", "benchmarks/results/README")
"""Indices whose pages stand below them in the sidebar, wherever they link to them."""


def sidebar(index: str) -> str:
    """Hidden tables of contents: one per list of the index, with the line before the list as its caption."""
    groups: dict[str, list[str]] = {}
    caption = ""
    for line in index.splitlines():
        if found := CAPTION.match(line):
            caption = found[1]
        elif caption and line.startswith(("- ", "  ")):
            groups.setdefault(caption, []).extend(PAGE.findall(line))
        elif line.strip():
            caption = ""
    return "\n".join(contents(pages, caption) for caption, pages in groups.items())


def contents(pages: Iterable[str], caption: str = "") -> str:
    entries = "\n".join(dict.fromkeys(re.sub(r"\.(md|ipynb)$", "", page) for page in pages))
    title = f":caption: {caption}\n" if caption else ""
    return f"```{{toctree}}\n:hidden:\n{title}:maxdepth: 1\n\n{entries}\n```\n"


def add_sidebar(app: Sphinx, name: str, source: list[str]) -> None:
    if name == root_doc:
        source[0] += "\n" + sidebar(source[0])
    elif name in BELOW:
        source[0] += "\n" + contents(page for page in PAGE.findall(source[0]) if not page.startswith(".."))
    elif name == "README":  # a folder is no page; the index lists what is in it
        source[0] = source[0].replace("](examples)", "](docs/README.md)")


def give_captions_a_level(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """The sidebar's captions are said to be headings: readers of the screen need to know of which level."""
    if tree := context.get("furo_navigation_tree"):
        context["furo_navigation_tree"] = tree.replace('role="heading">', 'role="heading" aria-level="2">')


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", add_sidebar)
    app.connect("html-page-context", give_captions_a_level, priority=900)  # the theme's own comes first
    return {"parallel_read_safe": True, "parallel_write_safe": True}
