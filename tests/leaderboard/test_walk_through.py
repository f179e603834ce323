"""The page's own walk-through: a purifier of twenty lines gets its row, and the row is checked."""

import re
import textwrap
from pathlib import Path

from click.testing import CliRunner

from magdr_core.cli import cli
from magdr_core.leaderboard import read_entries
from tests.bench.conftest import SMALL
from tests.edits import edited

PAGE = Path(__file__).parents[2] / "docs" / "leaderboard.md"


def block(language):
    found = re.search(rf"^ *```{language}\n(.*?)^ *```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    return textwrap.dedent(found[1])


def magdr(*arguments):
    done = CliRunner().invoke(cli, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


def test_the_purifier_of_the_page_gets_a_row_that_can_be_checked(tmp_path, monkeypatch):
    """On the tests' small world in place of the track, whose tables the block would follow."""
    monkeypatch.chdir(tmp_path)
    Path("half_blur.py").write_text(block("python"))
    assert len(block("python").splitlines()) <= 22
    magdr("plugins", "check", "./half_blur.py")
    tables = block("toml").partition("[profile.mine]")[0]
    small = edited(
        SMALL,
        ('defenses = ["magdr", "jpeg", "fixed-chain"]', 'defenses = ["half-blur"]'),
        ('detectors = ["magdr", "distortion"]\n', ""),
        ('ensemble = ["flip"]\nbenign = ["jpeg"]\n', "oracle = false\n"),
    )
    Path("own-track.toml").write_text(f"{small}\n{tables}")
    magdr("bench", "own-track.toml", "--out", "run", "--device", "cpu")
    magdr("leaderboard", "add", "run", "--out", "board.csv")
    rows = {(e.component, e.metric) for e in read_entries(Path("board.csv"))}
    assert {("half-blur", name) for name in ("residue", "worst", "clean", "passes")} <= rows
    magdr("leaderboard", "page", "board.csv", "--out", "site")
    assert "half-blur" in Path("site/index.html").read_text()
    said = magdr("leaderboard", "check", "run", "--registry", "own-track.toml", "--device", "cpu")
    assert "largest difference 0.00%" in said
