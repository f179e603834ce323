"""magdr: detect and undo adversarial perturbations that disrupt face generators; benchmark it honestly.

>>> import magdr_core
>>> sorted(magdr_core.__all__)
['Bench', 'MagDRModule', 'Outcome', 'Photo', 'Pipeline', 'Toolkit', 'Verdict', '__version__']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = ["Bench", "MagDRModule", "Outcome", "Photo", "Pipeline", "Toolkit", "Verdict", "__version__"]

if TYPE_CHECKING:
    from magdr_core.bench.run import Bench
    from magdr_core.front import MagDRModule, Photo, Pipeline
    from magdr_core.magdr import Outcome, Verdict
    from magdr_core.toolkit import Toolkit

_PLACES = {
    "Bench": "bench.run",
    "MagDRModule": "front",
    "Outcome": "magdr",
    "Photo": "front",
    "Pipeline": "front",
    "Toolkit": "toolkit",
    "Verdict": "magdr",
}


def __getattr__(name: str) -> Any:
    # Importing torch takes a second; `magdr --help` and plugins' imports must not pay for it twice.
    if name in _PLACES:
        return getattr(importlib.import_module(f"magdr_core.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
