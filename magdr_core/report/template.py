"""Pages from templates: one file each, which opens from disk and needs nothing else."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from magdr_core.printable import visible

PACKAGE = "magdr_core.report"


def rendered(name: str, *, package: str = PACKAGE, **values: Any) -> str:
    """The page of a template, with the common style sheet as `css`. It may extend `base.html`.

    Args:
        package: that it lies in.
        values: what the template names; strings are escaped, `Markup` is not.
    """
    environment = Environment(
        loader=FunctionLoader(lambda wanted: source(wanted, package if wanted == name else PACKAGE)),
        autoescape=True,  # labels, notes and errors come from users and plugins
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.get_template(name).render(css=Markup(source("report.css")), **values)
    return visible(page, lines=True)  # drawings, too: no bidirectional, control or lone surrogate character


def source(name: str, package: str = PACKAGE) -> str:
    """The text of a file of a package."""
    return (files(package) / name).read_text(encoding="utf-8")
