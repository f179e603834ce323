"""A demonstration's report can be sent by mail."""

from magdr_core.report import write_report
from tests.report.conftest import everything, paint


def test_the_report_of_a_demonstration_is_below_two_and_a_half_megabytes(tmp_path):
    """Three tasks with more pictures than the packaged quick profile has, of noise."""
    run = paint(everything(tmp_path / "run", n=8), samples=6)
    path = write_report(run.write())
    assert path.stat().st_size < 2.5e6
    assert "the run folder holds all of them" in path.read_text(encoding="utf-8")
