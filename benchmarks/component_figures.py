"""What the committed results say about each built-in component, for `magdr plugins list --measures`.

python benchmarks/component_figures.py

Writes plugins/figures.csv, which is packaged, from benchmarks/results/*.csv and the registries that these
were made of. A row is about a component under its own name and its registry's parameters; a defense that is
one restoration alone is about that restoration. Of a figure that several results have, the first source
counts. Intervals of shares are Clopper and Pearson's (1934), also where the results have the bootstrap's of
0.1.0, which are points where a share is 0 or 1.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scipy.special import betaincinv

from magdr_core.registry.parsed import Registry
from magdr_core.registry.read import read_registry

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FILE = ROOT / "plugins" / "figures.csv"

COLUMNS = (
    "kind", "component", "task", "measure", "knowledge", "attack", "eps", "value", "ci_low", "ci_high", "n",
    "page", "remark",
)  # fmt: skip

REGISTRIES = {
    "faces64": ROOT / "registry.toml",
    "tables": ROOT / "benchmarks" / "registries" / "tables.toml",
    "adaptive": ROOT / "benchmarks" / "registries" / "adaptive.toml",
}
"""By what results.csv calls them."""

ATTACK = "pgd"
"""Detectors and defenses are compared under this one."""

TASKS = ("editing", "reenactment", "replacement")

MEASURES = {
    "attack": (("success", ""), ("mse_o", "")),
    "detector": (("recall", "fpr1"), ("fpr_clean", "fpr1")),
    "defense": (("mse_o", ""),),
}
"""By role: metric and variant. `fpr1` is the threshold for 1% false alarms."""


SHARES = ("recall", "fpr_clean", "success")


@dataclass(frozen=True)
class Source:
    """A file of results.

    Attributes:
        page: its name without the suffix.
        past: components that it measured in a form that is no longer theirs.
        remark: what a reader of its adaptive figures must know.
    """

    page: str
    past: frozenset[str] = frozenset()
    remark: str = ""


BEFORE_OPINIONS = frozenset({"magdr"})
"""Before second opinions were the default, as benchmarks/results/README.md says."""

SOURCES = (
    Source("faces64-detection"),
    Source("faces64-full", BEFORE_OPINIONS),
    Source("faces64-tables", BEFORE_OPINIONS),
    Source("faces64-standard"),
    Source("faces64-adaptive", BEFORE_OPINIONS, "suite of 0.1.0, which flatters"),
)


def figures() -> list[dict[str, str]]:
    """The rows of the file, sorted."""
    registries = {name: read_registry(path) for name, path in REGISTRIES.items()}
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for source in SOURCES:
        with (RESULTS / f"{source.page}.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for told in told_by(row, registries[row["registry"]], source):
                    found.setdefault(tuple(told[name] for name in COLUMNS[:6]), told)
    return [found[key] for key in sorted(found)]


def told_by(row: Mapping[str, str], registry: Registry, source: Source) -> Iterator[dict[str, str]]:
    """What a row of results says of a component; nothing if it is about another configuration."""
    role = row["role"]
    if (row["metric"], row["variant"]) not in MEASURES[role] or row["task"] not in TASKS:
        return
    if row.get("channel"):
        return
    clean = row["attack"] == "none"
    if role != "attack" and row["attack"] != ATTACK and not clean:
        return
    if role == "attack" and row["knowledge"] != "none":
        return  # of a whole suite with this one's strength
    component = measured(registry, role, row["component"])
    if component is None or component[1] in source.past:
        return
    kind, name = component
    yield {
        "kind": kind,
        "component": name,
        "task": row["task"],
        "measure": row["metric"],
        "knowledge": row["knowledge"],
        "attack": "" if role == "attack" else row["attack"],
        "eps": row["eps"],
        "value": row["value"],
        **interval(row),
        "n": row["n"],
        "page": source.page,
        "remark": source.remark if row["knowledge"] == "adaptive" else "",
    }


def interval(row: Mapping[str, str]) -> dict[str, str]:
    """The 95% interval of a row: of a share by its number of images, else as the results have it."""
    if row["metric"] not in SHARES:
        return {end: row[end] for end in ("ci_low", "ci_high")}
    n = int(row["n"])
    hits = round(float(row["value"]) * n)
    low = betaincinv(hits, n - hits + 1, 0.025) if hits else 0.0
    high = betaincinv(hits + 1, n - hits, 0.975) if hits < n else 1.0
    return {"ci_low": f"{low:.9g}", "ci_high": f"{high:.9g}"}


def measured(registry: Registry, role: str, label: str) -> tuple[str, str] | None:
    """(kind, name) of the component that a label's row is about.

    None where the label is another configuration of a component than the one under its own name.
    """
    instance = registry.instances.get((role, label))
    if instance is None:
        return None
    layers = instance.params.get("layers")
    if role == "defense" and instance.use == "fixed-chain" and layers == [[label]]:
        chosen = registry.instances.get(("restoration", label))
        return ("restoration", label) if chosen is None or chosen.use == label else None
    return (role, label) if instance.use == label else None


def text() -> str:
    """The content of the file."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(figures())
    return out.getvalue()


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8", newline="\n")
    print(FILE.relative_to(ROOT))
