"""What a stranger does first, in a fresh environment: the README's commands, timed.

python .ci/walkthrough.py

From nothing to a verdict on a photograph, which is to take three minutes on two idle cores; then from the
README's defense of one's own to its row in the tables, in at most ten commands. It fails where a command
fails or does not do what it is for, and where a time is missed by far: machines differ, and may be busy.
Nothing is fetched but what pip needs to install magdr.
"""

from __future__ import annotations

import csv
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = (".git", ".venv*", "build", "dist", "runs", "*.egg-info", "__pycache__", ".*_cache")

GOAL = 180.0
"""Seconds from an empty folder to a verdict, on two idle cores."""

CORES = 2
PATIENCE = 4.0
"""How many times as long is by far. What the processors worked hardly depends on what else they had to do: it
is held to the goal itself."""

MOST_COMMANDS = 10
MOST_LINES = 20

SAVE_PHOTO = "import skimage.data, skimage.io; skimage.io.imsave('me.png', skimage.data.astronaut())"


class Walk:
    """Commands run in one folder, with the time that each took."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / "venv"
        self.environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        self.environment["PATH"] = os.pathsep.join([str(self.venv / "bin"), os.environ["PATH"]])
        self.spent = 0.0
        self.worked = 0.0
        self.typed = 0

    def run(self, line: str, *, where: Path | None = None, typed: bool = True) -> str:
        """What a command printed on stdout.

        Args:
            typed: it counts as a command of the user's.

        Raises:
            SystemExit: the command fails.
        """
        start, before = time.perf_counter(), _worked()
        done = subprocess.run(
            shlex.split(line),
            cwd=where or self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        seconds, worked = time.perf_counter() - start, _worked() - before
        self.spent += seconds
        self.worked += worked
        self.typed += typed
        print(f"  {seconds:6.1f} s, {worked:5.1f} s of a processor: {line}", flush=True)
        if done.returncode:
            sys.exit(f"failed with {done.returncode}: {line}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return done.stdout


def _worked() -> float:
    """Seconds that processors have worked for the commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def readme_blocks() -> list[tuple[str, str]]:
    """(language, text) of each block of code in README.md."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)


def block(language: str, containing: str) -> str:
    """The README's first block in a language that contains a text."""
    return next(text for own, text in readme_blocks() if own == language and containing in text)


def to_a_verdict(walk: Walk) -> None:
    """The README's two commands, and a verdict on a photograph in a file."""
    source = walk.folder / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*LEFT_OUT))
    install, demo = block("", "magdr demo").split("\n")[:2]
    walk.run(f"{shlex.quote(sys.executable)} -m venv {walk.venv}")
    walk.run(install, where=source)
    shutil.rmtree(source)  # what was installed stands alone
    told = walk.run(demo.removesuffix(" --open"))  # there may be no browser
    check("notice" in told and (walk.folder / "magdr-demo" / "demo.html").is_file(), f"no verdict in: {told}")
    walk.run(f"python -c {shlex.quote(SAVE_PHOTO)}", typed=False)
    told = walk.run("magdr detect me.png --set Blond_Hair")
    check("me.png: not disrupted" in told, f"an untouched photograph should be 'not disrupted': {told}")


def to_a_row(walk: Walk) -> None:
    """The README's defense and registry, checked and run on two faces; its row among the others."""
    plugin, registry = block("python", "def magdr_restorations"), block("toml", "[profile.mine]")
    lines = [line for line in plugin.splitlines() if line.strip()]
    check(len(lines) <= MOST_LINES, f"the defense has {len(lines)} lines")
    (walk.folder / "acme_median.py").write_text(plugin, encoding="utf-8")
    (walk.folder / "registry.toml").write_text(registry, encoding="utf-8")
    walk.run("magdr plugins check acme_median.py")
    walk.run("magdr registry check")
    told = walk.run("magdr bench --profile mine --limit 2 --out run")
    check(re.search(r"acme-median", told) is not None, f"no row of the defense: {told}")
    with open(walk.folder / "run" / "results.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["component"] == "acme-median"]
    attacked = [row for row in rows if row["attack"] == "pgd" and row["metric"] == "mse_o"]
    check(bool(attacked) and float(attacked[0]["value"]) > 0, "results.csv has no error of the defense")


def check(right: bool, otherwise: str) -> None:
    if not right:
        sys.exit(f"failed: {otherwise}")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="magdr-walk-") as folder:
        walk = Walk(Path(folder))
        to_a_verdict(walk)
        spent, worked = walk.spent, walk.worked
        print(f"a verdict on a photograph after {spent:.0f} s, {worked:.0f} s of a processor")
        print(f"(the goal: {GOAL:.0f} s on {CORES} idle cores)")
        check(spent <= PATIENCE * GOAL and worked <= CORES * GOAL, "that is far too long")
        before = walk.typed
        to_a_row(walk)
        own = walk.typed - before
        print(f"a row for a defense of one's own after {own} more commands; {walk.spent:.0f} s in all")
        check(own <= MOST_COMMANDS, f"more than {MOST_COMMANDS} commands")


if __name__ == "__main__":
    main()
