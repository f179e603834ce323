"""A component's identity holds its `version`: raised, nothing that was computed before is taken for it."""

import pytest

PLUGIN = '''
from pathlib import Path
from magdr_core.api import MetricSpec, hookimpl, stateless
MAGDR_API = 1
VERSION = int((Path(__file__).parent / "version.txt").read_text())

def f(a, b, masks):
    """Same code, same file, other constants elsewhere: only the version tells."""
    return masks.mean((2, 3))

@hookimpl
def magdr_metrics():
    return [MetricSpec(name="own", build=stateless(f), version=VERSION)]
'''


@pytest.fixture
def identity_of(tmp_path, toolkit_from):
    def identity(version: int):
        (tmp_path / "acme.py").write_text(PLUGIN)
        (tmp_path / "version.txt").write_text(str(version))
        text = '[plugins]\nlocal = { acme = "./acme.py" }\n[metric.own]\nuse = "acme/own"\n'
        return toolkit_from(text).resolve("metric", "own").identity

    return identity


def test_a_raised_version_is_another_component(identity_of):
    assert identity_of(1) == identity_of(1)
    assert identity_of(1) != identity_of(2)
