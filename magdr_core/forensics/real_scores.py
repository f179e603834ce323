"""What forensic models say of real pictures, in a file: so that thresholds are set once, and anywhere.

`magdr inspect --reals FOLDER --keep FILE` writes one, `--reals FILE` uses it, and so does a registry whose
`[calibration]` names it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from magdr_core.components.fingerprints import digest
from magdr_core.errors import CalibrationError, RegistryError
from magdr_core.files.disk import write_atomically
from magdr_core.files.user_files import read_text

SCHEMA = 1

LARGEST = 2**24
"""Bytes of a file: a million scores."""

DIGITS = 6
"""Of a score in a file: more than thresholds can tell apart."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class RealScores:
    """Scores of the same real pictures by some models.

    Attributes:
        scores: by label, `[n]`.
        models: by label, what names the model with its weights.
        note: what pictures they are, for people.
    """

    scores: Mapping[str, Array]
    models: Mapping[str, str]
    note: str = ""

    @property
    def count(self) -> int:
        """Of pictures."""
        return min((len(own) for own in self.scores.values()), default=0)

    def of(self, models: Mapping[str, str], where: str) -> Mapping[str, Array]:
        """The scores of models that are wanted.

        Args:
            models: by label, what names each.
            where: the file, for the error.

        Raises:
            CalibrationError: one is not there, or has other weights or parameters.
        """
        for label, name in models.items():
            if self.models.get(label) != name:
                missing = "has other weights or parameters there" if label in self.models else "is not there"
                raise CalibrationError(
                    f"{where}: [forensic.{label}] {missing}; make it again with "
                    "`magdr inspect --reals FOLDER --keep FILE`"
                )
        return {label: self.scores[label] for label in models}

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        models = {
            label: {"model": self.models[label], "scores": [float(f"{x:.{DIGITS}g}") for x in own]}
            for label, own in self.scores.items()
        }
        content = {"schema": SCHEMA, "magdr": version("magdr"), "note": self.note, "models": models}
        write_atomically(path, lambda part: part.write_text(json.dumps(content) + "\n", encoding="utf-8"))


def named_models(toolkit: Any, labels: Sequence[str]) -> dict[str, str]:
    """What names models with their parameters and weights, by label."""
    return {label: digest(toolkit.resolve("forensic", label).identity) for label in labels}


def read_real_scores(path: Path) -> RealScores:
    """The scores in a file.

    Raises:
        CalibrationError: missing, damaged, or of another schema; one line that names the file.
    """
    where = f"scores of real pictures {str(path)!r}"
    try:
        data = json.loads(read_text(path, error=RegistryError, subject=f"{where}:", most=LARGEST))
        if data["schema"] != SCHEMA:
            raise CalibrationError(f"{where}: schema {data['schema']}, this version of magdr reads {SCHEMA}")
        scores = {label: np.asarray(own["scores"], float) for label, own in data["models"].items()}
        models = {label: str(own["model"]) for label, own in data["models"].items()}
        found = RealScores(scores, models, str(data.get("note", "")))
    except RegistryError as e:
        raise CalibrationError(str(e)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise CalibrationError(f"{where} is damaged: {type(e).__name__}") from None
    for label, own in scores.items():
        if own.ndim != 1 or len(own) != found.count or not all(map(math.isfinite, own)):
            raise CalibrationError(f"{where} is damaged: scores of {label!r}")
    return found
