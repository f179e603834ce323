"""Module paths of 0.2 that 0.3 has elsewhere: an import of one gives the module at its new place, and warns.

They go with the release after this one.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGE = "magdr_core."

MOVED = {
    "adaptive.ascent": "adaptive.sign_steps",
    "adaptive.choices": "adaptive.discrete_choice",
    "adaptive.fitting": "adaptive.distillation",
    "adaptive.lift": "adaptive.gradient_unmasking",
    "adaptive.modes": "adaptive.losses",
    "adaptive.reproduction": "adaptive.defense_surrogate",
    "adaptive.search": "adaptive.black_box",
    "adaptive.surrogate": "adaptive.detector_surrogate",
    "adaptive.target": "adaptive.victim",
    "adaptive.ways": "adaptive.gradient_paths",
    "bench.adaptive": "bench.scenarios.adaptive_cells",
    "bench.checks.knowing": "bench.checks.adaptive_engine",
    "bench.checks.plants": "bench.checks.planted_checks",
    "bench.checks.slopes": "bench.checks.gradient_check",
    "bench.checks.verdicts": "bench.checks.check",
    "bench.engines": "bench.executors",
    "bench.engines.crew_ray": "bench.executors.ray",
    "bench.engines.desk": "bench.executors.worker",
    "bench.engines.distributed": "bench.executors.coordinator",
    "bench.engines.engine": "bench.executors.local",
    "bench.engines.parcel": "bench.executors.toolkit_snapshot",
    "bench.engines.reader": "bench.executors.store_proxy",
    "bench.engines.schedule": "bench.executors.scheduler",
    "bench.engines.units": "bench.executors.task_graph",
    "bench.evasion": "measures.evasion",
    "bench.folder": "results.run_folder",
    "bench.measures": "measures.image_quality",
    "bench.pictures": "results.pictures",
    "bench.recorded": "results.recorded",
    "bench.remarks": "results.remarks",
    "bench.statistics": "measures.statistics",
    "bench.stored": "results.cell",
    "bench.tables": "results.rows",
    "bench.values": "results.values",
    "builder": "runtime.builder",
    "calibration.thresholds": "measures.thresholds",
    "checkpoint": "files.checkpoint",
    "cli.compared": "cli.comparison_view",
    "cli.inputs": "cli.paths",
    "cli.own": "cli.media_commands",
    "cli.own_data": "cli.picture_calibration",
    "cli.results": "cli.file_results",
    "cli.tables": "cli.result_view",
    "cli.told": "cli.verdict_text",
    "compare.changes": "compare.config_diff",
    "compare.match": "compare.align",
    "compare.measures": "compare.figures",
    "compare.words": "compare.format",
    "conditions": "runtime.conditions",
    "containment": "isolation.containment",
    "content": "components.stream_keys",
    "copies": "isolation.copies",
    "dataset_guard": "guards.dataset",
    "discovery": "hosting.discovery",
    "expectations": "isolation.expectations",
    "front": "inference",
    "front.images": "inference.tensors",
    "front.inputs": "inference.sources",
    "front.jobs": "inference.operations",
    "front.module": "inference.module",
    "front.pictures": "inference.photos",
    "front.pipeline": "inference.pipeline",
    "front.wrapped": "inference.generator",
    "functional.cached": "functional.cache_blocked",
    "functional.pieces": "functional.batching",
    "generator_guard": "guards.generator",
    "global_random": "isolation.global_random",
    "guard": "guards",
    "handle": "guards.generator_handle",
    "hookspecs": "hosting.hookspecs",
    "identity": "components.fingerprints",
    "interpreter_state": "isolation.interpreter_state",
    "interrupts": "isolation.interrupts",
    "left_threads": "isolation.left_threads",
    "magdr.learned": "magdr.logistic",
    "magdr.pick": "magdr.learned_search",
    "magdr.search": "magdr.layer_search",
    "magdr.standard": "magdr.standardise",
    "media.album": "calibration.album",
    "media.pieces": "media.tiles",
    "media.regular": "media.regular_files",
    "media.timing": "media.frame_times",
    "memory": "guards.output_cache",
    "names": "files.names",
    "objective": "components.objective",
    "packing": "components.tensor_json",
    "params": "components.params",
    "plugins": "hosting.manager",
    "process_state": "isolation.process_state",
    "profiles": "registry.settings",
    "protocols": "components.protocols",
    "report.beside": "report.paper_comparison",
    "report.curves": "report.step_curves",
    "report.hardest": "report.hardest_attack",
    "report.keyfigures": "report.key_figures",
    "report.paper_table1": "report.detection_tables",
    "report.paper_table2": "report.restoration_tables",
    "report.plots": "report.svg",
    "report.shown": "report.formatting",
    "report.strips": "report.picture_grid",
    "report.table1": "report.detection_tables",
    "report.table2": "report.restoration_tables",
    "report.tables": "report.table_model",
    "report.worst": "report.worst_images",
    "resolver": "registry.resolve",
    "rng": "components.rng",
    "samples": "runtime.samples",
    "sealed": "files.sealed",
    "shared": "isolation.shared_tensors",
    "specs": "components.specs",
    "speed": "guards.accelerate",
    "state_keys": "components.state_keys",
    "store": "results.store",
    "streams": "isolation.streams",
    "text": "printable",
    "textfile": "files.user_files",
    "threads": "components.threads",
    "tidy": "files.strict_json",
    "types": "components.batch",
    "watch": "guards.base",
    "weights": "components.weights",
    "wrapping": "runtime.wrap",
}
"""Old path to new path, both below the package. What were `files` and `registry` are packages of
these names now, and have the names of before."""


class _Loader(Loader):
    """Gives the module that is there already, its own specification put back."""

    def __init__(self, new: str) -> None:
        self.new = new

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        found = importlib.import_module(self.new)
        self.spec = found.__spec__
        return found

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        old = fullname.removeprefix(PACKAGE)
        if old == fullname or old not in MOVED:
            return None
        new = PACKAGE + MOVED[old]
        warnings.warn(f"{fullname} is called {new} now", DeprecationWarning, stacklevel=2)
        return ModuleSpec(fullname, _Loader(new))


def install() -> None:
    """Have old paths found, once in a process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
