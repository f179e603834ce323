"""magdr plugins check: the conformance suite in a child process with a time limit."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magdr_core.cli.plugin_project import read_project
from magdr_core.hosting.discovery import GROUP
from magdr_core.registry.parsed import Registry
from magdr_core.testing.checks import Finding
from magdr_core.testing.fake_cuda import FAKE
from magdr_core.testing.suite import CheckedPlugin, from_anywhere, locate
from magdr_core.testing.world import World

START = 600.0
"""Seconds until the child has imported torch; no plugin has a part in that."""


@dataclass
class Report:
    """What a check found.

    Attributes:
        judged: how many promises were looked at.
        unchecked: components that could not be judged, with the reason.
    """

    findings: list[Finding] = field(default_factory=list)
    judged: int = 0
    components: list[str] = field(default_factory=list)
    unchecked: list[tuple[str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "findings": [finding.as_dict() for finding in self.findings],
            "components": self.components,
            "checks": self.judged,
            "unchecked": [{"component": c, "reason": r} for c, r in self.unchecked],
        }


def check_plugin(plugin: str, registry: Registry | None, *, timeout: float, device: str) -> Report:
    """Judge a plugin: a file, a project folder, or the name of a plugin or component.

    Args:
        registry: its local plugins count too, and its tables' parameters are used.
        timeout: seconds that a single check may take.

    Raises:
        PluginError: there is no such plugin.
        RegistryError: there is no such device.
    """
    if device != FAKE:
        World({}, base=Path.cwd(), device=device)  # a wrong device is told here, not found in the plugin
    with tempfile.TemporaryDirectory(prefix="magdr-check-") as folder:
        paths: list[str] = []
        local: Mapping[str, str]
        local, base = ({}, None) if registry is None else (registry.local, registry.path.parent)
        if Path(os.path.expanduser(plugin)).is_dir() and not plugin.endswith(".py"):
            project = Path(os.path.expanduser(plugin)).resolve()
            name, module = pretend_installed(project, Path(folder))
            paths = [folder, str(project), str(project / "src")]
            others = {} if base is None else from_anywhere(local, base)
            target, file = CheckedPlugin(name, others, project), f"{module.partition(':')[0]}"
        else:
            target = locate(plugin, local, base)
            file = target.local.get(target.namespace, target.namespace)
        job = {
            "namespace": target.namespace,
            "local": dict(target.local),
            "base": str(target.base),
            "only": target.only,
            "paths": paths,
            "file": file,
            "device": device,
            "params": [] if registry is None else _tables(registry),
        }
        return _judge(job, timeout)


def _tables(registry: Registry) -> list[tuple[str, str, Mapping[str, Any]]]:
    """The parameters of the first table of each component."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for instance in registry.instances.values():
        if instance.params:
            found.setdefault((instance.kind, instance.use), instance.params)
    return [(kind, use, params) for (kind, use), params in found.items()]


def pretend_installed(project: Path, folder: Path) -> tuple[str, str]:
    """Write a project's entry points into `folder` as an installer would; (plugin, module).

    Raises:
        PluginError: the folder holds no pyproject.toml with exactly one entry point of the group `magdr`.
    """
    read = read_project(project)
    name, module, about = read.plugin, read.module, read.data.get("project", {})
    distribution, version = str(about.get("name", name)), str(about.get("version", "0"))
    info = folder / f"{re.sub(r'[^A-Za-z0-9]+', '_', distribution)}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}\n")
    return name, module


def _judge(job: Mapping[str, Any], timeout: float) -> Report:
    """Run children until everything was judged: one that dies or hangs costs the component at hand."""
    report = Report()
    done: list[str] = []
    while True:
        end, where = _one_child({**job, "done": done}, report, timeout)
        if end == "":
            return report
        report.findings.append(
            Finding(where["plugin"], where["component"], where["rule"], end, where["file"])
        )
        if not where["component"]:  # it did not even load
            return report
        done = list(dict.fromkeys([*report.components, *(c for c, _ in report.unchecked)]))


def _one_child(job: Mapping[str, Any], report: Report, timeout: float) -> tuple[str, dict[str, str]]:
    """What ended a child before its time, and where it was; an empty text if it finished."""
    where = {"component": "", "rule": "loads", "file": str(job["file"]), "plugin": str(job["namespace"])}
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, "-m", "magdr_core.testing.child", json.dumps(job)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
            text=True,
            encoding="utf-8",
        )
        records: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=_read, args=(child, records), daemon=True).start()
        limit = START
        try:
            while True:
                try:
                    record = records.get(timeout=limit)
                except queue.Empty:
                    return f"did not finish within {limit:g} s", where
                if record is None:
                    return _ending(child, said), where
                if "done" in record:
                    return "", where
                if "ready" in record:
                    limit = timeout
                elif "at" in record:
                    where = record["at"]
                    report.judged += 1
                    if where["component"] and where["component"] not in report.components:
                        report.components.append(where["component"])
                elif "finding" in record:
                    report.findings.append(Finding(**record["finding"]))
                else:
                    told = record["unchecked"]
                    report.unchecked.append((told["component"], told["reason"]))
        finally:
            _stop(child)


def _read(child: subprocess.Popen[str], records: queue.Queue[dict[str, Any] | None]) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        records.put(json.loads(line))
    records.put(None)


def _stop(child: subprocess.Popen[str]) -> None:
    """End a child and whatever it started."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            child.kill()
    else:
        child.kill()
    child.wait()


def _ending(child: subprocess.Popen[str], said: Any) -> str:
    code = child.wait()
    said.seek(0)
    lines = said.read().decode("utf-8", "replace").strip().splitlines()
    last = f" ({lines[-1].strip()})" if lines and code > 0 else ""
    if code < 0:
        return f"ended the process by signal {-code} ({signal.Signals(-code).name})"
    return f"ended the process with exit code {code}{last}"
