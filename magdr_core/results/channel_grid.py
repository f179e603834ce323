"""The figures of a run behind its channels beside those without any: a line a figure, a column a channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from magdr_core.components.figure import Figure
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.results.frame import CLEAN_IMAGES, AttackCondition, FigureTable, FigureValue
from magdr_core.results.variant import PLAIN, Variant

_OF_ATTACKS = {
    "attack": ("disruption_kept", "perturbation_kept", "disruption_of_channel"),
    "detector": ("auroc", "recall"),
    "defense": ("mse_o",),
}
_OF_CLEAN = {"detector": ("fpr_clean",), "defense": ("mse_o",)}
"""By role, what is looked at behind a channel on attacked and on clean pictures."""

_AT_POINT = ("recall", "fpr_clean")
"""Those at the threshold that was set for a rate of false alarms, on pictures that no channel had touched."""


@dataclass(frozen=True)
class ChannelLine:
    """One figure of one component.

    Attributes:
        condition: what the pictures had been through before any channel.
        values: by channel; without one under an empty text. None where a figure is not known.
    """

    condition: AttackCondition
    role: str
    component: str
    figure: Figure
    values: dict[str, FigureValue | None]


def channels_of(table: FigureTable, listed: Sequence[str] = ()) -> list[str]:
    """The channels that rows went through, in the order of a profile's list."""
    there = [name for name in dict.fromkeys(row.get("channel", "") for row in table.rows) if name]
    order = list(listed)
    return sorted(there, key=lambda name: (order.index(name) if name in order else len(order), name))


def channel_lines(table: FigureTable, task: str, channels: Sequence[str]) -> Iterator[ChannelLine]:
    """The lines of a task: clean pictures first, then attack by attack; of several seeds one figure for all.

    Args:
        channels: those that are columns.
    """
    if not channels:
        return
    point = table.where(role="detector").strict
    about: dict[tuple[AttackCondition, str, str], None] = {}
    for row, facts in table.plain:
        if row["task"] == task and facts.channel:
            about[(table.condition(facts)._replace(channel=""), row["role"], row["component"])] = None
    conditions = dict.fromkeys(condition for condition, _, _ in about)
    for condition in sorted(conditions, key=lambda c: (c != CLEAN_IMAGES, c)):
        wanted = _OF_CLEAN if condition == CLEAN_IMAGES else _OF_ATTACKS
        for role, metrics in wanted.items():
            for component in (c for where, r, c in about if where == condition and r == role):
                for metric in metrics:
                    variant = point if metric in _AT_POINT else PLAIN
                    values = _values(table, task, condition, role, component, metric, variant, channels)
                    if any(v is not None for v in values.values()):
                        yield ChannelLine(condition, role, component, DEFINITIONS[role, metric], values)


def _values(
    table: FigureTable,
    task: str,
    condition: AttackCondition,
    role: str,
    component: str,
    metric: str,
    variant: Variant,
    channels: Sequence[str],
) -> dict[str, FigureValue | None]:
    places = {name: condition._replace(channel=name) for name in ("", *channels)}
    return {name: table.get(task, place, role, component, metric, variant) for name, place in places.items()}
