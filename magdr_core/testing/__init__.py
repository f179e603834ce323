"""The conformance suite for plugins: what core relies on, tried on a component with small inputs.

In a plugin's own tests:

    import pytest
    from magdr_core.testing import conformance_checks

    @pytest.mark.parametrize("check", conformance_checks("acme"), ids=str)
    def test_conformance(check):
        check()

With the pytest plugin that comes along, `MAGDR_PLUGIN = "acme"` and `def test_conformance(conformance_check):
conformance_check()` are the same; `magdr plugins check acme` needs no test at all.
"""

from magdr_core.testing.suite import Check, ConformanceError, Finding, conformance_checks

__all__ = ["Check", "ConformanceError", "Finding", "conformance_checks"]
