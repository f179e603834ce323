"""magdr doctor"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time

import click
import torch

from magdr_core.cli.terminal import say
from magdr_core.components.threads import probe_threads
from magdr_core.components.weights import file_sha256, read_card, weights_folder
from magdr_core.errors import MagdrError, one_line
from magdr_core.registry.read import default_registry, packaged_registry
from magdr_core.toolkit import Toolkit


@click.command("doctor", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Check this installation: versions, devices, plugins, weights, and one pass through everything.

    Exit code 1: something was found.
    """
    findings: list[str] = []
    say(f"python      {platform.python_version()} ({platform.machine()})")
    for name in ("magdr", "torch", "numpy", "pluggy", "scikit-image", "torchattacks"):
        try:
            say(f"{name:<11} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            findings.append(f"{name} is not installed")
    cuda = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "not available"
    say(f"cuda        {cuda}")
    say(f"cpu         {os.cpu_count()} cores; {probe_threads()} torch thread(s) are fastest now")
    try:
        toolkit = Toolkit.from_registry(packaged_registry())
        toolkit.host.load("builtin")
        say(f"plugins     {len(toolkit.host.entries())} built-in components")
        findings += [one_line(f.error) for f in toolkit.host.failures]
        findings += _weights()
        findings += _one_pass(toolkit)
    except MagdrError as e:
        findings.append(one_line(e))
    local = default_registry()
    if local != packaged_registry():
        try:
            Toolkit.from_registry(local)
            say(f"registry    ./{local} is well-formed")
        except MagdrError as e:
            findings.append(one_line(e))
    for finding in findings:
        say(f"FOUND       {finding}", err=True)
    say("all well" if not findings else f"{len(findings)} finding(s)")
    if findings:
        raise SystemExit(1)


def _weights() -> list[str]:
    """Every shipped weight file has a card, and the checksum that the card says."""
    findings = []
    paths = sorted(weights_folder("magdr_plugins").glob("*.safetensors"))
    for path in paths:
        said = read_card(path).get("sha256")
        if said != file_sha256(path):
            findings.append(f"weights {path.name}: the checksum is not the card's; install again")
    say(f"weights     {len(paths)} files")
    return findings


def _one_pass(toolkit: Toolkit) -> list[str]:
    """Draw, edit and parse eight faces."""
    start = time.perf_counter()
    task = toolkit.registry.tasks()[0]
    generator, dataset = toolkit.generator(task), toolkit.build("dataset", "faces")
    parser = toolkit.build("parser", toolkit.registry.labels("parser")[0])
    batch = dataset.split("test")[list(range(8))]
    condition = generator.draw(batch, toolkit.rng("doctor", batch.ids))
    with torch.no_grad():
        parser(generator(batch.images, condition))
    say(f"one pass    {time.perf_counter() - start:.2f} s for 8 faces on {toolkit.device}")
    return []
