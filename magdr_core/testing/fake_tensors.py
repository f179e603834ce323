"""Tensors that say they are on a card and keep their values in the machine's memory.

torch's own fake tensors have no values, so whatever looks at one (a search that asks which image wins,
`.item()`) ends there, and their gradients ask for the driver. These have values: everything runs, with the
numbers of a CPU, while each operation is judged by the rules of a CUDA device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("cuda", 0)
_HOST = torch.device("cpu")
_WITHIN = torch.device("meta")
"""What torch's C++ parts take the device for: they read no values there, and look for no driver."""

Tell = Callable[[str, str], None]
"""Is told a kind of event (`WAIT`, `UPLOAD`, `DOUBLE`) and the operation."""

WAIT = "wait"
"""The host reads something of the device, so it waits until all queued work is done."""

UPLOAD = "upload"
"""A blocking copy from the host: it waits as well."""

DOUBLE = "double"
"""A result in double precision, which most cards compute at a thirty-second or less of the speed."""

aten = torch.ops.aten
_DOUBLES = (torch.float64, torch.complex128)
_READS = {
    aten._local_scalar_dense,
    aten.equal,
    aten.is_nonzero,
    aten.nonzero,
    aten.masked_select,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.bincount,
    aten._linalg_check_errors,
    aten._linalg_svd,
    aten._linalg_eigh,
    aten.linalg_eig,
    aten.linalg_lstsq,
}
"""The host must know a value: to hand it out, or because a shape depends on it."""

_COPIES = {aten._to_copy, aten.copy_, aten._copy_from}
_INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
_TAKES_SCALARS = {
    aten.where,
    aten.masked_fill,
    aten.masked_fill_,
    aten.fill_,
    aten.index_fill,
    aten.index_fill_,
}
"""Besides pointwise operations, these take single numbers that lie on the host."""


class FakeCudaTensor(Tensor):
    """A tensor of any shape on the pretended card; `held` has its values."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: Tensor) -> FakeCudaTensor:
        made: FakeCudaTensor = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=_WITHIN,
        )
        made.held = inner
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return compute(func, args, kwargs or {}, lambda kind, name: None)

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return DEVICE

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_cpu(self) -> bool:  # type: ignore[override]
        return False

    @property
    def is_meta(self) -> bool:  # type: ignore[override]
        return False

    def get_device(self) -> int:
        return 0

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """As `Tensor.to`, of any shape: this tensor itself where nothing changes."""
        if args and isinstance(args[0], Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        if isinstance(other := kwargs.pop("other", None), Tensor):
            args = (other.device, other.dtype)
        copy = kwargs.pop("copy", False)
        device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
        options: dict[str, Any] = {"non_blocking": non_blocking, "copy": copy}
        if layout is not None:
            options["memory_format"] = layout
        if device is None or torch.device(device).type == DEVICE.type:
            return super().to(dtype or self.dtype, **options)
        return super().to(device, dtype or self.dtype, **options)

    def cuda(self, *args: Any, **kwargs: Any) -> Tensor:
        """As `Tensor.cuda`, of any shape: this tensor itself."""
        return self

    def cpu(self, *args: Any, **kwargs: Any) -> Tensor:
        """The values on the CPU, of any shape."""
        return self.to(_HOST)

    def numpy(self, *, force: bool = False) -> Any:
        if force:
            return self.detach().cpu().numpy()
        raise TypeError(
            f"can't convert {DEVICE} device type tensor to numpy. "
            "Use Tensor.cpu() to copy the tensor to host memory first."
        )

    def __array__(self, dtype: Any = None) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        return self.detach().cpu().tolist()

    def __getitem__(self, key: Any) -> Tensor:
        found: Tensor = super().__getitem__(_index(key))
        return found

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_index(key), value)

    def new_tensor(self, data: Any, **options: Any) -> Tensor:  # type: ignore[override]
        """As `Tensor.new_tensor`, of any shape that the data has; on the fake device unless told."""
        return torch.tensor(data, **{"dtype": self.dtype, "device": DEVICE, **options})

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.held.untyped_storage()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return self.detach().clone().requires_grad_(self.requires_grad)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"fake_cuda({self.held!r})"


def _index(key: Any) -> Any:
    """Lists of places as tensors on the card; torch would make them where it takes the device to be."""
    if isinstance(key, tuple):
        return tuple(map(_index, key))
    return torch.tensor(key, device=DEVICE) if isinstance(key, list | range | np.ndarray) else key


class FakeCudaMode(TorchDispatchMode):
    """Sends every operation through :func:`compute`, those that make new tensors on the card too."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self.tell = tell

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {}, self.tell)


