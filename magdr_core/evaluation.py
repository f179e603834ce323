"""The standard row of a defense in one call: what it leaves of an attack, and what it costs clean images."""

from __future__ import annotations

import copy
import inspect
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from magdr_core.bench.run import Bench
from magdr_core.calibration import Progress
from magdr_core.components.batch import Condition
from magdr_core.components.protocols import Generator
from magdr_core.components.role import ORACLE
from magdr_core.components.slice import CLEAN
from magdr_core.components.specs import ComponentSpec, DefenseSpec, RestorationSpec
from magdr_core.errors import ComponentError, DataError
from magdr_core.results.cell import IDENTITY
from magdr_core.results.columns import Row
from magdr_core.toolkit import Toolkit

REFERENCES = (IDENTITY, ORACLE)

QUOTABLE = 256
"""Faces from which on a figure may be quoted (docs/honest-evaluation.md)."""

PLUGIN = "evaluated"
"""The plugin name of a defense that was handed over."""

Given = str | DefenseSpec | RestorationSpec | Callable[..., Tensor]
"""A label of the registry, a spec, a function or network `(x, c, G) -> x'` or `(x) -> x'`."""


@dataclass(frozen=True)
class IntervalEstimate:
    """A figure with its uncertainty.

    Attributes:
        value: the mean over the faces.
        low, high: the 95% interval over identities; NaN where there is none.
        n: faces.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        interval = f" [{_digits(self.low)}, {_digits(self.high)}]" if self.low == self.low else ""
        return f"{_digits(self.value)}{interval}"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The standard row of a defense; `print` shows it as a table.

    Errors are means of the squared error of the generator's output against its output on the clean face, in
    levels squared (0 to 255).

    Attributes:
        defense, task, attack: labels.
        eps: the attack's strength, in [0,1] units.
        n: test faces.
        clean: error on faces that nobody attacked, which is the damage that the defense does.
        undefended: error under the attack that does not know the defense, where nothing defends.
        oblivious: error under the same attack behind the defense.
        adaptive: error under the attack that knows the defense; None where it was not made.
        adaptive_undefended: error of the same effort where nothing defends.
        kept: of the strongest undefended disruption that anything found, the share that the attack that knows
            the defense keeps; None likewise.
        passes: of the generator per attacked image.
        rows: of results.csv, with all other figures.
        folder: the run folder.
    """

    defense: str
    task: str
    attack: str
    eps: float
    n: int
    clean: IntervalEstimate
    undefended: IntervalEstimate
    oblivious: IntervalEstimate
    adaptive: IntervalEstimate | None
    adaptive_undefended: IntervalEstimate | None
    kept: IntervalEstimate | None
    passes: float
    rows: list[Row] = field(repr=False)
    folder: Path

    def __str__(self) -> str:
        attack = f"{self.attack} {self.eps * 255:.3g}/255"
        table = [
            ("", "undefended", self.defense),
            ("clean", "0", str(self.clean)),
            (f"{attack}, oblivious", str(self.undefended), str(self.oblivious)),
        ]
        if self.adaptive is not None:
            table.append((f"{attack}, adaptive", str(self.adaptive_undefended), str(self.adaptive)))
        columns = [_filled(column) for column in zip(*table, strict=True)]
        lines = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
        said = [
            f"{self.defense} before {self.task}: output MSE (levels squared), [95% interval], n = {self.n}",
            *lines,
        ]
        kept = "" if self.kept is None else f"kept by the adaptive attack: {self.kept}; "
        said.append(f"{kept}generator passes an image: {_digits(self.passes)}")
        if self.adaptive is None:
            said.append(
                "no attack here knew the defense, which says nothing about robustness; adaptive=True adds one"
            )
        if self.n < QUOTABLE:
            said.append(f"n = {self.n} is a demonstration; quote figures from {QUOTABLE} faces or more")
        return "\n".join(said)

    __repr__ = __str__


