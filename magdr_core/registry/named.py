"""What a registry names by label, and where: so that a label that nobody has is told with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from magdr_core.components.role import Role
from magdr_core.components.task_run import ToolkitParts
from magdr_core.errors import MagdrError, RegistryError, one_line
from magdr_core.registry.parsed import Registry
from magdr_core.registry.settings import Profile

Named = tuple[str, str, str]
"""(place, kind, label): `("[profile.quick] attacks", "attack", "pgd")`."""


def named_by_calibration(registry: Registry) -> Iterator[Named]:
    """What `[calibration]` names."""
    policy = registry.calibration
    for label in policy.attacks:
        yield "[calibration] attacks", "attack", label
    for label in policy.benign:
        yield "[calibration] benign", "augmentation", label


def named_by_generators(registry: Registry) -> Iterator[Named]:
    """The attacks that generators' tables name."""
    for task in registry.labels("generator"):
        for label, own in registry.instance("generator", task).attacks.items():
            yield f"[generator.{task}] attacks", "attack", label
            yield f"[generator.{task}] attacks, {label}", "attack", own


def named_by_profile(
    registry: Registry, profile: Profile, name: str, roles: Mapping[str, Role]
) -> Iterator[Named]:
    """What a profile names; a list that is none is left out, since planning says so.

    Args:
        name: of the profile.
        roles: by name, those that may have a list in it.
    """
    place = f"[profile.{name}]"
    for key, kind, label in _labels(registry, profile):
        yield f"{place} {key}", kind, label
    for role in roles.values():
        if role.plural in profile.extra:
            try:
                labels = role.listed(profile)
            except ValueError:
                continue
            for label in labels:
                yield f"{place} {role.plural}", role.kind, label


def placed(registry: Registry, place: str, error: MagdrError) -> str:
    """The line of an error, with the place of a label where it names the registry's file alone."""
    said, file = one_line(error), f"{registry.path.name}: "
    return f"{registry.file_of(place)} {place}: {said.removeprefix(file)}" if said.startswith(file) else said


def with_place(
    error: RegistryError, toolkit: ToolkitParts, profile: Profile, name: str, roles: Mapping[str, Role]
) -> RegistryError | None:
    """The same error with the place of the label that is at fault; None where no label is, or it says more
    than the file already.

    Args:
        name: of the profile; None comes back without one.
        roles: by name, those that may have a list in the profile.
    """
    if not name:
        return None
    registry: Registry = toolkit.registry
    for place, kind, label in (
        *named_by_calibration(registry),
        *named_by_generators(registry),
        *named_by_profile(registry, profile, name, roles),
    ):
        try:
            toolkit.resolve(kind, label)
        except MagdrError as e:
            if str(e) == str(error):
                said = placed(registry, place, e)
                return RegistryError(said) if said != one_line(error) else None
    return None


def _labels(registry: Registry, profile: Profile) -> Iterator[tuple[str, str, str]]:
    """(key, kind, label) of everything that a profile's own keys name."""
    lists: dict[str, tuple[str, tuple[str, ...]]] = {
        "generators": ("generator", profile.generators or ()),
        "attacks": ("attack", profile.attacks),
        "detectors": ("detector", profile.detectors),
        "defenses": ("defense", profile.defenses),
        "benign": ("augmentation", profile.benign),
        "ensemble": ("augmentation", profile.ensemble),
        "channels": ("channel", _texts(profile.extra.get("channels"))),
        "dataset": ("dataset", () if profile.dataset is None else (profile.dataset,)),
    }
    if profile.sweep is not None:
        lists |= {"sweep attacks": ("attack", profile.sweep.attacks)}
    if profile.adaptive is not None:
        adaptive = profile.adaptive
        lists |= {
            "adaptive attacks": ("attack", (*adaptive.attacks, *adaptive.others)),
            "adaptive detectors": ("detector", (*adaptive.detectors, *filter(None, [adaptive.behind]))),
            "adaptive defenses": ("defense", adaptive.defenses),
        }
    for key, (kind, labels) in lists.items():
        for label in labels:
            filters = kind == "defense" and ("defense", label) not in registry.instances
            restoration = filters and ("restoration", label) in registry.instances
            yield key, "restoration" if restoration else kind, label
    for transfer in profile.transfer:
        yield "transfer", "attack", transfer.attack
        if transfer.surrogate:
            yield "transfer", "generator", transfer.surrogate
    for label in registry.tasks(profile) if profile.dataset is None else ():
        yield f"dataset of {label}", "dataset", registry.dataset_of(label)


def _texts(told: Any) -> tuple[str, ...]:
    """The labels of a list that nobody has checked yet."""
    return tuple(label for label in told if isinstance(label, str)) if isinstance(told, list | tuple) else ()
