"""A registry plus its plugins: live, guarded components on a device, calibrated where they need it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from magdr_core.calibration import Calibrator, Progress
from magdr_core.calibration.pipeline import calibrated_pipeline
from magdr_core.components.objective import ObjectiveName
from magdr_core.components.protocols import Dataset
from magdr_core.components.specs import DatasetSpec
from magdr_core.components.weights import weights_folder
from magdr_core.errors import RegistryError, suggestion
from magdr_core.inference import Pipeline, generator_spec
from magdr_core.inference.generator import FACE
from magdr_core.inference.module import ValueRange
from magdr_core.registry.changes import OWN, Changes, Plugins, added, with_dataset
from magdr_core.registry.parsed import Registry
from magdr_core.registry.read import default_registry, parse_registry, read_registry
from magdr_core.results.store import Store
from magdr_core.runtime.live_registry import LiveRegistry


class Toolkit(LiveRegistry):
    """Everything that one registry describes, and other toolkits made from it.

    Holds no global state: several may live in one process. Building is in
    :class:`~magdr_core.runtime.live_registry.LiveRegistry`.

    Args:
        registry: a parsed registry.
        device: overrides the registry's; "auto" takes CUDA where there is one.
        block: further glob patterns of plugins that must not be imported.
        plugins: components made in Python, which the registry may use as `name/component`.
        changes: what replaces settings of the registry (`with_calibration` and `with_dataset` make it).

    Raises:
        RegistryError: there is no such device here, or a change is of a key that there is not.
        PluginError: a plugin in Python has a name that is taken.

    >>> from magdr_core import Toolkit
    >>> toolkit = Toolkit.from_registry(device="cpu")
    >>> toolkit.registry.tasks()
    ['editing', 'reenactment', 'replacement']
    >>> toolkit.generator("editing").condition_names
    ('Black_Hair', 'Blond_Hair', 'Brown_Hair', 'Smiling', 'Eyeglasses')
    """

    def __repr__(self) -> str:
        tasks = ", ".join(self.registry.tasks()) or "no task"
        return f"<Toolkit of {self.registry.path}: {tasks}; on {self.device}>"

    @classmethod
    def from_registry(
        cls,
        path: Path | str | None = None,
        *,
        device: str | None = None,
        block: Iterable[str] = (),
        plugins: Plugins | None = None,
    ) -> Toolkit:
        """Read a registry file (by default `./registry.toml`, else the packaged one) and prepare it.

        Raises:
            RegistryError: the file is missing or wrong.
            PluginError: a plugin in Python has a name that is taken.
        """
        return cls(read_registry(path or default_registry()), device=device, block=block, plugins=plugins)

    def extended(self, text: str = "", plugins: Plugins | None = None) -> Toolkit:
        """Another toolkit, whose registry has further tables; this one stays as it is.

        Args:
            text: TOML, as it could stand at the end of the registry file.
            plugins: further components made in Python, for the text to use.

        Raises:
            RegistryError: the tables are wrong, or there already.
            PluginError: a name is taken.

        >>> from magdr_core import Toolkit
        >>> toolkit = Toolkit.from_registry(device="cpu").extended('''
        ...     [defense.soft]
        ...     use = "fixed-chain"
        ...     params = { layers = [["gaussian"]] }
        ... ''')
        >>> toolkit.resolve("defense", "soft").entry.name
        'fixed-chain'
        """
        read = parse_registry(f"{self.written.text}\n{text}", self.written.path)
        # The text is the resolved one already, so whose tables these were has to be told.
        registry = replace(read, origins={**self.written.origins, **read.origins})
        return self._another(registry, added(self.plugins, plugins or {}), self.changes)

    def _another(self, registry: Registry, plugins: Plugins, changes: Changes) -> Toolkit:
        return Toolkit(registry, device=str(self.device), block=self.block, plugins=plugins, changes=changes)

    def with_calibration(self, file: Path | str | None = None, **numbers: object) -> Toolkit:
        """Another toolkit that uses this calibration file instead of the registry's; this one stays as it is.

        Args:
            file: made by `magdr calibrate` or `calibrate_on_pictures`, relative to the working folder; None
                for no file: what the package or the cache does not hold is calibrated when it is asked for.
            numbers: other keys of `[calibration]`, such as `clean=500`. A file that was made with other
                numbers does not fit.

        Raises:
            RegistryError: no such key, or a wrong value. A file that is missing, damaged or does not fit is a
                CalibrationError of whatever first needs it (`magdr`, `calibrator`).
        """
        told = {"file": "auto" if file is None else str(Path(file).absolute()), **numbers}
        changes = replace(self.changes, calibration={**self.changes.calibration, **told})
        return self._another(self.written, self.plugins, changes)

    def with_dataset(self, label: str, dataset: Dataset | DatasetSpec) -> Toolkit:
        """Another toolkit, where a label of datasets means this one; this toolkit stays as it is.

        Args:
            label: of a `[dataset.LABEL]` table, which is replaced, or a new one.
            dataset: an object with `size`, `split(name)` (sized; `split[indices]` gives a `Batch` with images
                `[n,3,S,S]` in [0,1] on this toolkit's device) and `fingerprint()`; or a spec that makes one.

        Raises:
            PluginError: a spec with the name of another one, or with a parameter that has no default.
            RegistryError: a spec that needs a package which is not installed.
        """
        plugins, changes = with_dataset(label, dataset, self.plugins, self.changes)
        toolkit = self._another(self.written, plugins, changes)
        toolkit.resolve("dataset", label)
        return toolkit

    def with_generator(
        self,
        task: str,
        net: nn.Module,
        *,
        size: int,
        dataset: str,
        conditions: Mapping[str, Sequence[str]] | None = None,
        region: Sequence[str] = FACE,
        value_range: ValueRange = "unit",
        objective: ObjectiveName = "untargeted",
    ) -> Toolkit:
        """Another toolkit, with a network of one's own as the generator of a task.

        No calibration comes with it: `toolkit.magdr(task)` makes one on `dataset` when it is first asked
        for (minutes, then it is kept in the cache), with the attacks of the registry's `[calibration]`. Take
        faces like those that the network will see, at least the numbers of that table.

        Args:
            task: the new generator's label; lower-case words joined by hyphens.
            net, size, conditions, region, value_range, objective: see
                :func:`~magdr_core.inference.generator.generator_spec`.
            dataset: a `[dataset.LABEL]` table with faces of `size` pixels.

        Raises:
            RegistryError: the task is there already, or there is no such dataset.
            DataError: no network, or an unknown face part or range.
        """
        if dataset not in self.registry.labels("dataset"):
            known = suggestion(dataset, self.registry.labels("dataset"))
            raise RegistryError(f"{self.registry.path.name} has no [dataset.{dataset}]{known}")
        spec = generator_spec(
            net,
            name=task,
            size=size,
            conditions=conditions,
            region=region,
            value_range=value_range,
            objective=objective,
        )
        table = f'[generator.{task}]\nuse = "{OWN}/{task}"\ndataset = "{dataset}"\n'
        return self.extended(table, {OWN: [spec]})

    # -- calibrated ---------------------------------------------------------------------------------------

    def calibrator(
        self,
        task: str,
        dataset: str,
        store: Store,
        *,
        progress: Progress = lambda what, done, total: None,
        report: Callable[[str], None] = lambda line: None,
    ) -> Calibrator:
        """Gives calibrated detectors and defenses of a task; see :class:`Calibrator`.

        Args:
            task, dataset: a `[generator.LABEL]` and a `[dataset.LABEL]` table.
            store: where entries and attacked faces are kept.
            progress: told (what, done, total).
            report: told one line before a calibration that will be long.

        Raises:
            CalibrationError: the registry names a file that is missing or damaged.
        """
        package = self.resolve("generator", task).entry.origin.package
        shipped = None if package is None else weights_folder(package)
        return Calibrator(self, task, dataset, store, shipped=shipped, progress=progress, report=report)

    def magdr(
        self,
        task: str,
        *,
        defense: str = "magdr",
        dataset: str | None = None,
        cache: Path | str = "runs/cache",
        photographs: bool = True,
        finder: str | None = None,
        progress: Progress = lambda what, done, total: None,
    ) -> Pipeline:
        """MagDR in front of a task's generator: `detect`, `reconstruct`, `defend`.

        A calibration that neither the registry nor the package nor `cache` holds is made first, which takes
        minutes on a CPU.

        Args:
            task: a `[generator.TASK]` table.
            defense: a `[defense.LABEL]` table with `use = "magdr"`, or of another
                :class:`~magdr_core.inference.method.Method`.
            dataset: a `[dataset.LABEL]` table to calibrate on; the task's if None.
            photographs: what the images will be. With a calibration on drawn faces every verdict on a
                photograph is a guess, and says so; False if they will be drawn faces.
            finder: what finds the faces of pictures, as of :meth:`finder`; built when a picture needs it.

        Raises:
            RegistryError: no such task or defense, or it only restores; faces of another size.
            CalibrationError: the registry names a calibration file that does not fit.
        """
        told: dict[str, Any] = {"defense": defense, "dataset": dataset, "finder": finder}
        told["photographs"] = photographs
        pipeline = calibrated_pipeline(self, task, cache=Path(cache), progress=progress, **told)
        if not self.plugins:  # components made in Python are in this process alone
            pipeline.recipe = _Recipe.of(self, task, {"cache": Path(cache).absolute(), **told})
        return pipeline


@dataclass(frozen=True)
class _Recipe:
    """What another process on this machine needs to have the same pipeline; it can be pickled."""

    text: str
    path: Path
    origins: Mapping[str, str]
    device: str
    block: tuple[str, ...]
    changes: Changes
    task: str
    told: Mapping[str, Any]

    @classmethod
    def of(cls, toolkit: Toolkit, task: str, told: Mapping[str, Any]) -> _Recipe:
        written = toolkit.written
        path, origins, block = written.path.absolute(), dict(written.origins), tuple(toolkit.block)
        return cls(written.text, path, origins, str(toolkit.device), block, toolkit.changes, task, told)

    def __call__(self) -> Pipeline:
        registry = replace(parse_registry(self.text, self.path), origins=self.origins)
        toolkit = Toolkit(registry, device=self.device, block=self.block, changes=self.changes)
        return toolkit.magdr(self.task, **self.told)
