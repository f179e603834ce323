"""The images that MagDR served worst: a mean hides them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magdr_core.bench.plan import ORACLE
from magdr_core.report.figures import IDENTITY, Condition, Figures
from magdr_core.report.shown import MISSING, Block, Column, Line, Shown, Table, number
from magdr_core.report.summary import MAGDR, magdr_label

SHOWN = 5
_mse = number(1)


def worst(figures: Figures, task: str, attack: Condition) -> Table | None:
    """The five images with the largest output error under MagDR; None if the run kept no errors of images."""
    label = magdr_label(figures, task, "defense")
    own = _errors(figures, task, attack, label) if label else {}
    if not own:
        return None
    several = len(figures.seeds(task)) > 1
    compared = {name: _errors(figures, task, attack, name) for name in (IDENTITY, ORACLE)}
    others = {
        name: errors
        for name in figures.baselines(task, "defense", MAGDR)
        if (errors := _errors(figures, task, attack, name))
    }
    columns = [
        Column("Undefended", "MSE (O)"),
        Column(str(label), "MSE (O)"),
        Column("Best baseline", "MSE (O) of this image"),
        Column("Oracle", "MSE (O)"),
    ]
    lines = []
    for image in sorted(own, key=lambda i: (-own[i], i))[:SHOWN]:
        seed, name = image
        best = min((o for o in others if image in others[o]), key=lambda o: others[o][image], default=None)
        line = Line(name, f"seed {seed}" if several else "")
        line.fields = [
            _field(compared[IDENTITY], image),
            _field(own, image),
            Shown(text=_mse(others[best][image]), note=best) if best else Shown(),
            _field(compared[ORACLE], image),
        ]
        lines.append(line)
    caption = f"Worst {len(lines)} of {len(own)} images, {task}: {label} under {attack.label}"
    return Table(caption, "Image", columns, [Block("", "", lines)])


def _errors(
    figures: Figures, task: str, attack: Condition, component: str
) -> Mapping[tuple[int, str], float]:
    """Output errors by seed and image id, from the cells that kept them."""
    found: dict[tuple[int, str], float] = {}
    for cell in figures.run.cells:
        facts: Mapping[str, Any] = cell["facts"]
        if (
            (facts["task"], facts["role"], facts["component"]) == (task, "defense", component)
            and isinstance(cell.get("mse_o"), dict)
            and figures.condition(facts) == attack
        ):
            found |= {(facts.get("seed", 0), name): float(v) for name, v in cell["mse_o"].items()}
    return found


def _field(errors: Mapping[tuple[int, str], float], image: tuple[int, str]) -> Shown:
    return Shown(text=_mse(errors[image])) if image in errors else Shown(text=MISSING)
