"""Comparing runs: matched cells, paired differences, what changed, regressions."""

from magdr_core.compare.compare import compare_folders, compare_runs
from magdr_core.compare.result import Compared, Comparison, RegressionRule

__all__ = ["Compared", "Comparison", "RegressionRule", "compare_folders", "compare_runs"]
