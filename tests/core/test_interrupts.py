"""A component's KeyboardInterrupt is its fault; the user's stops the run."""

from __future__ import annotations

import contextlib
import signal
import threading

import pytest

from magdr_core import guards as guard
from magdr_core.errors import ComponentError, one_line
from magdr_core.isolation import interrupts


class Own(BaseException):
    pass


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), GeneratorExit(), Own("gone")])
def test_interrupts_whatever_a_component_raises_is_attributed(error, images):
    def raises(x):
        raise error

    with interrupts.watched(), pytest.raises(ComponentError, match="map bad: failed on 1x3x16x16 on cpu: "):
        guard.GuardedImageMap(raises, "map bad")(images(1))


def pressed(x):
    signal.raise_signal(signal.SIGINT)
    return x


def swallowed(x):
    with contextlib.suppress(BaseException):
        signal.raise_signal(signal.SIGINT)
    return x


@pytest.mark.parametrize("during", [pressed, swallowed])
def test_interrupts_the_user_s_passes_even_where_it_was_swallowed(during, images):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupts.watched():
        guard.GuardedImageMap(during, "map")(images(1))
    assert signal.getsignal(signal.SIGINT) is before


def test_interrupts_outside_a_watched_run_are_the_user_s(images):
    def raises(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guard.GuardedImageMap(raises, "map")(images(1))


def test_interrupts_of_a_run_in_the_background_are_a_component_s(images):
    def raises(x):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell leaves it for `magdr bench &`
    try:
        with interrupts.watched(), pytest.raises(ComponentError, match="KeyboardInterrupt"):
            guard.GuardedImageMap(raises, "map")(images(1))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_interrupts_in_another_thread_are_never_the_user_s():
    said = []
    thread = threading.Thread(target=lambda: said.append(interrupts.is_users(KeyboardInterrupt())))
    thread.start()
    thread.join()
    assert said == [False]


def test_one_line_of_an_exception_that_cannot_be_read():
    class E(Exception):
        def __str__(self):
            raise RuntimeError("no")

    assert one_line(E()) == "E: (its message cannot be read: RuntimeError)"
