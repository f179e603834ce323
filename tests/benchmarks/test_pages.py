"""The pages of measured results say what the scripts make of the committed figures."""

import csv
import importlib.util
import re
import sys
from pathlib import Path

import pytest

from tests.edits import edited

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.mark.parametrize(
    ("script", "page"),
    [
        ("tables", "full"),
        ("ablations", "ablations"),
        ("transfer", "transfer"),
        ("paper_tables", "tables"),
        ("adaptive", "adaptive"),
        ("adaptive", "standard"),
        ("cutoff", "cutoff"),
    ],
)
def test_a_page_holds_every_printed_row(printed, script, page):
    text = (RESULTS / f"faces64-{page}.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in printed(script, RESULTS / f"faces64-{page}.csv").splitlines() if "|" in line]
    assert len(rows) > 10
    assert not set(rows) - set(text)


@pytest.fixture(scope="module")
def headline():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("headline")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
        for name in ("headline", "tables"):
            sys.modules.pop(name, None)


def test_tables_of_the_first_pages_are_of_the_committed_figures(headline):
    places = {}
    for page in headline.PAGES:
        text = page.read_text(encoding="utf-8")
        assert headline.filled(text) == text, f"{page.name}: run python benchmarks/headline.py"
        places[page.name] = list(headline.marked(text))
    short = [name for name in headline.TABLES if name.endswith("-short")]
    assert places["README.md"] == ["headline", *short], "the attack that knows the defense comes first"
    assert places["PACKAGE.md"] == ["headline"]
    assert {name for names in places.values() for name in names} == set(headline.TABLES)


def test_a_table_is_replaced_whole_and_nothing_else(headline):
    text = "before\n\n<!-- table: headline -->\n\n| old |\n| --- |\n\nafter | bar\n"
    made = headline.filled(text)
    assert made == f"before\n\n<!-- table: headline -->\n\n{headline.headline()}\n\nafter | bar\n"
    assert headline.filled(edited(text, ("| old |\n| --- |\n\n", ""))) == made


@pytest.mark.parametrize("page", ["README.md", "PACKAGE.md"])
def test_intervals_in_the_prose_of_the_first_pages_are_on_a_page_of_results(page):
    """Tables are held to the csv files; what is said beside them has to be measured, too."""
    measured = {
        interval
        for path in RESULTS.glob("faces64-*.md")
        for interval in re.findall(r"-?[\d.]+ \[[^\]]+\]", spelled(path.read_text(encoding="utf-8")))
    }
    text = (ROOT / page).read_text(encoding="utf-8")
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    said = re.findall(r"-?[\d.]+ \[\d[^\]]+\]", spelled(" ".join(prose.split())))
    assert len(said) > (2 if page == "README.md" else -1)
    assert set(said) - measured == set()


def spelled(text):
    """Numbers as tables write them: 0.60, not .60."""
    return re.sub(r"(?<![\d.])\.(?=\d)", "0.", text)


@pytest.mark.parametrize(
    ("script", "data", "picture"),
    [("adaptive_curves", "adaptive", "adaptive-curves"), ("cutoff", "cutoff", "cutoff-curves")],
)
def test_the_drawn_curves_are_of_the_committed_figures(printed, tmp_path, script, data, picture):
    printed(script, RESULTS / f"faces64-{data}.csv", tmp_path / "drawn.svg")
    drawn = ROOT / "docs" / "pictures" / f"{picture}.svg"
    assert (tmp_path / "drawn.svg").read_text() == drawn.read_text()


def test_the_page_of_intervals_has_the_figures_of_its_csv():
    text = (RESULTS / "intervals" / "coverage.md").read_text(encoding="utf-8")
    with open(RESULTS / "intervals" / "coverage.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = {}
    for row in rows:
        cell = f"{float(row['coverage']):.3f} ({float(row['width']):.3g})"
        lines.setdefault((row["figure"], row["method"]), []).append(cell)
    assert len(lines) == 18
    for (figure, method), cells in lines.items():
        name = f"**{method}**" if method == "magdr" else method
        assert f"| {figure} | {name} | {' | '.join(cells)} |" in text


def test_the_study_of_intervals_gives_the_same_rows_again(monkeypatch):
    spec = importlib.util.spec_from_file_location("coverage_study", ROOT / "benchmarks" / "coverage.py")
    study = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "coverage_study", study)
    spec.loader.exec_module(study)
    cases = {name: study.CASES[name] for name in ("mean of errors", "AUROC")}
    first, again = (list(study.study((8,), 80, cases)) for _ in range(2))
    assert first == again
    found = {(figure, method): coverage for figure, _, _, method, coverage, *_ in first}
    for name in cases:
        assert found[name, "percentile"] < found[name, "magdr"]
