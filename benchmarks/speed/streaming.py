"""Peak memory of a folder of pictures, of several sizes: it does not grow.

    python benchmarks/speed/streaming.py [COUNT ...] [--attack]

For each COUNT (default 100 1000 10000) a folder of that many different drawn faces is written to a temporary
place and judged (`--attack`: attacked) by a process of its own, as `magdr detect` and `magdr attack` do;
printed is that process's peak resident size in MiB (`getrusage`; of a process on CUDA its host memory alone).
Every picture differs, so nothing is answered from memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from magdr_core import Toolkit
from magdr_core.media import write_picture

COUNTS = (100, 1000, 10_000)
CHUNK = 64

CHILD = """
import resource, sys
from magdr_core.cli import main
try:
    main()
except SystemExit as e:
    if e.code:
        raise
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
"""


def fill(folder: Path, count: int) -> None:
    toolkit = Toolkit.from_registry(device="cpu")
    split = toolkit.build("dataset", "faces").split("test")
    for start in range(0, count, CHUNK):
        indices = list(range(start, min(start + CHUNK, count)))
        for i, image in zip(indices, split[[i % len(split) for i in indices]].images, strict=True):
            image[0, 0, 0] = (i // len(split) % 256) / 255
            write_picture(folder / f"{i:06}.png", image)


def main(counts: list[int], command: str) -> None:
    found = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "in"
            folder.mkdir()
            fill(folder, count)
            options = ["--task", "editing", "--set", "Blond_Hair", "--whole"]
            options += ["--out", str(Path(place) / "out")] if command == "attack" else []
            done = subprocess.run(
                [sys.executable, "-c", CHILD, command, str(folder), *options],
                capture_output=True,
                text=True,
            )
        if done.returncode:
            sys.exit(f"magdr {command} failed: {done.stderr.strip()}")
        found[count] = int(done.stderr.split()[-1])
        print(f"{command} {count:6} pictures: {found[count]} MiB at most", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    words = sys.argv[1:]
    wanted = [int(word) for word in words if word != "--attack"]
    main(wanted or list(COUNTS), "attack" if "--attack" in words else "detect")
