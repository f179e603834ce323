"""MagDR for one's own generator: a purifier, a twin, a calibration, a page with before and after."""

from __future__ import annotations

from magdr_core.adapt.run import Adaptation, adapt

__all__ = ["Adaptation", "adapt"]
