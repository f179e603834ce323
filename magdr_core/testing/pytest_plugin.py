"""pytest plugin: a test that asks for `conformance_check` runs once per component and rule.

MAGDR_PLUGIN = "acme"            # or several, in a list; or: pytest --magdr-plugin acme

def test_conformance(conformance_check):
    conformance_check()
"""

from __future__ import annotations

from typing import Any

FIXTURE = "conformance_check"


def pytest_addoption(parser: Any) -> None:
    parser.getgroup("magdr").addoption(
        "--magdr-plugin",
        action="append",
        default=[],
        metavar="PLUGIN",
        help="plugin that tests with the argument `conformance_check` check: a name, a file or a module",
    )


def pytest_generate_tests(metafunc: Any) -> None:
    if FIXTURE not in metafunc.fixturenames:
        return
    # Imported here: whoever has magdr installed and tests something else must not wait for torch.
    from magdr_core.testing import conformance_checks

    named = getattr(metafunc.module, "MAGDR_PLUGIN", None) or metafunc.config.getoption("--magdr-plugin")
    plugins = [named] if not isinstance(named, list | tuple) else named
    checks = [check for plugin in plugins for check in conformance_checks(plugin)]
    metafunc.parametrize(FIXTURE, checks, ids=[str(check) for check in checks])
