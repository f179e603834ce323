"""Core's wrappers around components: what must always hold is checked here, not in each component.

A wrapped component keeps its call, and a violation or an exception becomes a
:class:`~magdr_core.errors.ComponentError` that names the component, its plugin and the shapes at hand.
"""

from magdr_core.guards.attack import GuardedAttack
from magdr_core.guards.base import Guard
from magdr_core.guards.channel import GuardedChannel
from magdr_core.guards.defense import GuardedDefense
from magdr_core.guards.detector import GuardedDetector
from magdr_core.guards.finder import GuardedFinder
from magdr_core.guards.generator import GuardedGenerator
from magdr_core.guards.identity_encoder import GuardedIdentityEncoder
from magdr_core.guards.image_map import GuardedImageMap
from magdr_core.guards.metric import GuardedMetric
from magdr_core.guards.parser import GuardedParser

__all__ = [
    "Guard",
    "GuardedAttack",
    "GuardedChannel",
    "GuardedDefense",
    "GuardedDetector",
    "GuardedFinder",
    "GuardedGenerator",
    "GuardedIdentityEncoder",
    "GuardedImageMap",
    "GuardedMetric",
    "GuardedParser",
]
