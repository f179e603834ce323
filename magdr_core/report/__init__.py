"""The HTML report of a benchmark run: one file, made from the run folder alone."""

from magdr_core.report.build import ReportObserver, write_report

__all__ = ["ReportObserver", "write_report"]
