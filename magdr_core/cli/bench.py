"""magdr bench"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from magdr_core.bench.executors.local import Engine, LocalEngine
from magdr_core.bench.run import Bench, RunResult
from magdr_core.calibration import rate_kept
from magdr_core.cli.bench_document import SCHEMA, run_document
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
from magdr_core.cli.document import for_a_program, text_only
from magdr_core.cli.result_view import print_tables
from magdr_core.cli.run_progress import RunProgress
from magdr_core.cli.terminal import Terminal, say_document
from magdr_core.compare import compare_folders
from magdr_core.errors import MagdrError, one_line
from magdr_core.hosting.named_observers import observer_named
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
@click.option(
    "--observer",
    "observers",
    multiple=True,
    metavar="NAME",
    help="Tell the run to tensorboard, wandb or mlflow; also PLUGIN/NAME, or a .py file with event hooks.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else.")
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
    observers: tuple[str, ...],
    as_json: bool,
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
    each takes what [engine] of the registry says. With --json progress and messages go to stderr, and stdout
    has folder, manifest, cells, rows and checks of every run; docs/results.md describes it.
    """
    if out is not None and len(registries) > 1:
        raise click.UsageError("--out takes one registry; several get a folder each")
    if address is not None and engine != "ray":
        raise click.UsageError("--address is of a Ray cluster; say --engine ray")
    with for_a_program(as_json) as stdout:
        console = Terminal(stderr=as_json)
        progress = RunProgress(ProgressDisplay(console))
        check_writable(cache)
        watching = {name: observer_named(name) for name in observers}
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
                report=progress.display.say,
            )
            if shard is None:
                check_writable(bench.folder)
            benches.append(bench)
        folders = [bench.folder for bench in benches]
        if len(set(folders)) < len(folders):
            raise click.UsageError("a registry is named twice; there is nothing to compare it with")
        results = [_run(bench, console, progress, watching, tables=not as_json) for bench in benches]
        pages = [_compare(benches[0], b, cache, console, as_json) for b in benches[1:] if shard is None]
        if as_json:
            runs = [run_document(b, r) for b, r in zip(benches, results, strict=True)]
            with stdout():
                say_document(text_only({"schema": SCHEMA, "runs": runs, "compared": pages}))
    if any(r.failures or r.unreliable or r.observers_failed for r in results):
        raise SystemExit(1)


def _engine(name: str, address: str | None) -> Engine:
    """Raises MagdrError if what the engine needs is not installed."""
    if name == "ray":
        from magdr_core.bench.executors.ray import RayEngine  # an extra

        return RayEngine(address)
    return LocalEngine()


def _compare(
    first: Bench, later: Bench, cache: Path, console: Terminal, as_json: bool
) -> dict[str, str | None]:
    """Two registries may share nothing: each has its own tables then, and one line says so.

    Returns:
        The two folders, the page that compares them, and what was wrong if nothing could be compared.
    """
    told: dict[str, str | None] = {
        "a": str(first.folder),
        "b": str(later.folder),
        "page": None,
        "error": None,
    }
    if not as_json:
        title = f"{later.toolkit.registry.name} against {first.toolkit.registry.name}"
        console.rule(title, align="left")
    try:
        comparison = compare_folders(first.folder, later.folder, cache)
    except MagdrError as e:
        console.say(f"not compared: {one_line(e)}")
        return told | {"error": one_line(e)}
    page = write_page(comparison, later.folder / page_name(first.folder))
    if not as_json:
        show(comparison, page, console)
    return told | {"page": str(page)}


def _images_kept(result: RunResult) -> str:
    """What computed cells have of a run of fewer images; empty if they have nothing."""
    grown = result.grown
    if not grown:
        return ""
    kept, of = grown[0]
    some = f"{kept} of {of} images kept" if len(set(grown)) == 1 else "some images kept"
    return f" ({some})" if len(grown) == result.computed else f" ({some} in {len(grown)} of them)"


def _run(
    bench: Bench,
    console: Terminal,
    progress: RunProgress,
    observers: Mapping[str, ModuleType],
    *,
    tables: bool,
) -> RunResult:
    registry, profile = bench.toolkit.registry, bench.profile
    samples = "sample" if profile.samples == 1 else "samples"
    console.print(
        f"{registry.name}, profile {bench.name}: {profile.samples} {samples}, {bench.total} cells, "
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
    for name, observer in observers.items():  # last, so that they find the report
        if host.manager.get_name(observer) is None:  # or the registry names it, too
            host.add_observer(observer, f"{name} (--observer)")
    start = time.perf_counter()
    with progress.display.running(registry.name, bench.total, progress.watch(bench)):
        result = bench.run()
    if bench.shard is None and tables:
        print_tables(console, result)
        print_checks(console, result)
    console.print(
        f"{result.computed} cells computed{_images_kept(result)}, {result.reused} kept, "
        f"{len(result.failures)} failed, {time.perf_counter() - start:.0f} s",
    )
    if bench.shard is None:
        console.print(f"{result.folder}/report.html", soft_wrap=True)
    return result
