"""Whether numbers are the recorded ones, up to what other builds of torch round otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

AGAIN = "`python -m tests.recorded.make`"

TOLERANCE = {"attack": 2e-3}
"""By kind. Steps along a gradient's signs go another way where its value is rounding."""

USUAL = 2e-4


def fault(name: str, version: int, values: Sequence[float], known: Mapping[str, Any] | None) -> str:
    """What has to be done about a component, or an empty text."""
    if known is None:
        return f"{name} is not recorded: {AGAIN}"
    if known["version"] != version:
        return f"the version of {name} is {version}, recorded is {known['version']}: record again, {AGAIN}"
    where = (
        "`CORE` in magdr_core/components/fingerprints.py"
        if name.startswith("core ")
        else "the version in its spec"
    )
    remedy = f"raise {where}, then record again with {AGAIN}"
    if len(values) != len(known["values"]):
        return f"outputs of {name} changed: {len(values)} numbers, {len(known['values'])} recorded: {remedy}"
    tolerance = TOLERANCE.get(name.split()[0], USUAL)
    for i, (now, then) in enumerate(zip(values, known["values"], strict=True)):
        if not abs(now - then) <= tolerance * max(1.0, abs(then)):
            return f"outputs of {name} changed ({now:.6g} was {then:.6g}, number {i}): {remedy}"
    return ""
