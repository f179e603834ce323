"""What `fit` must hold to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from magdr_core.components.protocols import Fittable
from magdr_core.testing.rules import common, difference
from magdr_core.testing.subject import Subject
from magdr_core.testing.watching import WatchedCall


@common(
    "fit",
    "learns a JSON-able state, the same each time, and leaves all else alone",
    lambda trial: trial.learns,
)
def fit(s: Subject) -> Iterator[str]:
    component = s.component
    if not isinstance(component, Fittable):
        return
    data = s.fit_data()
    kept = data.clean.images.clone()

    def taught() -> WatchedCall:
        return s.watch(s.batch, lambda given: fitted(s, component), grad=True)

    first = taught()
    if first.error is not None:
        yield f"fit {first.failure}"
        return
    for line in first.networks:
        yield f"fit {line}"
    if first.drew:
        yield f"fit draws from {' and '.join(first.drew)} global generator; use a torch.Generator of its own"
    if not torch.equal(kept, data.clean.images):
        yield "fit edits the calibration images in place"
    if not isinstance(first.output, Mapping):
        yield f"fit returns a {type(first.output).__name__}, expected a mapping"
        return
    try:
        text = json.dumps(first.output)
    except (TypeError, ValueError) as e:
        yield f"fit returns what JSON cannot hold ({e}); tensors go through pack_tensors"
        return
    again = taught()
    if again.error is not None or json.dumps(again.output) != text:
        yield f"fitting again on the same data differs in {_differing(first.output, again.output)}"
    try:
        component.load(json.loads(text))
        s.memo["state"] = first.output
    except Exception as e:
        yield f"load fails on the state that fit returned: {type(e).__name__}: {e}"


@common(
    "state",
    "a state that went through JSON gives the same results",
    lambda trial: trial.learns,
    after=("repeats",),
)
def state(s: Subject) -> Iterator[str]:
    if "state" not in s.memo:
        return
    fresh = s.rebuilt().component
    fresh.load(s.memo["state"])
    seen = s.watch(s.batch, lambda given: s.compute(given, component=fresh))
    if seen.error is not None:
        yield f"with the state as fit returned it: {seen.failure}"
    elif (moved := difference(seen.output, s.first.output)) > max(s.tolerance, 1e-6):
        yield f"the state as fit returned it gives other results than through JSON, by {moved:.3g}"


def learn(s: Subject) -> None:
    """Have a component that learns do so, as core would; nothing happens to others."""
    component = s.component
    if isinstance(component, Fittable):
        component.load(json.loads(json.dumps(fitted(s, component))))


def fitted(s: Subject, component: Any) -> Any:
    """The state of a fit, as core would have it made."""
    if s.trial.taught is not None:
        return s.trial.taught(s, component)
    return component.fit(s.fit_data(), s.toy_generator)


def _differing(a: Mapping[str, Any], b: Any) -> str:
    if not isinstance(b, Mapping):
        return "everything"
    return ", ".join(str(key) for key in a if json.dumps(a[key]) != json.dumps(b.get(key)))
