"""Everything about speed in one command: peers in the same process, in turn.

    python benchmarks/speed/run.py [--parts loop,pipeline,agreement,...] [--compile] [--threads N]

Writes NAME.json and NAME.md under benchmarks/results/speed/ with the hardware named. Nothing is downloaded.
On a busy machine `--clock cpu --threads 1` counts the process's own time instead of the clock's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import inside
import loops
import peers
import pipeline
import scaling
import told
import torch
from clock import Clock
from faces import World

from magdr_core.components.threads import probe_threads

RESULTS = Path(__file__).parents[1] / "results" / "speed"
PARTS = ("loop", "pipeline", "agreement", "filters", "inside", "scaling")
PACKAGES = ("magdr", "torch", "kornia", "torchmetrics", "scikit-image", "torchattacks", "pillow")

SUMMARY = "Everything about speed in one command: peers in the same process, in turn."


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python benchmarks/speed/run.py", description=SUMMARY)
    parser.add_argument("--parts", default=",".join(PARTS), help="which tables, by commas")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--threads", type=int, default=0, help="of a CPU; 0: the faster of one and all")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant that count")
    parser.add_argument("--compile", action="store_true", help="torch.compile too: minutes more")
    parser.add_argument("--images", type=int, default=0, help="of the pipeline; 0: 16 on a CPU, 256 on CUDA")
    parser.add_argument("--agreement", type=int, default=256, help="images that verdicts are compared on")
    parser.add_argument("--batch", type=int, default=0, help="of the attack loop; 0: 4 on a CPU, 32 on CUDA")
    parser.add_argument("--filters", default="32x128", metavar="NxSIDE", help="images for the filters")
    parser.add_argument("--steps", type=int, default=10, help="of the attack loop")
    parser.add_argument("--name", default="", help="of the files; the hardware's if empty")
    parser.add_argument("--tests", default="", help="outcome of the device's tests, noted in the file")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    wrong = set(given.parts.split(",")) - set(PARTS)
    if wrong:
        parser.error(f"no part {sorted(wrong)[0]!r}; parts are {', '.join(PARTS)}")
    if given.clock == "cpu" and (given.threads != 1 or given.device == "cuda"):
        parser.error("--clock cpu needs --threads 1 and a CPU: time of several threads adds up")
    return given


def hardware(device: torch.device) -> str:
    """The processor's or GPU's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        found = re.search(r"^model name\s*: (.*)$", text, re.M)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def chosen(settings: dict[str, str], compiled: bool) -> list[str]:
    return [name for name, lines in settings.items() if compiled or "compile" not in lines]


def main() -> None:
    given = arguments()
    cuda = torch.cuda.is_available() if given.device == "auto" else given.device == "cuda"
    if cuda and not torch.cuda.is_available():
        sys.exit("no CUDA device here")
    device = torch.device("cuda" if cuda else "cpu")
    if not cuda:
        torch.set_num_threads(given.threads or probe_threads())
    clock = Clock(given.clock, given.rounds, device)
    images, batch = given.images or (256 if cuda else 16), given.batch or (32 if cuda else 4)
    jobs: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "loop": lambda: loops.table(
            device.type, clock, chosen(loops.SETTINGS, given.compile), batch=batch, steps=given.steps
        ),
        "pipeline": lambda: pipeline.table(
            device.type, clock, chosen(pipeline.SETTINGS, given.compile), images
        ),
        "agreement": lambda: pipeline.agreements(
            device.type, chosen(pipeline.SETTINGS, given.compile), given.agreement
        ),
        "filters": lambda: peers.table(clock, *(int(n) for n in given.filters.split("x"))),
        "inside": lambda: [
            *inside.table(World(device.type, images), clock),
            *inside.large(World(device.type, 4), clock),
        ],
        "scaling": lambda: scaling.table(device.type, clock, max(32, images)),
    }
    facts: dict[str, Any] = {
        "hardware": hardware(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "clock": given.clock,
        "rounds": given.rounds,
        "loop": f"StarGAN 128 px, random weights, batch {batch}, {given.steps} steps",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {package: installed(package) for package in PACKAGES},
    }
    if given.tests:
        facts["tests"] = given.tests
    name = given.name or re.sub(r"[^a-z0-9]+", "-", facts["hardware"].lower()).strip("-")
    tables: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    given.out.mkdir(parents=True, exist_ok=True)
    for part in given.parts.split(","):
        start = time.perf_counter()
        tables[part] = jobs[part]()
        seconds[part] = round(time.perf_counter() - start, 1)
        print(told.part(part, tables[part]), flush=True)
        # After each part, so that a run that is cut short leaves what it has.
        content = {**facts, "seconds": seconds, "tables": tables}
        (given.out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (given.out / f"{name}.md").write_text(told.page(content), encoding="utf-8")
    print(f"{given.out / name}.json, .md")


if __name__ == "__main__":
    main()
