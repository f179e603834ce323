"""Plain functions as components."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor


def stateless(
    function: Callable[..., Tensor],
    *,
    undo: Callable[..., Tensor] | None = None,
    clip: Callable[..., Tensor] | None = None,
    soft: Callable[..., Tensor] | None = None,
) -> Callable[..., Any]:
    """Turn a plain function `f(x, ..., *, p=1)` into a factory whose parameters are its keyword-only ones.

    Args:
        function: the component's call, such as `[B,3,H,W] -> [B,3,H,W]` of an image map; see the protocol of
            its kind.
        undo: called with the same parameters, becomes the component's `undo` (`[B,3,H,W] -> same`).
        clip: so the component's `clip` (`[n,3,H,W] -> same`, the n frames of one clip).
        soft: so the component's `soft`, what a channel is differentiated as (`[B,3,H,W] -> same`).
    """
    signature = inspect.signature(function)
    keyword = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY and p.name != "rng"]
    names = {p.name for p in keyword}

    def build(**params: Any) -> _Bound:
        component = _Bound(functools.partial(function, **params))
        if undo is not None:
            component.undo = functools.partial(undo, **params)
        if clip is not None:
            component.clip = functools.partial(clip, **params)
        if soft is not None:
            component.soft = functools.partial(soft, **params)
        return component

    # `__wrapped__` makes `get_type_hints` resolve string annotations where the function was written.
    functools.update_wrapper(build, function)
    build.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
    build.__annotations__ = {k: v for k, v in function.__annotations__.items() if k in names}
    return build


class _Bound:
    """A function with its parameters filled in, to which `undo`, `clip` and `soft` can be attached."""

    undo: Callable[..., Tensor]
    clip: Callable[..., Tensor]
    soft: Callable[..., Tensor]

    def __init__(self, call: Callable[..., Tensor]) -> None:
        self._call = call

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._call(*args, **kwargs)
