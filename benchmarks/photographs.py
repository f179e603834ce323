"""False alarms on clean photographs, and what becomes of attacked ones, by the commands that people use.

python benchmarks/photographs.py NAME=FOLDER ... --out DIR [--set NAME ...] [--whole] [--most N]

For each folder: `magdr detect` on its pictures; `magdr attack`, which writes PNG files, and with `--survive
jpeg` JPEG ones; `magdr detect` on what was written. Each picture is edited by one of the attributes in turn.
No picture is kept but in DIR; DIR/photographs.csv has a row for each folder, file type and figure, with n and
an exact interval.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from magdr_core.media.formats import PICTURE_SUFFIXES

DISRUPTED = 0.05
"""Output MSE on [-1,1] from which on an output counts as disrupted."""

FORMATS = {"png": (), "jpeg": ("--survive", "jpeg")}


def magdr(command: str, *arguments: str) -> list[dict[str, Any]]:
    """The results of a command on files, one for each picture that could be used."""
    call = [sys.executable, "-m", "magdr_core", command, "--json", *arguments]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return [result for result in results if "error" not in result]


def by_edit(
    command: str, files: Sequence[Path], edits: Sequence[str], *options: str
) -> dict[Path, dict[str, Any]]:
    """Results by file; file i is edited by attribute i, in turn."""
    found: dict[Path, dict[str, Any]] = {}
    for k, edit in enumerate(edits):
        mine = files[k :: len(edits)]
        if mine:
            results = magdr(command, *map(str, mine), "--set", edit, *options)
            found |= {Path(result["input"]): result for result in results}
    return found


def measured(
    name: str, folder: Path, out: Path, edits: Sequence[str], *, whole: bool, most: int
) -> Iterator[dict[str, Any]]:
    """The rows of a folder."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)[:most]
    cut = ("--whole",) if whole else ()
    clean = by_edit("detect", files, edits, *cut)
    yield row(name, "as it is", "found", len(clean), len(files))
    yield row(name, "as it is", "false alarms", sum(r["flagged"] for r in clean.values()), len(clean))
    known = sum(r["covered_by_calibration"] for r in clean.values())
    yield row(name, "as it is", "covered by the calibration", known, len(clean))
    for kind, options in FORMATS.items():
        place = out / name / kind
        attacked = by_edit("attack", files, edits, "--out", str(place), *options, *cut)
        hit = [r for r in attacked.values() if r["output_mse"] >= DISRUPTED]
        still = [r for r in hit if r["output_mse_in_file"] >= DISRUPTED]
        yield row(name, kind, "attacks that disrupt", len(hit), len(attacked))
        yield row(name, kind, "written files that still disrupt", len(still), len(hit))
        judged = {
            Path(r["files"]["attacked"]): clean[path]
            for path, r in attacked.items()
            if r in still and path in clean
        }
        flagged = 0
        for k, edit in enumerate(edits):
            mine = [
                attacked[p]["files"]["attacked"] for p in files[k :: len(edits)] if attacked.get(p) in still
            ]
            flagged += sum(r["flagged"] for r in magdr("detect", *mine, "--set", edit, *cut)) if mine else 0
        yield row(name, kind, "of these flagged", flagged, len(judged))


def row(name: str, kind: str, figure: str, count: int, n: int) -> dict[str, Any]:
    low, high = binomtest(count, n).proportion_ci(method="exact") if n else (0.0, 1.0)
    return {
        "pictures": name,
        "file": kind,
        "figure": figure,
        "value": round(count / n, 4) if n else "",
        "ci_low": round(low, 4),
        "ci_high": round(high, 4),
        "n": n,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--set", dest="edits", nargs="+", default=["Blond_Hair", "Black_Hair", "Smiling", "Eyeglasses"]
    )
    parser.add_argument("--whole", action="store_true", help="pictures are cut already")
    parser.add_argument("--most", type=int, default=10_000, help="of each folder")
    given = parser.parse_args()
    rows = []
    for named in given.folders:
        name, _, folder = named.partition("=")
        for found in measured(name, Path(folder), given.out, given.edits, whole=given.whole, most=given.most):
            rows.append(found)
            print(*found.values(), flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    with (given.out / "photographs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
