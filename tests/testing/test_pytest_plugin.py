"""The pytest plugin: one test per component and rule, failures in words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.testing.hostile import HOSTILE

pytest_plugins = ["pytester"]

TEST = "def test_conformance(conformance_check):\n    conformance_check()\n"
# Installed or not, the plugin is named here and its entry point left out.
OPTIONS = [
    *("-p", "no:magdr", "-p", "magdr_core.testing.pytest_plugin"),
    *("-p", "no:xdist", "-p", "no:cacheprovider"),
]


@pytest.mark.parametrize("named", ["module", "option"])
def test_pytest_plugin_runs_every_check(pytester, named):
    pytester.makepyfile(acme=HOSTILE["nan"][0])
    head = 'MAGDR_PLUGIN = "acme.py"\n' if named == "module" else ""
    pytester.makepyfile(test_acme=head + TEST)
    extra = () if named == "module" else ("--magdr-plugin", "acme.py")
    done = pytester.runpytest_inprocess(*OPTIONS, *extra, "-v", "test_acme.py")
    done.assert_outcomes(passed=7, failed=1, skipped=5)
    done.stdout.fnmatch_lines(["*test_conformance?restoration acme/bad ?finite?? FAILED*"])
    done.stdout.fnmatch_lines(["*acme.py: restoration acme/bad ?finite? returns nan at ?0, 0, 1, 2?*"])


def test_pytest_plugin_shows_a_plugin_that_cannot_be_loaded_as_a_failed_test(pytester):
    pytester.makepyfile(acme=HOSTILE["exits"][0], test_acme='MAGDR_PLUGIN = "acme.py"\n' + TEST)
    done = pytester.runpytest_inprocess(*OPTIONS, "test_acme.py")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*acme.py: ?loads? plugin 'acme' (acme.py): cannot be imported: SystemExit*"])


def test_pytest_plugin_does_not_import_torch_by_itself():
    code = "import sys, magdr_core.testing.pytest_plugin; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
