"""The time left of a benchmark: from cells of the same kind, never from how many there are."""

from __future__ import annotations

import pytest

from magdr_core.cli.time_left import Estimate, TimeLeft, Work, rounded

QUICK, SLOW = 1.0, 30.0


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def work(component="magdr", scenario="attack", role="defense", task="editing"):
    return Work(task, role, component, scenario)


@pytest.fixture
def watched():
    """`watched(planned, **options)`: a watch with a clock `tick(seconds)`, and `does(work, seconds)`."""

    def make(planned, **options):
        clock = Clock()
        left = TimeLeft(planned, clock=clock, **options)

        def tick(seconds):
            clock.now += seconds

        def does(one, seconds, before=0.0, kept=False):
            tick(before + seconds)
            left.finished(one, seconds, kept=kept)

        left.tick, left.does = tick, does
        return left

    return make


def test_nothing_is_said_while_nothing_is_known(watched):
    left = watched([work()] * 4)
    assert left.estimate() is None
    left.tick(5)
    assert left.estimate() is None


def test_slow_and_quick_components_count_each_as_their_own(watched):
    plan = [work("identity"), work("magdr")] * 3
    left = watched(plan)
    left.does(plan[0], QUICK)
    left.does(plan[1], SLOW)
    assert left.estimate() == Estimate(2 * (QUICK + SLOW), whole=True)
    left.does(plan[2], QUICK)
    assert left.estimate() == Estimate(QUICK + 2 * SLOW, whole=True), "not 3 times the mean of three cells"


def test_kept_cells_take_no_time_and_say_nothing(watched):
    plan = [work()] * 10
    left = watched(plan)
    for one in plan[:8]:
        left.does(one, 0.01, kept=True)
    assert left.estimate() is None, "kept cells would make the other two look free"
    left.does(plan[8], SLOW)
    assert left.estimate() == Estimate(SLOW, whole=True)


def test_a_fit_counts_once_for_each_task(watched):
    plan = [work(task=task) for task in ("editing", "editing", "replacement", "replacement")]
    left = watched(plan)
    left.does(plan[0], QUICK, before=60.0)
    assert left.estimate() == Estimate(3 * QUICK + 60.0, whole=True)
    left.does(plan[1], QUICK)
    left.does(plan[2], QUICK, before=60.0)
    assert left.estimate() == Estimate(QUICK, whole=True)


def test_a_kept_cell_says_nothing_of_fits(watched):
    plan = [work(), work(), work(task="other")]
    left = watched(plan)
    left.does(plan[0], 0.0, kept=True)
    left.does(plan[1], QUICK)
    assert left.estimate() == Estimate(QUICK, whole=False), "nobody has seen how long the other task's takes"


def test_what_is_known_of_other_images_alone_is_a_lower_bound(watched):
    plan = [work(scenario="clean"), work(scenario="attack")]
    left = watched(plan)
    left.does(plan[0], 2.0)
    assert left.estimate() == Estimate(2.0, whole=False)
    assert str(left.estimate()) == "over 2 s left"


def test_most_of_the_cells_must_be_known(watched):
    plan = [work("identity"), work("identity"), work("magdr"), work("magdr")]
    left = watched(plan)
    left.does(plan[0], QUICK)
    assert left.estimate() is None, "two of three cells are of a component that nobody has seen"


def test_what_runs_now_has_begun_already(watched):
    left = watched([work()] * 3)
    left.does(work(), SLOW)
    left.tick(10)
    assert left.estimate().seconds == pytest.approx(2 * SLOW - 10)
    left.tick(100)
    assert left.estimate().seconds == pytest.approx(SLOW), "one that takes long eats no time of the others"


def test_a_step_says_how_long_its_own_cell_takes(watched):
    left = watched([work()] * 3)
    left.does(work(), 1.0)
    left.step("defending", 0, 10)
    left.tick(8.0)
    left.step("defending", 2, 10)
    assert left.estimate().seconds == pytest.approx(8 / 2 * 8 + 1.0)
    left.step("fitting", 0, 10)
    assert left.estimate().seconds == pytest.approx(1.0), "another step's pace says nothing of this one"


def test_checks_are_unknown_until_a_task_has_had_them(watched):
    left = watched([work(), work(task="other")], checks=2)
    left.does(work(), 1.0)
    left.checking()
    assert left.estimate() == Estimate(1.0, whole=False)
    left.tick(40.0)
    left.checked()
    assert left.estimate() == Estimate(41.0, whole=True)


def test_several_workers_do_as_much_at_a_time_as_so_far(watched):
    left = watched([work()] * 8, serial=False)
    for _ in range(2):
        left.tick(5.0)
        for _ in range(2):
            left.finished(work(), 10.0, kept=False)
    assert left.estimate() == Estimate(4 * 10.0 / 4, whole=True)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "1 s"),
        (8.4, "8 s"),
        (38, "40 s"),
        (94, "90 s"),
        (100, "2 min"),
        (3000, "50 min"),
        (9000, "2.5 h"),
    ],
)
def test_durations_have_no_more_digits_than_they_are_worth(seconds, said):
    assert rounded(seconds) == said
    assert str(Estimate(seconds, True)) == f"about {said} left"
