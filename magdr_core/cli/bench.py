"""magdr bench"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import click

from magdr_core.bench.executors.local import Engine, LocalEngine
from magdr_core.bench.run import Bench, RunResult
from magdr_core.calibration import rate_kept
from magdr_core.cli.checks import print_checks
from magdr_core.cli.common import (
    ProgressDisplay,
    block_option,
    cache_option,
    check_writable,
    device_option,
    open_toolkit,
)
from magdr_core.cli.compare import show
from magdr_core.cli.result_view import print_tables
from magdr_core.cli.run_progress import RunProgress
from magdr_core.cli.terminal import Terminal
from magdr_core.compare import compare_folders
from magdr_core.errors import MagdrError, one_line
from magdr_core.report import ReportObserver
from magdr_core.report.compare import page_name, write_page


class Shard(click.ParamType):
    """`I/N`, part I of N."""

    name = "I/N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        found = re.fullmatch(r"(\d+)/(\d+)", str(value))
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            self.fail(f"{value!r} is not I/N, part I of N: 1/4, 2/4, 3/4 or 4/4, say", param, ctx)
        return int(found[1]), int(found[2])


@click.command("bench", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("registries", nargs=-1, type=click.Path(path_type=Path), metavar="[REGISTRY]...")
@click.option("--profile", default="quick", show_default=True, help="A [profile.NAME] of the registry.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder (default: runs/...).")
@cache_option
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N samples.")
@click.option("--shard", type=Shard(), help="Compute part I of N into the cache; no tables.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where cells are computed: in this process, or by workers of a Ray cluster.",
)
@click.option(
    "--address", metavar="HOST:PORT", help="A running Ray cluster, or auto; else one is started here."
)
@device_option
@block_option
def command(
    registries: tuple[Path, ...],
    profile: str,
    out: Path | None,
    cache: Path,
    limit: int | None,
    shard: tuple[int, int] | None,
    engine: str,
    address: str | None,
    device: str | None,
    block: tuple[str, ...],
) -> None:
    """Run a benchmark. Without REGISTRY: ./registry.toml, else the packaged one.

    What the cache holds is not computed again, so the same command continues an interrupted run. Of several
    registries each computes only what those before it did not, and every later one is compared with the first
    as `magdr compare` does it; that changes no exit code. Exit code 1: some cells failed, a sanity check
    calls a row unreliable, or an observer failed; 2: a registry is wrong, and nothing was written. To
    divide the work run every --shard with the same cache, at the same time or not, and then the command
    without it, which writes the tables; or let --engine ray give it to the workers of a cluster, of which
    each takes what [engine] of the registry says.
    """
    if out is not None and len(registries) > 1:
        raise click.UsageError("--out takes one registry; several get a folder each")
    if address is not None and engine != "ray":
        raise click.UsageError("--address is of a Ray cluster; say --engine ray")
    console = Terminal()
    display = ProgressDisplay(console)
    progress = RunProgress(display)
    check_writable(cache)
    benches = []
    for registry in registries or (None,):
        toolkit = open_toolkit(registry, device, block)
        bench = Bench(
            toolkit,
            profile,
            out=out,
            cache=cache,
            limit=limit,
            shard=shard,
            engine=_engine(engine, address),
            progress=progress.step,
            report=display.say,
        )
        if shard is None:
            check_writable(bench.folder)
        benches.append(bench)
    folders = [bench.folder for bench in benches]
    if len(set(folders)) < len(folders):
        raise click.UsageError("a registry is named twice; there is nothing to compare it with")
    failed = False
    for bench in benches:
        result = _run(bench, console, progress)
        failed |= bool(result.failures or result.unreliable or result.observers_failed)
    if shard is None:
        for bench in benches[1:]:
            _compare(benches[0], bench, cache, console)
    if failed:
        raise SystemExit(1)


def _engine(name: str, address: str | None) -> Engine:
    """Raises MagdrError if what the engine needs is not installed."""
    if name == "ray":
        from magdr_core.bench.executors.ray import RayEngine  # an extra

        return RayEngine(address)
    return LocalEngine()


def _compare(first: Bench, later: Bench, cache: Path, console: Terminal) -> None:
    """Two registries may share nothing: each has its own tables then, and one line says so."""
    console.rule(f"{later.toolkit.registry.name} against {first.toolkit.registry.name}", align="left")
    try:
        comparison = compare_folders(first.folder, later.folder, cache)
    except MagdrError as e:
        console.print(f"not compared: {one_line(e)}", soft_wrap=True)
        return
    show(comparison, write_page(comparison, later.folder / page_name(first.folder)), console)


def _run(bench: Bench, console: Terminal, progress: RunProgress) -> RunResult:
    registry, profile = bench.toolkit.registry, bench.profile
    console.print(
        f"{registry.name}, profile {bench.name}: {profile.samples} samples, {bench.total} cells, "
        f"{bench.toolkit.device}",
    )
    if profile.note:
        console.print(profile.note, style="yellow")
    policy = registry.calibration
    if profile.detectors and policy.file == "auto" and (doubt := rate_kept(policy.clean, policy.fpr)):
        console.print(f"[calibration] clean: {doubt}", style="yellow")
    if bench.shard is not None:
        console.print(f"part {bench.shard[0]} of {bench.shard[1]}, into the cache")
    host = bench.toolkit.host
    host.add_observer(progress, "progress")
    host.add_observer(ReportObserver(), "report")
    start = time.perf_counter()
    with progress.display.running(registry.name, bench.total, progress.watch(bench)):
        result = bench.run()
    if bench.shard is None:
        print_tables(console, result)
        print_checks(console, result)
    console.print(
        f"{result.computed} cells computed, {result.reused} kept, {len(result.failures)} failed, "
        f"{time.perf_counter() - start:.0f} s",
    )
    if bench.shard is None:
        console.print(f"{result.folder}/report.html", soft_wrap=True)
    return result
