"""Names of devices, as a registry and the command line say them."""

from __future__ import annotations

import torch

from magdr_core.errors import RegistryError, brief


def device_of(name: str) -> torch.device:
    """The device of a name: "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N".

    Raises:
        RegistryError: there is no such device here, or it is one that magdr does not run on.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    known = f"device {brief(name)} is not one of auto, cpu, cuda, cuda:N"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise RegistryError(known) from None
    if device.type == "cpu" and not device.index:
        return torch.device("cpu")
    if device.type != "cuda":
        raise RegistryError(f"{known}; other kinds are not supported, use --device cpu")
    if not torch.cuda.is_available():
        raise RegistryError(f"device {name!r}: CUDA is not available here; use --device cpu")
    if device.index is not None and not 0 <= device.index < torch.cuda.device_count():
        raise RegistryError(f"device {name!r}: there are {torch.cuda.device_count()} here, from cuda:0 on")
    return device
