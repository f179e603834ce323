from tests.bench.conftest import shop

__all__ = ["shop"]
