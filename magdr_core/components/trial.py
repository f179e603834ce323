"""How the conformance suite tries components of a kind: the call, its result, and rules of the kind's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One promise.

    Attributes:
        name: as findings and test ids show it.
        promise: one line.
        check: `(subject) -> lines`: yields what is wrong, each with the offending value; empty lines do not
            count. The subject is a :class:`magdr_core.testing.subject.Subject`: `first` is a call on
            `batch`, `call(inputs)` makes another, and their results have `output` and `error`.
        after: the rules that must hold before this one can be judged, such as `output`.
    """

    name: str
    promise: str
    check: Callable[[Any], Iterator[str]]
    after: tuple[str, ...] = ()


def no_gradient(spec: Any) -> str:
    """What a kind says whose components claim nothing."""
    return "none"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The call of a kind as the suite makes it.

    Attributes:
        call: `(subject, component, inputs, rng) -> result`: calls the bare component as core does. `inputs`
            have `images`, `others` (the same pictures, changed), `masks` and `conditions`;
            `subject.toy_generator` is a generator; `rng` is `{"rng": SampleRng}` for stochastic components,
            else empty.
        shape: `(inputs) -> shape` of the result.
        images: the result is images in [0,1].
        any_float: the result may be of any float type; else of the images'.
        any_size: components look at pictures alone, so pictures of any shape are their business. Others may
            refuse some with a `MagdrError`.
        network: components are slow, and core calls them in pieces (`in_pieces`).
        own_conditions: conditions are for the component itself: a generator.
        learns: components may have `fit` and `load`.
        taught: `(subject, component) -> state`: calls `fit` as core does; None for `fit(data, G)` with
            calibration faces, as detectors and defenses have it.
        gradient: `(spec) -> "exact" | "straight-through" | "none"`, what is claimed.
        moved: the argument that gradients are with respect to.
        pictures: in the batch of most calls.
    """

    call: Callable[[Any, Any, Any, Mapping[str, Any]], Any]
    shape: Callable[[Any], tuple[int, ...]]
    images: bool = False
    any_float: bool = False
    any_size: bool = False
    network: bool = False
    own_conditions: bool = False
    learns: bool = False
    taught: Callable[[Any, Any], Any] | None = None
    gradient: Callable[[Any], str] = no_gradient
    moved: Literal["images", "others"] = "images"
    pictures: int = 5
