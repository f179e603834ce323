from tests.cli.conftest import magdr, workshop

__all__ = ["magdr", "workshop"]
