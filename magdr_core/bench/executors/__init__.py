"""Where the units of a benchmark are computed: in this process, or by a crew of workers."""

from magdr_core.bench.executors.local import Engine, LocalEngine

__all__ = ["Engine", "LocalEngine"]
