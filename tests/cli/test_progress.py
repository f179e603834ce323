"""What a benchmark shows while it runs: each long step; bars that stay tidy; plain lines elsewhere."""

from __future__ import annotations

import io
import re

import pytest
from rich.segment import Segment

from magdr_core.bench.run import Bench
from magdr_core.bench.steps import inside
from magdr_core.cli.common import ProgressDisplay
from magdr_core.cli.run_progress import RunProgress
from magdr_core.cli.terminal import Terminal
from magdr_core.cli.time_left import Estimate
from tests.bench.conftest import SMALL
from tests.edits import edited

CHECKED = edited(SMALL, ("samples = 5", "samples = 5\nchecks = { faces = 4, steps = 2 }"))


@pytest.fixture
def told(toolkit_from, tmp_path):
    """`told(text)`: every (what, done, total) of a run of a registry's profile quick, in order."""

    def run(text):
        steps = []
        bench = Bench(
            toolkit_from(text),
            "quick",
            out=tmp_path / "run",
            cache=tmp_path / "cache",
            progress=lambda *step: steps.append(step),
            report=lambda line: None,
        )
        bench.run()
        return steps

    return run


def test_every_long_step_says_what_it_is_and_how_far(told):
    steps = told(CHECKED)
    seen = {}
    for what, done, total in steps:
        assert 0 <= done <= (total or done), what
        seen.setdefault(what, []).append((done, total))
    for what in (
        "attacking (pgd)",
        "fitting magdr",
        "thresholds of magdr",
        inside("detecting with magdr"),
        inside("defending with magdr"),
        inside("the ensemble of magdr"),
        inside("the oracle's candidates"),
        inside("checks of magdr"),
        inside("checks of planted"),
        "checks (magdr)",
    ):
        assert what in seen, what
    assert len(seen[inside("the oracle's candidates")]) > 3, "one for each candidate"
    assert seen[inside("detecting with magdr")][0] == (0, 5), "told as it begins, too"
    assert len({done for done, _ in seen[inside("checks of magdr")]}) > 10, "the passes of a row's checks"


def test_passes_are_told_of_while_a_row_is_checked_alone(toolkit_from):
    G = toolkit_from(SMALL).generator("editing")
    assert G.told is None


class Screen:
    """A terminal of some width, and what stands on it."""

    def __init__(self, width, live=True):
        self.console = Terminal()
        self.console.file = io.StringIO()
        self.console.width = width
        self.console._force_terminal = live
        self.display = ProgressDisplay(self.console)

    def lines(self):
        shown = self.console.render_lines(self.display._bar.get_renderable(), pad=False)
        return ["".join(s.text for s in Segment.strip_styles(line)).rstrip() for line in shown]


class Known:
    def estimate(self):
        return Estimate(42.0, True)


@pytest.mark.parametrize("width", [104, 120])
def test_bars_stay_on_their_lines(width):
    screen = Screen(width)
    with screen.display.running("faces64", 54, Known()):
        screen.display.advance("replacement / benign:gaussian / magdr-without-pgd  12.3 s")
        screen.display.step("attacking calibration faces (pgd-weak)", 3, 48)
        top, bottom = screen.lines()
    assert max(len(top), len(bottom)) <= width
    assert re.search(r" 1/54 +about 40 s left +replacement / benign:gaussian", top)
    assert re.search(r" 3/48 +.*attacking calibration faces \(pgd-w", bottom)
    assert top.index("replacement") == bottom.index("attacking"), "columns are one below the other"


@pytest.mark.parametrize("width", [60, 80])
def test_titles_stand_whole_below_the_bars_where_there_is_no_room_beside(width):
    screen = Screen(width)
    cell = "replacement / benign:gaussian / magdr-without-pgd  12.3 s"
    with screen.display.running("faces64", 54, Known()):
        screen.display.advance(cell)
        screen.display.step("attacking calibration faces (pgd-weak)", 3, 48)
        lines = screen.lines()
    assert max(map(len, lines)) <= width
    assert [line for line in lines if "/54" not in line and "/48" not in line] == [
        cell,
        "attacking calibration faces (pgd-weak)",
    ]
    assert re.search(r" 1/54 +about 40 s left$", lines[0])


def test_a_step_whose_length_nobody_knows_counts_up():
    screen = Screen(110)
    with screen.display.running("faces64", 54, Known()):
        for done in (1, 20, 300):
            screen.display.step(inside("checks of planted"), done, 0)
            assert re.search(rf" {done}/\? .*checks of planted", screen.lines()[1])
        screen.display.step("fitting magdr", 1, 4)
        assert " 1/4 " in screen.lines()[1]


def test_nothing_is_said_of_the_time_while_nothing_is_known():
    screen = Screen(110)
    display = screen.display

    class Unknown:
        def estimate(self):
            return None

    with display.running("faces64", 54, Unknown()):
        display.advance("editing / none / detector magdr  1.0 s")
        assert "left" not in "".join(screen.lines())


def test_a_second_run_begins_with_bars_of_its_own():
    screen = Screen(110)
    for title in ("first", "second"):
        with screen.display.running(title, 3):
            (line,) = screen.lines()
            assert re.search(rf" 0/3 +{title}", line)
            screen.display.advance(f"a cell of {title}")


def test_without_a_terminal_steps_inside_a_cell_get_no_line():
    screen = Screen(200, live=False)
    progress = RunProgress(screen.display)
    within = inside("defending with magdr"), inside("the oracle's candidates"), inside("checks of pgd")
    for what in ("attacking (pgd)", *within, "fitting magdr", "checks (pgd)"):
        progress.step(what, 0, 2)
        progress.step(what, 1, 2)
    lines = screen.console.file.getvalue().splitlines()
    assert lines == ["  attacking (pgd) ...", "  fitting magdr ...", "  checks (pgd) ..."]


def test_the_watch_of_a_run_expects_every_cell_and_the_checks(toolkit_from, tmp_path):
    progress = RunProgress(Screen(110).display)
    bench = Bench(toolkit_from(CHECKED), "quick", cache=tmp_path / "cache")
    left = progress.watch(bench)
    assert len(left._order) == bench.total
    assert left._checks == 1
    cells = [cell for group in bench.groups for cell in group.cells]
    scenarios = {c.slice.name: work.scenario for c, work in zip(cells, left._order, strict=True)}
    assert scenarios["none"] == "clean"
    for _ in range(2):
        progress.step("checks (magdr)", 0, 2)
    progress.step("checks", 2, 2)
    assert left._checks == 0


def test_a_detector_and_a_defense_of_one_label_are_told_apart():
    screen = Screen(200, live=False)
    progress = RunProgress(screen.display)
    for role in ("detector", "defense"):
        facts = {"task": "editing", "attack": "none", "role": role, "component": "magdr"}
        progress.magdr_cell_finished(None, {"facts": facts, "seconds": 1.0})
    lines = screen.console.file.getvalue().splitlines()
    assert lines == ["editing / none / detector magdr  1.0 s", "editing / none / defense magdr  1.0 s"]
