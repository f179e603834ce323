"""The registry that adapting writes: the generator as it was, with everything that was made for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magdr_core.adapt.faces import FOLDER
from magdr_core.components.weights import BUILTIN, RANDOM
from magdr_core.files.toml_text import to_toml
from magdr_core.registry.parsed import Instance, Registry
from magdr_core.registry.read import parse_registry

FILE = "registry.toml"
FACES = "faces"
"""The label of the dataset."""

GENERIC, EDITING = "purifier", "purifier-editing"
"""Labels of the shipped purifiers: for no generator, and for the shipped editor."""

LAYERS = (
    ("gaussian", "median", "bilateral", "nlm", "tv", "wavelet", "wiener", "dct", "guided", "diffusion"),
    ("jpeg", "bit-depth", "resize", "sharpen"),
)
"""What MagDR's search has beside purifiers, as in the packaged registry."""

ATTACKS: Mapping[str, Mapping[str, Any]] = {
    "pgd": {"params": {"eps": "6/255", "steps": 30}},
    "pgd-weak": {"use": "pgd", "params": {"eps": "3/255", "steps": 30}},
    "smooth-gaussian": {
        "use": "smooth",
        "params": {"spectrum": "gaussian", "sigma": 1.0, "eps": "6/255", "steps": 50},
    },
    "noise": {"params": {"eps": "6/255"}},
}
CALIBRATED_ON = ("pgd", "pgd-weak", "smooth-gaussian")


def purifier_name(task: str) -> str:
    """Label and file of the purifier that is made for a generator."""
    return f"purifier-{task}"


def twin_name(task: str) -> str:
    """Label and file of the twin that is made of a generator."""
    return f"twin-{task}"


