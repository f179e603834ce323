"""magdr: detect and undo perturbations that disrupt face generators; benchmark attacks and defenses.

>>> import magdr_core
>>> sorted(magdr_core.__all__)
['Bench', 'Evaluation', 'MagDRModule', 'Outcome', 'Photo', 'Pipeline', 'Toolkit', 'Verdict', \
'__version__', 'build_objective', 'evaluate']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from magdr_core._moved import install as _find_moved_modules
from magdr_core._version import __version__

__all__ = [
    "Bench",
    "Evaluation",
    "MagDRModule",
    "Outcome",
    "Photo",
    "Pipeline",
    "Toolkit",
    "Verdict",
    "__version__",
    "build_objective",
    "evaluate",
]

if TYPE_CHECKING:
    from magdr_core.bench.run import Bench
    from magdr_core.components.objective import build_objective
    from magdr_core.evaluation import Evaluation, evaluate
    from magdr_core.inference import MagDRModule, Photo, Pipeline
    from magdr_core.magdr import Outcome, Verdict
    from magdr_core.toolkit import Toolkit

_PLACES = {
    "Bench": "bench.run",
    "Evaluation": "evaluation",
    "MagDRModule": "inference",
    "Outcome": "magdr",
    "Photo": "inference",
    "Pipeline": "inference",
    "Toolkit": "toolkit",
    "Verdict": "magdr",
    "build_objective": "components.objective",
    "evaluate": "evaluation",
}


_find_moved_modules()


def __getattr__(name: str) -> Any:
    # Importing torch takes a second; `magdr --help` and plugins' imports must not pay for it twice.
    if name in _PLACES:
        return getattr(importlib.import_module(f"magdr_core.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
