"""What checks.json says of a row: the verdict of each check, and the badge that they make together."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["pass", "warn", "fail", "skipped", "inapplicable"]
Badge = Literal["verified", "oblivious-only", "incomplete", "unreliable"]
