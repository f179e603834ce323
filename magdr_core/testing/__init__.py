"""The conformance suite for plugins: what core relies on, tried on a component with small inputs.

In a plugin's own tests::

    import pytest
    from magdr_core.testing import conformance_checks

    @pytest.mark.parametrize("check", conformance_checks("acme"), ids=str)
    def test_conformance(check):
        check()

With the pytest plugin that comes along, `MAGDR_PLUGIN = "acme"` and `def test_conformance(conformance_check):
conformance_check()` are the same; `magdr plugins check acme` needs no test at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magdr_core.testing.checks import Check, ConformanceError, Finding
    from magdr_core.testing.suite import conformance_checks

__all__ = ["Check", "ConformanceError", "Finding", "conformance_checks"]


def __getattr__(name: str) -> Any:
    # The pytest plugin lives here and is imported by every pytest of an environment: torch must wait.
    if name in __all__:
        from magdr_core.testing import checks, suite

        return getattr(suite if name == "conformance_checks" else checks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
