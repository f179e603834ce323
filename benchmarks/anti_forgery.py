"""Lab against RGB at equal PSNR: does disruption of colour survive MagDR, as Anti-Forgery (IJCAI 2022) says?

    python benchmarks/anti_forgery.py                      runs: three tasks, 64 faces each, or goes on
    python benchmarks/anti_forgery.py --profile small      runs: editing alone, at 40 dB, 16 of these faces
    python benchmarks/anti_forgery.py RUN/results.csv      prints the tables of a run

Runs benchmarks/registries/anti-forgery.toml, as `magdr bench` would. What the cache holds is not computed
again; the run folder has results.csv with 95% intervals. Output MSE is 0 to 255 squared; F1 is at the
threshold of the best F1 on calibration faces, recall at the one for 1% false alarms.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tables import table

from magdr_core.bench.run import Bench
from magdr_core.results.frame import FigureTable
from magdr_core.results.variant import BEST_F1, Variant
from magdr_core.toolkit import Toolkit

REGISTRY = Path(__file__).parent / "registries" / "anti-forgery.toml"
POINT = Variant.at(0.01)


def computed(profile: str, out: Path | None, cache: Path, limit: int | None) -> Path:
    """The results.csv of a run, computed as far as it is not there."""

    def progress(what: str, done: int, total: int) -> None:
        print(f"  {what}: {done} of {total}", flush=True)

    toolkit = Toolkit.from_registry(REGISTRY)
    bench = Bench(toolkit, profile, out=out, cache=cache, limit=limit, progress=progress)
    bench.run()
    return bench.folder / "results.csv"


def of_task(rows: FigureTable) -> str:
    """A line for each attack."""
    caused, found = rows.where(role="attack"), rows.where(role="detector", component="magdr")
    as_it_is, left = (rows.where(role="defense", component=name) for name in ("identity", "magdr"))
    lines = []
    for attack in caused.names("attack"):
        own = found.where(attack=attack)
        lines.append(
            [
                attack,
                as_it_is.text(".1f", attack=attack, metric="psnr_i"),
                as_it_is.text(".0f", attack=attack, metric="mse_o"),
                left.text(".0f", attack=attack, metric="mse_o"),
                own.text(".3f", metric="auroc"),
                own.text(".2f", BEST_F1, metric="f1"),
                own.text(".2f", POINT, metric="recall"),
            ]
        )
    heads = ["attack", "PSNR (I)", "output MSE", "left by MagDR", "AUROC", "best F1", "recall at 1%"]
    return table(heads, lines)


def main(path: Path) -> None:
    rows = FigureTable.read(path)
    for task in rows.names("task"):
        print(f"## {task}\n\n{of_task(rows.where(task=task))}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="?", help="results.csv of a run that is there")
    parser.add_argument("--profile", default="anti-forgery", help="of the registry")
    parser.add_argument("--out", type=Path, help="run folder (default: runs/...)")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="store of cells and images")
    parser.add_argument("--limit", type=int, help="at most so many faces")
    asked = parser.parse_args()
    main(asked.results or computed(asked.profile, asked.out, asked.cache, asked.limit))