def evaluate(
    defense: Given,
    *,
    toolkit: Toolkit | None = None,
    task: str = "",
    attack: str = "pgd",
    samples: int = 8,
    first: int = 0,
    adaptive: bool = False,
    steps: int | None = None,
    out: Path | str | None = None,
    cache: Path | str = "runs/cache",
    progress: Progress = lambda what, done, total: None,
) -> Evaluation:
    """What a defense leaves of an attack, with intervals, beside the undefended generator and clean images.

    A benchmark of one defense (:class:`Bench`): attacked images and the undefended row are kept in `cache`
    and made once. A function or network is computed (and, if it is random, draws) anew every time, since
    nothing tells whether it is the same; a label or a spec is looked up like any other component.

    Args:
        defense: a label of the registry (`"jpeg"`, `"magdr"`), a `DefenseSpec` or `RestorationSpec`, or a
            function or network `(x [B,3,S,S] in [0,1], c, G) -> [B,3,S,S]`, or of `x` alone. A function with
            a keyword argument `rng` is random and draws from it alone. A network is copied, in `eval` mode.
        toolkit: with the generators, attacks and faces; that of `./registry.toml`, else the packaged one.
        task: a `[generator.TASK]` table; the registry's first if empty.
        attack: an `[attack.LABEL]` table.
        samples, first: how many test faces, from which index on. For figures that are quoted take faces on
            which nothing was chosen, and many.
        adaptive: attack once more, knowing the defense (minutes for a cheap one, much longer for MagDR).
        steps: of that attack's longest run; the suite's own if None.
        out: the run folder; below `runs/` if None.
        progress: told (what, done, total).

    Raises:
        DataError: `defense` is none.
        RegistryError: no such label, or a number out of range.
        ComponentError: the defense failed on the images.

    >>> from magdr_core import evaluate
    >>> print(evaluate("jpeg", samples=2))                       # doctest: +SKIP
    """
    base = Toolkit.from_registry() if toolkit is None else toolkit
    task = task or base.registry.defended()[0]
    label, table, plugins = _named(defense, base)
    profile = _profile(base, label, task, attack, samples, first, steps if adaptive else 0)
    extended = base.extended(f"{table}\n{profile}", plugins)
    name = profile.partition("[profile.")[2].partition("]")[0]
    folder = None if out is None else Path(out)
    bench = Bench(extended, name, out=folder, cache=Path(cache), progress=progress, report=lambda line: None)
    result = bench.run()
    for cell in result.failures:
        raise ComponentError(str(cell.error))
    row = _Rows(result.rows)
    return Evaluation(
        defense=label,
        task=task,
        attack=attack,
        eps=float(next(r["eps"] for r in result.rows if r["attack"] == attack)),
        n=int(row("mse_o", attack, label, "oblivious").n),
        clean=row("mse_o", CLEAN, label, "oblivious"),
        undefended=row("mse_o", attack, IDENTITY, "none"),
        oblivious=row("mse_o", attack, label, "oblivious"),
        adaptive=row("mse_o", attack, label, "adaptive") if adaptive else None,
        adaptive_undefended=row("mse_o", attack, IDENTITY, "adaptive") if adaptive else None,
        kept=row("kept", attack, label, "adaptive") if adaptive else None,
        passes=row("forwards", attack, label, "oblivious").value,
        rows=result.rows,
        folder=result.folder,
    )


class _Rows:
    """The rows of one run, by what they are about."""

    def __init__(self, rows: list[Row]) -> None:
        keys = ("metric", "attack", "component", "knowledge")
        own = (row for row in rows if row["role"] == "defense" and not row["variant"])
        self._rows = {tuple(row[key] for key in keys): row for row in own}

    def __call__(self, *key: str) -> IntervalEstimate:
        row = self._rows[key]
        return IntervalEstimate(
            float(row["value"]), float(row["ci_low"]), float(row["ci_high"]), int(row["n"])
        )


