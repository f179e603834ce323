"""magdr: detect and undo adversarial perturbations that disrupt face generators; benchmark it honestly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Toolkit", "__version__"]

if TYPE_CHECKING:
    from magdr_core.toolkit import Toolkit


def __getattr__(name: str) -> Any:
    # Importing torch takes a second; `magdr --help` and plugins' imports must not pay for it twice.
    if name == "Toolkit":
        from magdr_core.toolkit import Toolkit

        return Toolkit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
