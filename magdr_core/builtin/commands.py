"""Core's commands: their names and lines here, each in a module that waits until it is called."""

from __future__ import annotations

import click

from magdr_core.hosting.hookspecs import hookimpl
from magdr_core.hosting.lazy_command import LazyCommand

MAGDR_API = 1

LINES = {
    "demo": "Attack a photograph, detect and undo it, and show that on a page; start here.",
    "init": "Write a short registry.toml (what a benchmark runs) to start from.",
    "bench": "Run a benchmark: attack, detect, reconstruct, compare; resumes what was begun.",
    "compare": "Compare two runs: paired differences, what changed, regressions.",
    "report": "Write the report.html of a run folder again.",
    "defend": "Restore disrupted faces in your own pictures and clips.",
    "detect": "Say which of your own pictures and clips are disrupted.",
    "attack": "Perturb the faces of your own pictures and clips.",
    "inspect": "Say which of your own pictures and clips look forged, and where.",
    "calibrate": "Fit detectors and Rec-Net and set thresholds, on calibration faces or your own pictures.",
    "train": "Train a shipped network again, or a plugin's.",
    "weights": "Convert wrapped or pickled weight files to safetensors, without running them.",
    "leaderboard": "Entries of runs, a page of them, and a check of a submission.",
    "export": "Write clean, attacked and restored pictures as files, with a card.",
    "onnx": "Write networks as ONNX files, with a page that runs them in a browser.",
    "adapt": "Make a defense for a generator of your own, from a folder of pictures.",
    "registry": "Show a registry as it runs; look for faults in it.",
    "plugins": "List, show and check components, and begin a plugin.",
    "faces": "Save a picture grid of the procedural faces.",
    "doctor": "Check this installation.",
}


@hookimpl
def magdr_commands() -> list[click.Command]:
    return [LazyCommand(name, f"magdr_core.cli.{name}", line) for name, line in LINES.items()]