def _named(defense: Given, toolkit: Toolkit) -> tuple[str, str, dict[str, list[ComponentSpec]]]:
    """(label, registry table, plugins) of a defense; no table of one that is in the registry.

    Raises:
        DataError: it is no defense.
    """
    if isinstance(defense, str):
        if defense in REFERENCES:
            raise DataError(_WANTED.format(f"{defense!r}, which stands beside every defense"))
        return defense, "", {}
    if isinstance(defense, ComponentSpec):
        spec: ComponentSpec = defense
    elif callable(defense):
        spec = _spec_of(defense, toolkit)
    else:
        raise DataError(_WANTED.format(f"a {type(defense).__name__}"))
    if not isinstance(spec, DefenseSpec | RestorationSpec):
        raise DataError(_WANTED.format(f"the {spec.kind} {spec.name!r}"))
    taken = {*toolkit.registry.labels("defense"), *toolkit.registry.labels("restoration"), *REFERENCES}
    label = spec.name if spec.name not in taken else f"own-{spec.name}"
    return label, f'[{spec.kind}.{label}]\nuse = "{PLUGIN}/{spec.name}"\n', {PLUGIN: [spec]}


_WANTED = (
    "evaluate takes a defense: a label of the registry, a DefenseSpec or RestorationSpec, or a function or "
    "network of (x, c, G) or of x; got {}"
)


def _profile(
    toolkit: Toolkit, label: str, task: str, attack: str, samples: int, first: int, steps: int | None
) -> str:
    """The table of a profile of this one defense.

    Args:
        steps: of the attack that knows it; None for the suite's own, 0 for no such attack.
    """
    name = "evaluate"
    while name in toolkit.registry.profiles:
        name += "-again"
    lines = [
        f"[profile.{name}]",
        f"generators = [{_quoted(task)}]",
        f"attacks = [{_quoted(attack)}]",
        f"defenses = [{_quoted(label)}]",
        f"samples = {samples}",
        f"first = {first}",
    ]
    if steps != 0:
        lines += [
            f"[profile.{name}.adaptive]",
            f"attacks = [{_quoted(attack)}]",
            f"defenses = [{_quoted(label)}]",
        ]
        lines += [] if steps is None else [f"steps = {steps}"]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """As TOML has it."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _spec_of(defense: Callable[..., Tensor], toolkit: Toolkit) -> DefenseSpec:
    """A function or network as a component, which no stored result is taken for.

    Raises:
        DataError: it takes neither `x` nor `(x, c, G)`.
    """
    called = defense.forward if isinstance(defense, nn.Module) else defense
    parameters = inspect.signature(called).parameters.values()
    given = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    count = sum(p.default is p.empty for p in given)
    if count not in (1, 3):
        raise DataError(_WANTED.format(f"a function of {count} arguments"))
    stochastic = any(p.name == "rng" for p in parameters)
    kept = copy.deepcopy(defense).eval().to(toolkit.device) if isinstance(defense, nn.Module) else defense

    def build() -> _Handed:
        return _Handed(kept, alone=count == 1)

    build.fingerprint = secrets.token_hex(32)  # type: ignore[attr-defined]
    said = getattr(defense, "__name__", type(defense).__name__)
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", said).lower())
    name = "-".join(words) if words and words[0][0].isalpha() and words != ["lambda"] else "defense"
    return DefenseSpec(name=name, build=build, stochastic=stochastic, summary="Handed over in Python.")


class _Handed:
    """A defense that was handed over, called as defenses are; `alone`: with the images alone."""

    def __init__(self, defense: Callable[..., Tensor], *, alone: bool) -> None:
        self.defense = defense
        self.alone = alone

    def __call__(self, x: Tensor, c: Condition, G: Generator, **rng: Any) -> Tensor:
        """`[B,3,H,W]` in [0,1], B conditions -> `[B,3,H,W]` in [0,1]."""
        return self.defense(x, **rng) if self.alone else self.defense(x, c, G, **rng)


def _filled(column: Sequence[str]) -> list[str]:
    """The cells of a column, all as wide as the widest."""
    width = max(map(len, column))
    return [f"{cell:<{width}}" for cell in column]


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"
