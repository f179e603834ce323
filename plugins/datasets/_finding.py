"""Finding the clips of recorded forgeries, and saying in one line which are not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from magdr_core.api import DataError, notice

from ._clips import find_clip
from ._pairs import RecordedFake, RecordedPair

Place = tuple[Sequence[Path], str]
"""Folders that may hold a clip, and its name."""


class PairFinder:
    """Makes pairs of the clips that are there, and counts those that are not.

    Args:
        dataset: its name.
        source: as of :func:`find_clip`.
    """

    def __init__(self, dataset: str, source: str) -> None:
        self._dataset, self._source = dataset, source
        self._keys: set[str] = set()
        self._missing = 0
        self._first = ""

    def pair(
        self, key: str, people: tuple[str, ...], real: Place, fakes: Mapping[str, Place]
    ) -> Iterator[RecordedPair]:
        """The pair, or nothing if one of its clips is not there.

        Args:
            key, people: as of a `RecordedPair`.
            real: where the real video is.
            fakes: where the fakes are, by manipulation.

        Raises:
            DataError: there was such a pair before.
        """
        try:
            found = find_clip(*real, self._source)
            made = {name: RecordedFake(find_clip(*place, self._source)) for name, place in fakes.items()}
        except DataError as e:
            self.miss(str(e))
            return
        if key in self._keys:
            raise DataError(f"{self._dataset}: there are two fakes called {key}")
        self._keys.add(key)
        yield RecordedPair(key, people, found, made)

    def miss(self, why: str) -> None:
        """One pair is not there, since a clip is not, as `why` says."""
        self._first = self._first or why
        self._missing += 1

    def tell(self, found: Sequence[RecordedPair], where: Path) -> None:
        """Say how many are missing.

        Args:
            where: they were looked for.

        Raises:
            DataError: there is nothing else.
        """
        if not found:
            raise DataError(f"{self._first or f'{where}: has no fake whose name tells its real video'}")
        if self._missing:
            every = self._missing + len(found)
            notice(
                f"{self._dataset}: {self._missing} of {every} fakes are left out for missing files, "
                f"first {self._first}"
            )
