"""What a toolkit was told in Python that its registry's file does not say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from magdr_core.components.fingerprints import digest
from magdr_core.components.params import ParameterError, validate
from magdr_core.components.protocols import Dataset
from magdr_core.components.specs import ComponentSpec, DatasetSpec
from magdr_core.errors import RegistryError, one_line
from magdr_core.registry.parsed import Instance, Registry
from magdr_core.registry.settings import CalibrationPolicy

Plugins = Mapping[str, Sequence[ComponentSpec]]
"""Components that were made in Python, by the name that a registry calls their plugin."""

OWN = "own"
"""The plugin name of networks and datasets that were handed over."""


@dataclass(frozen=True)
class Changes:
    """Settings that replace those of a registry; they stay when it is extended.

    Attributes:
        calibration: keys of `[calibration]` with other values.
        datasets: labels with what their tables use instead; the tables need not be there.
    """

    calibration: Mapping[str, object] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)

    def applied(self, registry: Registry) -> Registry:
        """The registry with these changes; its text says them in comments, so that runs tell them apart.

        Raises:
            RegistryError: no such key of `[calibration]`, or a wrong value.
        """
        if not (self.calibration or self.datasets):
            return registry
        wanted = registry.calibration.model_dump() | dict(self.calibration)
        try:
            policy = CalibrationPolicy(**validate(CalibrationPolicy, wanted, "this table", noun="key"))
        except ParameterError as e:
            raise RegistryError(f"{registry.path.name} [calibration]: {one_line(e)}") from None
        instances = dict(registry.instances)
        for label, use in self.datasets.items():
            instances["dataset", label] = Instance("dataset", label, use, MappingProxyType({}))
        said = [f"[calibration] {key} = {value!r}" for key, value in self.calibration.items()]
        said += [f"[dataset.{label}] use = {use!r}" for label, use in self.datasets.items()]
        text = "\n".join([registry.text, *(f"# changed in Python: {one}" for one in said), ""])
        return replace(registry, text=text, calibration=policy, instances=MappingProxyType(instances))


def dataset_spec(label: str, dataset: Dataset) -> DatasetSpec:
    """A component of a dataset that is in memory, keyed by its fingerprint.

    Core puts a copy to work, so that the device which it sets on it is not set on the one handed over.
    """

    def build() -> Dataset:
        return copy(dataset)

    build.fingerprint = dataset.fingerprint()  # type: ignore[attr-defined]
    plain = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    name = label if plain == label else f"{plain}-{digest(label)[:6]}"
    return DatasetSpec(name=name, build=build, summary=f"{type(dataset).__name__}, handed over in Python.")


def added(plugins: Plugins, further: Plugins) -> Plugins:
    """Both; further components of a plugin that is there already come after its own."""
    together = {name: tuple(specs) for name, specs in plugins.items()}
    for name, specs in further.items():
        together[name] = (*together.get(name, ()), *specs)
    return together


def with_dataset(
    label: str, dataset: Dataset | DatasetSpec, plugins: Plugins, changes: Changes
) -> tuple[Plugins, Changes]:
    """The plugins and changes with which a label of datasets means this one, in place of an earlier one."""
    spec = dataset if isinstance(dataset, DatasetSpec) else dataset_spec(label, dataset)
    others = {k: use for k, use in changes.datasets.items() if k != label}
    spare = {changes.datasets.get(label)} - {*others.values()}  # nothing else uses it
    kept = [s for s in plugins.get(OWN, ()) if s.kind != "dataset" or f"{OWN}/{s.name}" not in spare]
    own = kept if spec in kept else [*kept, spec]
    return {**plugins, OWN: own}, replace(changes, datasets={**others, label: f"{OWN}/{spec.name}"})
