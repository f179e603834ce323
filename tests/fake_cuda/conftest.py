"""The oldest torch that the project takes asks for a driver: there is nothing to collect with it."""

from magdr_core.testing.fake_cuda import SUPPORTED
from tests.cli.conftest import magdr, workshop

__all__ = ["magdr", "workshop"]

collect_ignore_glob = [] if SUPPORTED else ["test_*.py"]
