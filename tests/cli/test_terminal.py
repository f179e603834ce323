"""What commands print: text from elsewhere is data, whoever prints it and on whatever stream."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

import magdr_core.cli
from magdr_core.cli.common import LONGEST, ProgressDisplay
from magdr_core.cli.terminal import Terminal, say, say_document, say_lines, stacked

EVIL = "\x1b[31m\x9b1m\u202e\u200b\r\nnext [red]x[/y] [link=http://a]z \udcff\ud800"
SHOWN = "\\x1b[31m\\x9b1m\\u202e\\u200b\\r\\nnext [red]x[/y] [link=http://a]z \\xff\\ud800"
FORBIDDEN = set("\x1b\x9b\u202e\u200b\r\udcff\ud800")

CLI = Path(magdr_core.cli.__file__).parent


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 200 columns that keeps what was printed; `text()` of it."""

    def make(*, live: bool = False):
        made, out = Terminal(), io.StringIO()
        made.file = out
        made.width = 200
        made._force_terminal = live
        made.text = out.getvalue
        return made

    return make


def as_cell():
    table = Table(title=EVIL, caption=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    return table


@pytest.mark.parametrize(
    "thing", [EVIL, Text(EVIL), as_cell(), Panel(EVIL), stacked(EVIL, EVIL)], ids=lambda t: type(t).__name__
)
def test_terminal_shows_nothing_raw(terminal, thing):
    t = terminal()
    t.print(thing)
    assert not FORBIDDEN & set(t.text())
    assert "[red]x[/y] [link=http://a]z" in t.text()


def test_terminal_prints_a_string_on_one_line_as_it_is(terminal):
    t = terminal()
    t.print(EVIL, soft_wrap=True)
    assert t.text() == SHOWN + "\n"


def test_terminal_ignores_markup_that_is_asked_for(terminal):
    t = terminal()
    t.print("[red]a", markup=True)
    assert t.text() == "[red]a\n"


def test_terminal_keeps_the_codes_of_its_own_styles(terminal):
    t = terminal()
    t._color_system = 1
    t.print("bad \x1b[2J", style="red")
    assert t.text().startswith("\x1b[31m")
    assert "bad \\x1b[2J" in t.text()


SENTENCE = "  why: the generator's output on it is as steady as on clean faces, and well-confined to the edit"


def test_a_sentence_is_broken_between_words_in_a_terminal_and_one_line_elsewhere(terminal):
    live, piped = terminal(live=True), terminal()
    live.width = piped.width = 40
    live.say(SENTENCE)
    piped.say(SENTENCE)
    assert piped.text() == f"{SENTENCE}\n"
    lines = live.text().splitlines()
    assert max(map(len, lines)) <= 40
    assert len(lines) == 3
    assert all(line.startswith("    ") for line in lines[1:]), "what goes on is further in"
    assert " ".join(" ".join(lines).split()) == SENTENCE.strip()


def test_what_is_longer_than_the_terminal_is_left_whole(terminal):
    live = terminal(live=True)
    live.width = 20
    live.say(f"see {'x' * 50}-y for more")
    assert [line.strip() for line in live.text().splitlines()] == ["see", f"{'x' * 50}-y", "for more"]


def test_a_sentence_is_harmless(terminal):
    live = terminal(live=True)
    live.say(EVIL)
    assert not FORBIDDEN & set(live.text())


def test_stacked_has_the_lines_that_are_meant_alone(terminal):
    t = terminal()
    t.print(stacked("a\nb", "c"))
    assert t.text() == "a\\nb\nc\n"


def test_progress_shows_names_as_data(terminal):
    t = terminal()
    display = ProgressDisplay(t)
    display.step(EVIL, 0, 1)
    display.say(EVIL)
    display.advance(EVIL)
    assert t.text() == f"  {SHOWN} ...\n{SHOWN}\n{SHOWN}\n"


def test_progress_bar_shows_names_as_data_and_cuts_long_ones(terminal):
    t = terminal(live=True)
    display = ProgressDisplay(t)
    with display.running(EVIL, 2):
        display.step("[/nothing]" + "x" * 500 + EVIL, 0, 1)
        display.step("[/nothing]" + "x" * 500 + EVIL, 1, 1)
        still = terminal()
        still.print(display._bar.get_renderable())
        display.advance(EVIL)
    assert not FORBIDDEN & set(still.text())
    assert "[/nothing]xxx" in still.text()
    assert "[red]x[/y]" in still.text()
    assert max(len(line.rstrip()) for line in still.text().splitlines()) < 3 * LONGEST
    assert all(len(task.description) <= LONGEST for task in display._bar.tasks)


def test_say_is_one_visible_line(capsys):
    say(EVIL)
    say(EVIL, err=True)
    assert capsys.readouterr() == (SHOWN + "\n", SHOWN + "\n")


def test_say_document_is_ascii_json_that_holds_the_text(capsys):
    say_document({"path": EVIL})
    out = capsys.readouterr().out
    assert out.isascii()
    assert not FORBIDDEN & set(out)
    assert json.loads(out) == {"path": EVIL}


def test_say_lines_keeps_line_breaks_only(capsys):
    say_lines("a,b\n\x1b[31m,\ud800\n")
    assert capsys.readouterr().out == "a,b\n\\x1b[31m,\\ud800\n"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_messages_reach_a_stream_that_cannot_encode_them(encoding):
    code = "from magdr_core.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "plugins", "check", "./日本é.py"],
        capture_output=True,
        env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LANG": "C", "PATH": ""},
        timeout=60,
    )
    said = done.stderr.decode(encoding)
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
    assert ("日本é" if encoding == "utf-8" else "\\u65e5\\u672c") in said


