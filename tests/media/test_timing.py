"""When frames are shown, and whether a clip is all there."""

from fractions import Fraction
from types import SimpleNamespace

import pytest

from magdr_core.media.frame_times import MAX_RATE, Clock, Extent, Length, sane_rate


def frame(pts, duration=40):
    return SimpleNamespace(pts=pts, duration=duration, time_base=Fraction(1, 1000))


def extent_of(pts, seconds, duration=40):
    extent = Extent(Length(Fraction(seconds)))
    for one in pts:
        extent.seen(frame(one, duration), Fraction(0))
    return extent


@pytest.mark.parametrize(
    ("declared", "rate"),
    [(None, 25), (Fraction(0), 25), (Fraction(-3), 25), (Fraction(10**9), MAX_RATE), (Fraction(30), 30)],
)
def test_rates_that_cannot_be_are_not_believed(declared, rate):
    assert sane_rate(declared) == rate


def test_times_rise_by_a_millisecond_at_least():
    clock = Clock(Fraction(25))
    given = [Fraction(0), Fraction(1, 10**9), Fraction(2, 10**9), Fraction(1, 2), None, Fraction(1, 4)]
    assert [clock.at(t) for t in given] == [0, 0.001, 0.002, 0.5, 0.54, 0.541]


def test_a_time_in_the_far_future_is_refused():
    with pytest.raises(ValueError, match="shown after 1e\\+09 seconds"):
        Clock(Fraction(25)).at(Fraction(10**9))


def test_unevenly_timed_frames_that_reach_the_end_are_all_there():
    assert not extent_of([0, 40, 80, 120, 520, 1720], "1.76").is_cut_short


def test_a_clip_whose_last_frame_ends_early_is_cut_short_and_says_how_much_there_is():
    extent = extent_of(range(0, 400, 40), 4)
    assert extent.is_cut_short
    assert str(extent) == "the first 0.4 of 4 seconds"


def test_rounded_headers_cut_nothing_short():
    assert not extent_of(range(0, 1000, 40), "1.08").is_cut_short
    assert not extent_of(range(0, 100_000, 40), "100.9").is_cut_short
    assert extent_of(range(0, 100_000, 40), "101.5").is_cut_short


def test_nothing_is_said_of_clips_that_declare_no_duration():
    extent = Extent(Length())
    extent.seen(frame(0), Fraction(0))
    assert not extent.is_cut_short
