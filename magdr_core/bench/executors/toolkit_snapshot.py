"""A toolkit as something that can be sent: registry, local plugin files, and what its components must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from magdr_core._version import __version__
from magdr_core.bench.executors.local import environment
from magdr_core.errors import MagdrError
from magdr_core.registry.changes import Changes
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit


@dataclass(frozen=True)
class Parcel:
    """What another process needs to have the same toolkit.

    Attributes:
        text, path, origins: of the registry. Relative paths in it, of weights, data or a calibration file,
            start at the same folder there.
        files: by plugin name, (file name, content) of local plugin files.
        environment: versions and device of whoever packed.
        identities: by table, the hash of everything that can change a component's outputs.
        changes: what replaces settings of the registry.
    """

    text: str
    path: str
    block: tuple[str, ...]
    device: str
    files: Mapping[str, tuple[str, bytes]]
    environment: Mapping[str, object]
    identities: Mapping[str, str]
    changes: Changes = field(default_factory=Changes)
    origins: Mapping[str, str] = field(default_factory=dict)

    def unpack(self, folder: Path) -> Toolkit:
        """The toolkit, with plugin files written into `folder`.

        Raises:
            MagdrError: this machine has other versions, weights or packages, or no such device.
        """
        registry = parse_registry(self.text, Path(self.path))
        local = dict(registry.local)
        for plugin, (name, content) in self.files.items():
            original = Path(registry.path.parent, Path(local[plugin]).expanduser())
            if original.is_file() and original.read_bytes() == content:
                continue  # it may look for files beside it
            place = folder / plugin / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            local[plugin] = str(place)
        registry = replace(registry, local=MappingProxyType(local), origins=self.origins)
        toolkit = Toolkit(registry, device=self.device, block=self.block, changes=self.changes)
        for what, expected in self.environment.items():
            if (own := _software(toolkit)[what]) != expected:
                raise MagdrError(f"{what} is {own} there, {expected} where the benchmark was started")
        for table, identity in self.identities.items():
            kind, _, label = table.strip("[]").partition(".")
            if toolkit.resolve(kind, label).key != identity:
                raise MagdrError(f"{table} is not the same component there: other weights, plugin or version")
        return toolkit


def parcel_of(toolkit: Toolkit) -> Parcel:
    """Raises MagdrError if the toolkit has components that only this process knows."""
    if toolkit.plugins:
        raise MagdrError(
            f"components made in Python ({', '.join(sorted(toolkit.plugins))}) cannot be sent to workers; "
            "put them into a file that the registry names under [plugins] local"
        )
    registry = toolkit.registry
    path = registry.path.absolute()
    files = {}
    for plugin, target in registry.local.items():
        file = Path(path.parent, Path(target).expanduser())
        if target.endswith(".py") and file.is_file():
            files[plugin] = (file.name, file.read_bytes())
    return Parcel(
        toolkit.written.text,
        str(path),
        toolkit.block,
        toolkit.device.type,
        files,
        _software(toolkit),
        _identities(toolkit),
        toolkit.changes,
        dict(registry.origins),
    )


def _software(toolkit: Toolkit) -> dict[str, object]:
    """What must be the same everywhere: the release, too, since messages travel between machines."""
    return {"magdr": __version__, **environment(toolkit)}


def _identities(toolkit: Toolkit) -> dict[str, str]:
    found = {}
    for kind, label in toolkit.registry.instances:
        try:
            found[f"[{kind}.{label}]"] = toolkit.resolve(kind, label).key
        except MagdrError:
            continue  # broken here and there: its cells say so
    return found
