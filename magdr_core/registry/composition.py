"""What `[magdr]` means where a registry does not say it: working defaults, so that a short registry runs.

A default is the last resort: it fills a need that neither the component's table nor `[magdr]` fills, and for
which the registry declares nothing. Whatever ran without defaults runs as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from magdr_core.components.specs import Need
from magdr_core.components.task_run import ToolkitParts
from magdr_core.errors import MagdrError
from magdr_core.registry.settings import Profile


@dataclass(frozen=True)
class Default:
    """Labels that fill a need, nested as the need is."""

    kind: str
    labels: Any


# Bare names of built-in components, with what they ship: nothing here needs a table.
DEFAULTS: Mapping[str, Default] = MappingProxyType(
    {
        "parser": Default("parser", "unet"),
        "criteria": Default("metric", ["l1", "ssim", "gradient"]),
        "augmentations": Default("augmentation", ["diffusion", "bilateral", "flip", "shift", "jpeg"]),
        "detector": Default("detector", "magdr"),
        "candidate_augmentations": Default("augmentation", ["flip", "shift"]),
        "layers": Default(
            "restoration",
            [
                [
                    *("gaussian", "median", "bilateral", "nlm", "tv", "wavelet", "wiener", "dct", "guided"),
                    *("diffusion", "purifier"),
                ],
                ["jpeg", "bit-depth", "resize", "sharpen"],
            ],
        ),
    }
)


def default_of(name: str, need: Need) -> Any:
    """The labels that fill a need where nobody says any; None if there is no default for it."""
    default = DEFAULTS.get(name)
    return default.labels if default is not None and default.kind == need.kind else None


def composition(toolkit: ToolkitParts, profile: Profile) -> Mapping[str, Any]:
    """`[magdr]` as a profile means it: what the registry says, and the defaults that the profile's detectors
    and defenses take. A registry without any of MagDR's components takes none.

    Args:
        profile: its `detectors` and `defenses` count; a broken one says itself what is wrong with it.
    """
    taken: dict[str, Any] = {}
    for kind, labels in (("detector", profile.detectors), ("defense", profile.defenses)):
        for label in labels:
            try:
                taken |= toolkit.resolve(kind, label).defaults
            except MagdrError:
                continue
    return {**taken, **toolkit.registry.composition}
