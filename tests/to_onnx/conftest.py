from tests.cli.conftest import astronaut, magdr, workshop

__all__ = ["astronaut", "magdr", "workshop"]