@dataclass(frozen=True)
class GeneratorSource:
    """The registry that the generator is in, seen from the folder that everything is written to.

    Attributes:
        registry: the user's.
        task: the generator's label in it.
        out: the folder.
        size: of the generator.
        attributes: the names of its conditions; the faces have a list of them.
    """

    registry: Registry
    task: str
    out: Path
    size: int
    attributes: tuple[str, ...]

    def tables(self, *, purifier: bool = False, twin: bool = False) -> dict[str, dict[str, Any]]:
        """All tables but `[calibration]` and the profiles.

        Args:
            purifier, twin: weights are there, so that the tables may name them.
        """
        task, composed = self.task, self.registry.composition
        parser = composed.get("parser")
        if isinstance(parser, str):
            read = self._moved(component_table(self.registry.instance("parser", parser)), "parser", parser)
        else:
            parser, read = "faces", {"use": "unet", "params": {"weights": "builtin:parser-faces64"}}
        generator = self._moved(component_table(self.registry.instance("generator", task)), "generator", task)
        faces: dict[str, Any] = {"path": FOLDER, "size": self.size, "split": "folders"}
        if self.attributes:
            faces["attributes"] = "attributes.csv"
        restorations: dict[str, Any] = {
            GENERIC: {"use": "purifier"},
            EDITING: {"use": "purifier", "params": {"weights": f"{BUILTIN}{EDITING}64"}},
        }
        purifiers, opinion, twins = [GENERIC, EDITING], GENERIC, []
        if purifier:
            opinion = purifier_name(task)
            restorations[opinion] = {"use": "purifier", "params": {"weights": f"{opinion}.safetensors"}}
            purifiers.append(opinion)
        generators = {task: {**generator, "dataset": FACES}}
        if twin:
            twins = [twin_name(task)]
            generators[twins[0]] = self._twin()
        return {
            "registry": {"api": 1, "name": f"{task}-adapted", "seed": 0, "device": self.registry.device},
            "plugins": self._plugins(),
            "dataset": {FACES: {"use": "folder", "params": faces}},
            "generator": generators,
            "parser": {parser: read},
            "attack": dict(ATTACKS),
            "restoration": restorations,
            "magdr": {
                "parser": parser,
                "criteria": ["l1", "ssim", "gradient"],
                "augmentations": ["diffusion", "bilateral", "flip", "shift", "jpeg"],
                "twins": twins,
                "opinion": opinion,
                "candidate_augmentations": ["flip", "shift"],
                "layers": [[*LAYERS[0], *purifiers], [*LAYERS[1]]],
            },
            "detector": {"magdr": {}},
            "defense": {
                "magdr": {"params": {"detector": "magdr"}},
                "identity": {},
                **({"twin": {}} if twin else {}),
            },
        }

    def written(self, numbers: Mapping[str, int], calibration: str, *, twin: bool, tested: int) -> str:
        """The text of the registry.

        Args:
            numbers: keys of `[calibration]`.
            calibration: its file, relative to the folder; empty if there is none yet.
            tested: pictures of the test split.
        """
        data: dict[str, Any] = self.tables(purifier=True, twin=twin)
        file = {"file": calibration} if calibration else {}
        data["calibration"] = {
            **file,
            **numbers,
            "attacks": list(CALIBRATED_ON),
            "benign": ["jpeg", "resize"],
        }
        defenses = ["magdr", "identity", GENERIC, EDITING, purifier_name(self.task)]
        profile = {
            "attacks": ["pgd", "noise"],
            "detectors": ["magdr"],
            "defenses": [*defenses, *(["twin"] if twin else [])],
        }
        data["profile"] = {
            "quick": {"samples": min(8, tested), **profile},
            "full": {"samples": tested, **profile},
        }
        return (
            f"# Made by `magdr adapt` for [generator.{self.task}] of {self.registry.path.name}.\n"
            + to_toml(data, lambda table: _COMMENTS.get(table, ""))
        )

    def parsed(self, tables: Mapping[str, Any]) -> Registry:
        """A registry of these tables, whose relative paths start where the written one's do."""
        return parse_registry(to_toml(tables), self.out / FILE)

    def _plugins(self) -> dict[str, Any]:
        folder = self.registry.path.parent
        local = {
            name: self._from_out(folder / target) if target.endswith(".py") and _is_path(target) else target
            for name, target in self.registry.local.items()
        }
        found = {"local": local, "use": list(self.registry.use), "block": list(self.registry.block)}
        return {name: value for name, value in found.items() if value}

    def _moved(self, table: dict[str, Any], kind: str, label: str) -> dict[str, Any]:
        """A table whose paths start where they started: which texts are paths, only a plugin knows."""
        texts = [v for v in table.get("params", {}).values() if isinstance(v, str)]
        if not any(_is_path(text) and text != RANDOM and not text.startswith(BUILTIN) for text in texts):
            return table
        base = self.registry.instance(kind, label).base
        return {**table, "base": self._from_out(self.registry.path.parent / base)}

    def _twin(self) -> dict[str, Any]:
        """The generator's table with the twin's weights, which lie in the folder itself; paths start there,
        too, unless the generator has others."""
        own, file = self.registry.instance("generator", self.task), f"{twin_name(self.task)}.safetensors"
        others = {k: v for k, v in own.params.items() if k != "weights"}
        table = self._moved({"use": own.use, "params": others}, "generator", self.task)
        base = table.get("base", "")
        weights = os.path.relpath(self.out / file, self.out / base) if base else file
        return {**table, "params": {**others, "weights": Path(weights).as_posix()}}

    def _from_out(self, path: Path) -> str:
        try:
            return Path(os.path.relpath(path.resolve(), self.out.resolve())).as_posix()
        except ValueError:  # another drive
            return str(path.resolve())


_COMMENTS = {
    "magdr": "What MagDR is made of; its calibration is for exactly this.",
    "calibration": "Of the faces in faces/calibration.",
}


def component_table(instance: Instance) -> dict[str, Any]:
    """A component's table as it was written, but for where its paths start and which faces it is for."""
    keys = {k: v for k, v in instance.keys.items() if v and k not in ("dataset", "attacks")}
    table: dict[str, Any] = {"use": instance.use, **keys}
    if instance.params:
        table["params"] = dict(instance.params)
    if instance.base:
        table["base"] = instance.base
    return table


def _is_path(text: str) -> bool:
    return not text.startswith(("~", "$", "/"))
