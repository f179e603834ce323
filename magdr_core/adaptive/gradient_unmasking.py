"""Undoing what hides gradients, without touching the component that hides them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_STAIRS = {
    *(torch.round, torch.floor, torch.ceil, torch.trunc, torch.fix),
    *(Tensor.round, Tensor.floor, Tensor.ceil, Tensor.trunc, Tensor.fix),
}
_STAIRS_IN_PLACE = {Tensor.round_, Tensor.floor_, Tensor.ceil_, Tensor.trunc_, Tensor.fix_}
_CLAMPS = {
    *(torch.clamp, torch.clamp_min, torch.clamp_max, torch.clip),
    *(Tensor.clamp, Tensor.clamp_min, Tensor.clamp_max, Tensor.clip),
}
_OUT_OF_TORCH = {Tensor.numpy, Tensor.__array__, Tensor.item, Tensor.tolist, Tensor.__float__, Tensor.__int__}


class Lifted(TorchFunctionMode):
    """Inside it `no_grad` blocks record gradients, roundings have the identity's gradient (BPDA), and clamps
    let that of values on their bounds pass (`functional.clamp_inclusive`), as of black and white pixels.

    Values stay the same to the last bit. What leaves torch (numpy, integer types, `inference_mode`) stays
    without a gradient.

    Args:
        uncut: `detach` passes gradients too.
    """

    def __init__(self, *, uncut: bool = False) -> None:
        super().__init__()
        self.uncut = uncut

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch._C._set_grad_enabled:
            return None
        if func in _OUT_OF_TORCH:
            return func(args[0].detach(), *args[1:], **kwargs)
        if self.uncut and func in (Tensor.detach, torch.detach):
            return args[0].view_as(args[0])
        if func in _STAIRS and args and isinstance(args[0], Tensor) and args[0].requires_grad:
            soft = args[0]
            return func(soft.detach(), *args[1:], **kwargs) + (soft - soft.detach())
        if func in _STAIRS_IN_PLACE and args[0].requires_grad:
            soft = args[0]
            kept = soft.clone()
            hard = func(soft.detach().clone(), *args[1:], **kwargs)
            return soft.copy_(hard + (kept - kept.detach()))
        if func in _CLAMPS and args and isinstance(args[0], Tensor) and args[0].requires_grad:
            hard = func(*args, **kwargs)
            return torch.where(hard.detach() == args[0].detach(), args[0], hard)
        return func(*args, **kwargs)