def compute(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], tell: Tell) -> Any:
    """One operation by a card's rules, with a CPU's numbers.

    Raises:
        RuntimeError: its tensors are on different devices.
    """
    packet = func.overloadpacket
    flat = [*_flat(args), *_flat(kwargs.values())]
    wrappers = [t for t in flat if isinstance(t, FakeCudaTensor)]
    onto = _onto_the_card(packet, args, kwargs, wrappers)
    if wrappers:
        _refuse_mixed(func, packet, args, flat)
        if torch.Tag.inplace_view in func.tags:
            raise NotImplementedError(f"{func} on a fake CUDA device")
    _tell_waits(packet, args, kwargs, wrappers, onto, tell)
    found = func(*map(_plain, args), **{name: _plain(value) for name, value in kwargs.items()})
    if not onto:
        return found
    # What an operation edits is handed back itself; a view shares the memory of its base.
    known = {id(t.held): t for t in wrappers}

    def outward(t: Any) -> Any:
        if isinstance(t, list | tuple):
            return type(t)(map(outward, t)) if type(t) in (list, tuple) else tuple(map(outward, t))
        if not isinstance(t, Tensor):
            return t
        if t.dtype in _DOUBLES:
            tell(DOUBLE, str(func))
        return known[id(t)] if id(t) in known else FakeCudaTensor(t)

    return outward(found)


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def _plain(value: Any) -> Any:
    if isinstance(value, FakeCudaTensor):
        return value.held
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value)) if value else value
    return _HOST if isinstance(value, torch.device) else value


def _onto_the_card(
    packet: Any, args: Sequence[Any], kwargs: Mapping[str, Any], wrappers: Sequence[Tensor]
) -> bool:
    if packet is aten.copy_ or packet in _INDEXED:
        return isinstance(args[0], FakeCudaTensor)
    target = kwargs.get("device")
    return bool(wrappers) if target is None else torch.device(target).type != _HOST.type


def _refuse_mixed(func: Any, packet: Any, args: Sequence[Any], flat: Sequence[Any]) -> None:
    """What a card refuses: tensors of both devices in one operation, numbers and indices apart."""
    if packet in _COPIES:
        return
    host = [t for t in flat if isinstance(t, Tensor) and not isinstance(t, FakeCudaTensor)]
    if packet in _INDEXED and isinstance(args[0], FakeCudaTensor):
        indices = {id(t) for t in args[1] if t is not None}
        host = [t for t in host if id(t) not in indices]
    scalars = torch.Tag.pointwise in func.tags or packet in _TAKES_SCALARS or packet in _INDEXED
    if any(t.dim() > 0 or not scalars for t in host):
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"{DEVICE} and cpu! (when computing {func})"
        )


def _tell_waits(
    packet: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    wrappers: Sequence[Tensor],
    onto: bool,
    tell: Tell,
) -> None:
    name = str(packet)
    if packet in _COPIES:
        source = args[1] if packet is aten.copy_ else args[0]
        if isinstance(source, FakeCudaTensor) != onto:
            if not onto:
                tell(WAIT, name)
            elif not _asked_not_to_wait(packet, args, kwargs) and source.dim() > 0:
                tell(UPLOAD, name)
        return
    if not wrappers:
        return
    if packet in _READS or (packet is aten.repeat_interleave and kwargs.get("output_size") is None):
        tell(WAIT, name)
    if packet in _INDEXED:
        indices = [t for t in args[1] if t is not None]
        logical = [t for t in indices if t.dtype in (torch.bool, torch.uint8)]
        # One value for all is a masked fill; otherwise the places are counted first.
        if logical and not (len(args) > 2 and args[2].numel() == 1):
            tell(WAIT, name)
        elif onto and any(not isinstance(t, FakeCudaTensor) for t in indices):
            tell(UPLOAD, name)


def _asked_not_to_wait(packet: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    return bool(kwargs.get("non_blocking") or (packet is aten.copy_ and len(args) > 2 and args[2]))
