"""A kind's guard that does not guard is named with the component it was for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from magdr_core.errors import BrokenPluginError
from magdr_core.hosting.core import core_kinds
from magdr_core.runtime.wrap import wrapped


def fails(resolved, component, where):
    raise ZeroDivisionError("no guard")


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        (lambda resolved, component, where: None, "the guard of kind 'metric' gave nothing"),
        (fails, "the guard of kind 'metric' fails: ZeroDivisionError: no guard"),
    ],
)
def test_a_guard_that_gives_nothing_is_named(toolkit_from, guard, said):
    kind = replace(core_kinds()["metric"], guard=guard)
    resolved = toolkit_from("[metric.mine]\nuse = 'l1'\n").resolve("metric", "mine")
    with pytest.raises(BrokenPluginError, match=f"^metric mine: {said}$"):
        wrapped(kind, resolved, object(), "metric mine")
