"""What a component does to the process is put back, and said."""

from __future__ import annotations

import gc
import io
import logging
import os
import resource
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch

from magdr_core import guards as guard
from magdr_core.errors import ComponentError
from magdr_core.isolation import containment, process_state, streams
from magdr_core.isolation.left_threads import holding_up

CHANGES = {
    "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch's default device": lambda: torch.set_default_device("meta"),
    "torch's modes": lambda: torch.device("meta").__enter__(),
    "torch's inference mode": lambda: (HELD.append(torch.inference_mode()), HELD[-1].__enter__()),
    "whether torch keeps gradients": lambda: torch.set_grad_enabled(not torch.is_grad_enabled()),
    "torch's autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "torch's flags of arithmetic": lambda: torch.use_deterministic_algorithms(True),
    "torch's anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
    "torch's number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "how tiny numbers are treated": lambda: torch.set_flush_denormal(True),
    "hooks of all networks": lambda: torch.nn.modules.module.register_module_forward_hook(lambda *a: None),
    "numpy's treatment of errors": lambda: np.seterr(all="raise"),
    "the working directory": lambda: os.chdir("/"),
    "environment variables": lambda: os.environ.__setitem__("HOME", "/nowhere"),
    "the standard streams": lambda: setattr(sys, "stdout", io.StringIO()),
    "signal handlers": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "the recursion limit": lambda: sys.setrecursionlimit(4321),
    "garbage collection": gc.disable,
    "functions of torch, numpy or Python": lambda: setattr(torch.Tensor, "clone", lambda self: self),
    "hooks of the interpreter": lambda: setattr(sys, "excepthook", print),
    "whether messages are shown": lambda: logging.disable(logging.CRITICAL),
    "limits of the process": lambda: limited(resource.RLIMIT_NOFILE, 4000),
}
HELD = []


def limited(limit, soft):
    hard = resource.getrlimit(limit)[1]
    resource.setrlimit(limit, (min(soft, hard) - 1 if hard > 0 else soft, hard))


@pytest.mark.parametrize("name", CHANGES)
def test_process_state_that_a_component_changes_is_named_and_put_back(name, images):
    before = process_state.snapshot()

    def changes(x):
        CHANGES[name]()
        return x

    with pytest.raises(ComponentError) as e:
        guard.GuardedImageMap(changes, "map bad")(images(1))
    assert "map bad: changes " in str(e.value)
    assert name in str(e.value)
    assert process_state.put_back(before) == []
    HELD.clear()


def test_process_state_that_a_library_sets_when_it_is_imported_is_put_back_and_no_fault(
    images, monkeypatch, tmp_path
):
    (tmp_path / "sets_a_variable.py").write_text("import os\n\nos.environ['HOME'] = '/nowhere'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = os.environ.get("HOME")

    def imports(x):
        import sets_a_variable  # noqa: F401

        return x

    guard.GuardedImageMap(imports, "map lazy")(images(1))
    assert os.environ.get("HOME") == before


def test_process_state_a_timer_that_a_component_starts_is_stopped(images):
    running = signal.setitimer(signal.ITIMER_REAL, 0)  # that of a test runner's own limit
    try:
        with pytest.raises(ComponentError, match="map bad: changes timers"):
            guard.GuardedImageMap(lambda x: (signal.setitimer(signal.ITIMER_REAL, 60), x)[1], "map bad")(
                images(1)
            )
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, *running)


def test_process_state_is_put_back_after_an_exception_too(images):
    def fails(x):
        torch.set_default_dtype(torch.float64)
        raise ValueError("no")

    with pytest.raises(ComponentError, match="ValueError: no"):
        guard.GuardedImageMap(fails, "map bad")(images(1))
    assert torch.get_default_dtype() == torch.float32


def test_process_state_variables_that_torch_sets_are_no_fault(images, monkeypatch):
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)

    def first_use(x):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = "/tmp/x"
        return x

    guard.GuardedImageMap(first_use, "map")(images(1))
    os.environ.pop("TORCHINDUCTOR_CACHE_DIR")


def test_process_state_filters_of_warnings_are_put_back_without_a_word(images):
    before = list(warnings.filters)

    def mutes(x):
        warnings.simplefilter("error")
        return x

    guard.GuardedImageMap(mutes, "map")(images(1))
    assert list(warnings.filters) == before


def test_streams_a_closed_descriptor_is_open_again(tmp_path):
    file = tmp_path / "out"
    kept = os.dup(1)
    try:
        with file.open("wb") as out:
            os.dup2(out.fileno(), 1)
        streams.keep()
        before = streams.read()
        os.close(1)
        assert streams.read() != before
        streams.restore(before)
        assert streams.read() == before
        os.write(1, b"again")
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    assert file.read_bytes() == b"again"


def test_streams_a_closed_stream_can_be_written_to_again(monkeypatch, capfd):
    raw = os.fdopen(1, "wb", closefd=False)
    stream = io.TextIOWrapper(raw, encoding="utf-8", line_buffering=True)
    monkeypatch.setattr(sys, "stdout", stream)
    streams.keep()
    before = streams.read()
    stream.close()
    streams.restore(before)
    assert sys.stdout is stream
    print("again", flush=True)
    assert "again" in capfd.readouterr().out


def test_streams_one_whose_buffer_was_taken_can_be_written_to_again(monkeypatch, capfd):
    raw = os.fdopen(1, "wb", closefd=False)
    stream = io.TextIOWrapper(raw, encoding="utf-8", line_buffering=True)
    monkeypatch.setattr(sys, "stdout", stream)
    streams.keep()
    before = streams.read()
    stream.detach()
    assert streams.read() != before
    streams.restore(before)
    print("again", flush=True)
    assert "again" in capfd.readouterr().out


def test_streams_duplicates_lie_where_ranges_of_descriptors_do_not_reach():
    duplicate = streams._far_duplicate(1)
    try:
        assert duplicate >= 512
    finally:
        os.close(duplicate)


def test_processes_a_fork_does_not_go_on_with_the_run(images, tmp_path):
    here = os.getpid()

    def splits(x):
        if child := os.fork():
            os.waitpid(child, 0)
        return x

    guard.GuardedImageMap(splits, "map")(images(1))
    (tmp_path / str(os.getpid())).touch()
    assert [file.name for file in tmp_path.iterdir()] == [str(here)]


def left(daemon):
    done = threading.Event()
    return done, threading.Thread(target=done.wait, name="left behind", daemon=daemon)


def test_threads_a_left_thread_is_a_fault_and_named(images):
    done, thread = left(daemon=False)
    before = threading.enumerate()

    def starts(x):
        thread.start()
        return x

    try:
        with pytest.raises(ComponentError, match=r"map bad: leaves a thread running \(left behind\)"):
            guard.GuardedImageMap(starts, "map bad")(images(1))
        assert holding_up(before) == [thread]
    finally:
        done.set()


def test_threads_a_daemon_is_told_and_a_quick_one_is_not(images):
    containment.take_notices()
    done, thread = left(daemon=True)
    quick = threading.Thread(target=time.sleep, args=(0.02,))
    guard.GuardedImageMap(lambda x: (quick.start(), x)[1], "map")(images(1))
    assert containment.take_notices() == []
    try:
        guard.GuardedImageMap(lambda x: (thread.start(), x)[1], "map")(images(1))
        assert containment.take_notices() == ["map: leaves a daemon thread running (left behind)"]
    finally:
        done.set()