@pytest.mark.parametrize("argument", ["--\x1b[31mred", "\x1b[31mred", "--\u202e"])
def test_wrong_usage_is_shown_visibly(argument, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["magdr", "report", argument])
    with pytest.raises(SystemExit) as stop:
        magdr_core.cli.main()
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert not FORBIDDEN & set(said)
    assert len(said.splitlines()) == 1


def printing(text: str) -> list[str]:
    """Every use in a module's text of something that prints past `terminal`, or that reads markup."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            past = called in ("print", "sys.stdout.write", "sys.stderr.write", "warnings.warn")
            if past or called.rpartition(".")[2] in ("echo", "secho", "from_markup"):
                found.append(f"line {node.lineno}: {called}")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
            found += [f"line {node.lineno}: {a.name}" for a in node.names if a.name in ("Console", "print")]
    return found


@pytest.mark.parametrize(
    "text",
    [
        "print(x)",
        "click.echo(x)",
        "sys.stdout.write(x)",
        "from rich.console import Console",
        "Text.from_markup(x)",
    ],
)
def test_printing_past_the_terminal_is_seen(text):
    assert len(printing(text)) == 1


@pytest.mark.parametrize("file", sorted(set(CLI.glob("*.py")) - {CLI / "terminal.py"}), ids=lambda f: f.name)
def test_command_prints_through_the_terminal_only(file):
    assert printing(file.read_text(encoding="utf-8")) == []


def test_terminal_a_thread_that_fails_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(threading, "excepthook", magdr_core.cli._of_a_thread)

    def fails():
        raise ValueError("no\nmore")

    thread = threading.Thread(target=fails, name="worker")
    thread.start()
    thread.join()
    line = capsys.readouterr().err
    assert line.startswith("magdr: thread worker (test_terminal.py, line ")
    assert line.endswith("): ValueError: no more\n")


def test_terminal_what_fails_while_it_is_cleared_away_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "unraisablehook", magdr_core.cli._of_nobody)

    class Refuses:
        def __del__(self):
            raise ValueError("no")

    Refuses()
    assert capsys.readouterr().err.count("\n") == 1
