import logging

import pytest

from tests.cli.conftest import astronaut, magdr, workshop

__all__ = ["astronaut", "magdr", "workshop"]


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    """What torch tells of each step of an export is not kept: pytest would have it all written out."""
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)
