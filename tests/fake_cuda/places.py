"""Where the host may wait for the device, and where numbers may be double, each with its reason.

A list is held both ways: a place that is not in it fails, and so does an entry of which nothing was seen.
"""

from collections.abc import Iterable, Mapping

from magdr_core.testing.fake_cuda import DOUBLE, UPLOAD, WAIT, Event

SETTLED = "magdr_core.isolation.expectations:Expectations.settle.<locals>.<listcomp>"

WHILE_BUILDING = ("magdr_core.runtime.builder:",)
"""Weights are moved to the device once."""


def waits(events: Iterable[Event]) -> set[str]:
    """The places where something waited: a read, or a copy that blocks."""
    return {e.place for e in events if e.kind in (WAIT, UPLOAD) and _counts(e)}


def doubles(events: Iterable[Event]) -> set[str]:
    """The modules that compute in double precision."""
    return {e.place.partition(":")[0] for e in events if e.kind == DOUBLE and _counts(e)}


def unlisted(found: set[str], listed: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What was found and is not listed; what is listed and was not found."""
    return sorted(found - listed.keys()), sorted(listed.keys() - found)


def _counts(event: Event) -> bool:
    return not event.place.startswith(("tests.", "magdr_core.testing", *WHILE_BUILDING))
