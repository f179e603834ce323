"""The pages of measured results say what the scripts make of the committed figures."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def printed(script, *arguments):
    command = [sys.executable, ROOT / "benchmarks" / f"{script}.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


@pytest.mark.parametrize(
    ("script", "page"),
    [
        ("tables", "full"),
        ("ablations", "ablations"),
        ("transfer", "transfer"),
        ("paper_tables", "tables"),
        ("adaptive", "adaptive"),
    ],
)
def test_a_page_holds_every_printed_row(script, page):
    text = (RESULTS / f"faces64-{page}.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in printed(script, RESULTS / f"faces64-{page}.csv").splitlines() if "|" in line]
    assert len(rows) > 10
    assert not set(rows) - set(text)


def test_the_drawn_curves_are_of_the_committed_figures(tmp_path):
    printed("adaptive_curves", RESULTS / "faces64-adaptive.csv", tmp_path / "drawn.svg")
    drawn = ROOT / "docs" / "pictures" / "adaptive-curves.svg"
    assert (tmp_path / "drawn.svg").read_text() == drawn.read_text()
