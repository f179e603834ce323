"""The command line: `magdr COMMAND`. One short module per command, imported when it is called."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import NoReturn

import click

from magdr_core.cli.terminal import never_fail_to_encode, say
from magdr_core.errors import MagdrError, WriteError, one_line
from magdr_core.hosting.commands import Commands, all_commands, core_commands
from magdr_core.hosting.lazy_command import LazyCommand
from magdr_core.isolation import interrupts, left_threads


class _Commands(click.Group):
    """Core's commands and those of installed plugins.

    A command's module is imported when it is used, so that `magdr --help` needs no torch. Plugins are looked
    at for `magdr --help` and for names that core does not have.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return _everything().names()

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        command = core_commands().get(name) or _everything().find(name)
        return command.load() if isinstance(command, LazyCommand) else command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = _everything()
        for title, commands in {"": found.core, **found.plugins}.items():
            with formatter.section(f"Commands of {title}" if title else "Commands"):
                formatter.write_dl([(name, c.get_short_help_str(200)) for name, c in commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from magdr_core.errors import suggestion

        if args and not args[0].startswith("-") and args[0] not in core_commands():
            names = _everything().names()
            if args[0] not in names:
                raise click.UsageError(f"no command {args[0]!r}{suggestion(args[0], names)}")
        return super().resolve_command(ctx, args)


def _everything() -> Commands:
    """All commands; what is wrong with plugins that bring some is said, once."""
    found = all_commands()
    for fault in found.faults:
        if fault not in _said:
            _said.add(fault)
            say(f"magdr: {fault}", err=True)
    return found


_said: set[str] = set()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="magdr", prog_name="magdr")
def cli() -> None:
    """Detect and undo perturbations that disrupt face generators; benchmark attacks and defenses."""


def main() -> None:
    """Entry point: bad input is one line on stderr and exit code 2, what cannot be written or runs out of
    memory one line and exit code 1, an interrupt 130.

    Threads that a plugin has left do not keep the process alive.
    """
    threads = threading.enumerate()
    threading.excepthook, sys.unraisablehook = _of_a_thread, _of_nobody
    try:
        with _messages_shown(), interrupts.watched():
            code = _run()
    except BaseException:
        if not left_threads.holding_up(threads):
            raise
        traceback.print_exc()
        code = 1
    _leave(code, threads)


def _run() -> int:
    never_fail_to_encode()
    try:
        code = cli.main(prog_name="magdr", standalone_mode=False)
    except click.exceptions.Exit as e:
        code = e.exit_code
    except click.ClickException as e:
        say(f"magdr: {' '.join(e.format_message().split())}", err=True)
        code = 2
    except (click.Abort, KeyboardInterrupt):
        say(err=True)
        say("interrupted; what was finished is kept, the same command continues", err=True)
        code = 130
    except WriteError as e:
        say(f"magdr: {one_line(e)}", err=True)
        code = 1
    except MagdrError as e:
        say(f"magdr: {one_line(e)}", err=True)
        code = 2
    except BrokenPipeError:
        # Whoever read the output has enough of it; closing it must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as e:
        place = f"{e.filename}: " if e.filename is not None else ""
        say(f"magdr: {' '.join(f'{place}{e.strerror or e}'.split())}", err=True)
        code = 1
    except (MemoryError, RuntimeError) as e:
        if not _out_of_memory(e):
            raise
        say("magdr: out of memory; what was finished is kept, the same command continues", err=True)
        code = 1
    except SystemExit as e:
        if isinstance(e.code, str):
            say(e.code, err=True)
        code = int(bool(e.code)) if not isinstance(e.code, int) else e.code
    return code if isinstance(code, int) else 0


@contextlib.contextmanager
def _messages_shown() -> Iterator[None]:
    """While a command runs, what parts without a display of their own report by `logging` goes to stderr."""
    logger, shown = logging.getLogger("magdr"), _Messages(logging.INFO)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(shown)
    try:
        yield
    finally:
        logger.removeHandler(shown)
        logger.setLevel(level)


class _Messages(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):
            say(f"magdr: {self.format(record)}", err=True)


def _leave(code: int, before: list[threading.Thread]) -> NoReturn:
    """End the process, also where a thread that was not there at the start would go on."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    if left_threads.holding_up(before):
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()  # temporary files are removed, a cluster is shut down
        os._exit(code)
    sys.exit(code)


def _of_a_thread(failed: threading.ExceptHookArgs) -> None:
    """One line of a thread that ended badly; the file that it was in is a plugin's."""
    name = failed.thread.name if failed.thread is not None else "a thread"
    _one_line(f"thread {name}", failed.exc_value or failed.exc_type())


def _of_nobody(failed: sys.UnraisableHookArgs) -> None:
    """One line of what went wrong where nobody could be told: in a `__del__`, or while the process ends."""
    _one_line(failed.err_msg or "while something was cleared away", failed.exc_value or failed.exc_type())


def _one_line(where: str, error: BaseException) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
    with contextlib.suppress(Exception):
        say(f"magdr: {where}{place}: {one_line(error)}", err=True)


def _out_of_memory(error: Exception) -> bool:
    """Also of torch, whose CPU allocator raises a plain RuntimeError."""
    words = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(w in str(error) for w in words)
