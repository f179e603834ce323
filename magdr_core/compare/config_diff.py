"""What differs between the registries, settings and environments of two runs, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from magdr_core.compare.align import Pair, Place
from magdr_core.compare.load import ComparedRun
from magdr_core.components.kind import RESERVED
from magdr_core.measures.definitions import ROLES
from magdr_core.registry.settings import Profile
from magdr_core.results.cell import BENIGN

Kind = Literal["added", "removed", "changed"]
Tables = Mapping[str, Mapping[str, Any]]

_WHOLE = ("registry", "plugins", "magdr", "calibration")
_NAMES = ("name", "device")
"""Keys of [registry] that move nothing; the device that a run really had is in its environment."""

_PLACE = "base"
"""Key of a component's table that moves nothing: where relative paths start, which an `include` from another
folder sets. A file at such a path that is another one shows in what is computed."""

_ABSENT = "(default)"

_DEFAULTS = Profile().model_dump(mode="json")
"""What a profile of a version that did not have a key did."""


@dataclass(frozen=True)
class Change:
    """One difference.

    Attributes:
        where: a table of the registry such as `[defense.jpeg]`, or `environment`.
        what: the key in it; empty for a whole table.
        before, after: as in a registry file; empty where there is none.
    """

    where: str
    what: str
    kind: Kind
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        name = " ".join(filter(None, [self.where, self.what]))
        if self.kind == "changed":
            return f"{name}: {self.before} -> {self.after}"
        return f"{name}: {self.kind}" + (
            f" ({self.before or self.after})" if self.before or self.after else ""
        )


def changes(a: ComparedRun, b: ComparedRun) -> list[Change]:
    """Everything that differs: tables in A's order, the profile as it was run, the environment."""
    before, after = tables(a), tables(b)
    found: list[Change] = []
    for name in dict.fromkeys([*before, *after]):
        if name not in after:
            found.append(Change(name, "", "removed", before=_told(before[name])))
        elif name not in before:
            found.append(Change(name, "", "added", after=_told(after[name])))
        else:
            found += _keys(name, before[name], after[name])
    profiles = f"[profile.{a.manifest['profile']}]", f"[profile.{b.manifest['profile']}]"
    if profiles[0] != profiles[1]:
        found.append(Change("profile", "name", "changed", profiles[0], profiles[1]))
    found += _keys(profiles[1], *(_flat({**_DEFAULTS, **run.settings}) for run in (a, b)))
    found += _keys("environment", _environment(a), _environment(b))
    return found


def tables(run: ComparedRun) -> Tables:
    """The registry's tables but its profiles, flattened: `[defense.jpeg]` -> {`params.quality`: 75}.

    A component's `use` is its label where the table leaves it out; its `base` is left out.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for name, table in run.registry.items():
        if name in _WHOLE and isinstance(table, dict):
            found[f"[{name}]"] = _flat(table)
        elif name not in RESERVED and isinstance(table, dict):  # components, of plugins' kinds, too
            for label, own in table.items():
                said = _flat(own if isinstance(own, dict) else {})
                found[f"[{name}.{label}]"] = {"use": label, **{k: v for k, v in said.items() if k != _PLACE}}
    return found


def told_apart(pairs: Sequence[Pair], found: Sequence[Change]) -> list[str]:
    """In what cells differ that are paired by label alone: the tables of components and of their calibration,
    and the strength of attacks of which the registries say nothing.

    Args:
        found: of `changes`.
    """
    told = [
        str(change)
        for change in found
        if change.where in ("[magdr]", "[calibration]")
        or (change.where.startswith("[") and "." in change.where)
        if not change.where.startswith("[profile.")
    ]
    said = {change.where for change in found}
    for pair in pairs:
        label = pair.place.labels().attack.partition("@")[0]
        if pair.unlike and f"[attack.{label}]" not in said:
            told.append(f"attack {pair.place.attack}: {pair.unlike}")
    return list(dict.fromkeys(told))


def causes(place: Place, dataset: str, before: Tables, after: Tables, found: list[Change]) -> list[str]:
    """What changed of the things that a cell's result depends on; a guess where it is outside the registry.

    Args:
        dataset: the dataset component's name, which is not its label.
        found: of `changes`.
    """
    reached = _reached(place, dataset, before) | _reached(place, dataset, after)
    own = list(dict.fromkeys(c.where for c in found if c.where in reached and c.what not in _NAMES))
    if own:
        return own
    outside = [str(c).removeprefix("environment ") for c in found if c.where == "environment"]
    return outside or ["nothing that the registry says: code, weights or data files"]


def _reached(place: Place, dataset: str, all_tables: Tables) -> set[str]:
    """The tables that a cell uses, with those that they name by label."""
    attack, *lacking = place.attack.removeprefix("benign:").split("@")
    names = [
        f"[{place.role}.{place.component}]",
        f"[attack.{attack}]",
        f"[generator.{place.task}]",
        *(f"[generator.{label}]" for part in lacking for label in part.split("+")),
    ]
    if place.channel:
        names.append(f"[channel.{place.channel}]")
    if place.role not in ROLES:  # a plugin's, whose kind may be called otherwise
        names += [name for name in all_tables if name.endswith(f".{place.component}]")]
    if place.slice_role == BENIGN:
        names.append(f"[augmentation.{attack}]")
    if place.role == "defense":
        names.append(f"[restoration.{place.component}]")
    plain = f"[restoration.{place.component}]" in all_tables and names[0] not in all_tables
    if place.role in ("detector", "defense") and place.component != "identity" and not plain:
        names += ["[calibration]", "[magdr]"]
    names += [
        name for name, table in all_tables.items() if name.startswith("[dataset.") and dataset == table["use"]
    ]
    names.append("[registry]")
    reached: set[str] = set()
    waiting = [name for name in names if name in all_tables]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        said = set(_strings(list(all_tables[name].values())))
        for other in all_tables:
            kind, _, label = other.strip("[]").partition(".")
            # Only attacks take defenses; elsewhere the label is a restoration's of the same name.
            taken = kind != "defense" or name.startswith("[attack.")
            if label in said and taken and other not in reached:
                waiting.append(other)
    return reached


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings(inner)


def _keys(where: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Differences of two flat tables; of two lists only what one of them lacks."""
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key, _ABSENT), after.get(key, _ABSENT)
        if old == new:
            continue
        if isinstance(old, list) and isinstance(new, list):
            gone, come = [x for x in old if x not in new], [x for x in new if x not in old]
            if gone and not come:
                yield Change(where, key, "removed", before=", ".join(map(_value, gone)))
                continue
            if come and not gone:
                yield Change(where, key, "added", after=", ".join(map(_value, come)))
                continue
        yield Change(where, key, "changed", _value(old), _value(new))


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _environment(run: ComparedRun) -> dict[str, Any]:
    manifest = run.manifest
    versions = manifest.get("versions")
    found = dict(versions) if isinstance(versions, Mapping) else {}
    return found | {"device": str(manifest.get("device", "")), "commit": str(manifest.get("commit", ""))[:12]}


def _told(table: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {_value(value)}" for key, value in table.items())


def _value(value: Any) -> str:
    if value == _ABSENT:
        return _ABSENT
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
