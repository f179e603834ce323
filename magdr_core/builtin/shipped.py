"""What the conformance suite has of core's own kinds; no plugin module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from magdr_core.components.specs import ComponentSpec
from magdr_core.components.trial import Rule

TAUGHT = ("detector",)
"""Kinds with an example that learns."""


def shipped(kind: str, *rules: str) -> dict[str, Any]:
    """A kind's own rules by name, its toy and its examples, each imported when it is asked for."""

    def own_rules() -> Sequence[Rule]:
        from magdr_core.testing.checks import KIND_RULES

        return [KIND_RULES[name] for name in rules]

    def toy() -> ComponentSpec:
        from magdr_core.testing.toys import toy

        return toy(kind)

    def example() -> str:
        from magdr_core.testing.examples import EXAMPLES

        return EXAMPLES[kind]

    def learning_example() -> str:
        from magdr_core.testing.learning_examples import LEARNING_EXAMPLES

        return LEARNING_EXAMPLES[kind]

    given = {"rules": own_rules, "toy": toy, "example": example}
    return given | ({"learning_example": learning_example} if kind in TAUGHT else {})
