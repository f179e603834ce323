"""Entries, ranks and the page: figures by hand from run folders whose values are known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from magdr_core.cli import cli
from magdr_core.errors import MagdrError
from magdr_core.leaderboard import LeaderboardEntry, entries_of, read_entries, write_board, write_entries
from magdr_core.leaderboard.page import render
from magdr_core.leaderboard.ranking import average_ranks, published_shape
from tests.compare.conftest import Folder

N = 6
DRAW = np.random.default_rng(0)
VALUES = {
    (defense, attack): 100 * DRAW.random(N)
    for defense in ("identity", "jpeg", "twin")
    for attack in ("none", "pgd", "cw")
}
DISRUPTION = {attack: 0.1 + DRAW.random(N) for attack in ("pgd", "cw", "pgd@other")}
BEHIND = {channel: DRAW.random(N) for channel in ("rough", "half")}


def filled(run):
    for (defense, attack), values in VALUES.items():
        run.cell("defense", defense, {"mse_o": values}, attack)
    knowing = {"slice_role": "adaptive", "knowledge": "adaptive"}
    for attack, more in (("pgd", 50), ("cw", 70)):
        run.cell("defense", "twin", {"mse_o": VALUES["twin", attack] + more}, attack, **knowing)
    for attack, values in DISRUPTION.items():
        told = {"knowledge": "transfer"} if "@" in attack else {}
        success = (values > 0.5).astype(float)
        run.cell(
            "attack", attack, {"mse_o": values, "success": success, "psnr_i": 33.0 + values}, attack, **told
        )
    for channel, values in BEHIND.items():
        run.cell("attack", "pgd", {"mse_o": values}, channel=channel)
    run.cell("attack", "noise", {"mse_o": DISRUPTION["pgd"] / 9}, "noise")
    return run


@pytest.fixture
def run(tmp_path):
    return filled(Folder(tmp_path / "run", n=N, manifest={"adaptive_suite": "magdr-standard 1"})).write()


def figures(entries, board):
    return {(e.component, e.metric): e.value for e in entries if e.board == board and not e.channel}


def test_a_purifiers_figures_are_taken_image_by_image(run):
    found = figures(entries_of(run), "purifier")
    for name in ("identity", "jpeg", "twin"):
        both = np.array([VALUES[name, attack] for attack in ("pgd", "cw")])
        assert found[name, "residue"] == pytest.approx(both.mean())
        assert found[name, "worst"] == pytest.approx(both.max(0).mean())
        assert found[name, "clean"] == pytest.approx(VALUES[name, "none"].mean())
        assert found[name, "passes"] == 2.0
    knowing = np.maximum(VALUES["twin", "pgd"] + 50, VALUES["twin", "cw"] + 70).mean()
    assert {k: v for k, v in found.items() if k[1] == "adaptive"} == {
        ("twin", "adaptive"): pytest.approx(knowing)
    }


def test_a_disruptors_figures_are_of_what_is_left_of_it(run):
    found = figures(entries_of(run), "disruptor")
    assert {name for name, _ in found} == {"pgd", "cw", "noise"}, "a transferred attack is no row of its own"
    assert found["pgd", "disruption"] == pytest.approx(DISRUPTION["pgd"].mean())
    least = np.minimum(VALUES["jpeg", "pgd"], VALUES["twin", "pgd"]).mean() / 127.5**2
    assert found["pgd", "left"] == pytest.approx(least), (
        "behind each image's best defense, the undefended row aside"
    )
    assert found["pgd", "rob"] == pytest.approx(np.mean(list(BEHIND.values())) / DISRUPTION["pgd"].mean())
    assert found["pgd", "te"] == pytest.approx(DISRUPTION["pgd@other"].mean() / DISRUPTION["pgd"].mean())
    assert found["pgd", "success"] == pytest.approx((DISRUPTION["pgd"] > 0.5).mean())
    assert found["pgd", "psnr"] == pytest.approx(33 + DISRUPTION["pgd"].mean())
    assert ("cw", "rob") not in found
    assert ("cw", "te") not in found


def test_only_the_same_pictures_and_attacks_make_one_suite(tmp_path):
    def suite(name, **more):
        other = filled(Folder(tmp_path / name, n=N))
        for cell in other.cells:
            cell["facts"] |= more
        return {e.suite for e in entries_of(other.write()) if not e.channel}

    one = suite("a")
    assert len(one) == 1
    assert suite("b") == one
    assert suite("c", data="other faces") != one
    assert suite("d", steps=31) != one


def test_entries_are_read_as_they_were_written_and_replaced_by_later_ones(run, tmp_path):
    path, entries = tmp_path / "board.csv", entries_of(run)
    write_entries(path, entries)
    again = read_entries(path)
    assert len(again) == len(entries)
    old = {e.place: e for e in entries}
    for entry in again:
        assert entry.value == pytest.approx(old[entry.place].value, rel=1e-8)
        assert replace(entry, value=0, low=0, high=0) == replace(old[entry.place], value=0, low=0, high=0)
    better = replace(again[0], value=-1.0)
    write_entries(path, [*again, better])
    assert [e.value for e in read_entries(path) if e.place == better.place] == [-1.0]
    text = path.read_text()
    write_entries(path, reversed(read_entries(path)))
    assert path.read_text() == text, "the order of the runs does not matter"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("board,suite", "its columns are not those of leaderboard entries"),
        (None, "line 2: 3 fields, not 17"),
        ("value", "line 2: value, low, high or n is no number"),
        ("nan", "a value that is no figure"),
    ],
    ids=["columns", "fields", "number", "nan"],
)
def test_what_is_no_file_of_entries_is_named(run, tmp_path, line, said):
    path = tmp_path / "board.csv"
    write_entries(path, entries_of(run)[:1])
    head, first = path.read_text().splitlines()
    fields = first.split(",")
    if line == "board,suite":
        head = line
    elif line is None:
        first = ",".join(fields[:3])
    else:
        fields[9] = "many" if line == "value" else ""
        first = ",".join(fields)
    path.write_text(f"{head}\n{first}\n")
    with pytest.raises(MagdrError, match=said):
        read_entries(path)


def entry(component, metric, value, board="purifier", suite="s", attacks="pgd"):
    low = high = math.nan
    about = (board, suite, "editing", "stargan", "procedural-faces", "", component, component)
    return LeaderboardEntry(*about, metric, value, low, high, 8, attacks, "mine", "0.2.0", "abc")


def test_ranks_are_means_over_tables_and_equals_share_theirs():
    found = average_ranks(
        [
            *(
                entry(name, "residue", value)
                for name, value in (("a", 1), ("b", 2), ("c", 3), ("identity", 0))
            ),
            *(entry(name, "clean", value) for name, value in (("a", 5), ("b", 1), ("c", 1))),
            entry("b", "adaptive", 9.0),
            *(entry(name, "passes", value) for name, value in (("a", 9), ("b", 1), ("c", 5))),
        ]
    )
    # residue 1 2 3; clean 3 1.5 1.5; adaptive: b alone was attacked, the others share the last ranks.
    assert found == {
        ("purifier", "a"): pytest.approx((1 + 3 + 2.5) / 3),
        ("purifier", "b"): pytest.approx((2 + 1.5 + 1) / 3),
        ("purifier", "c"): pytest.approx((3 + 1.5 + 2.5) / 3),
    }


def test_a_disruptor_that_leaves_more_is_the_better_one():
    entries = [entry(n, "disruption", v, board="disruptor") for n, v in (("weak", 0.1), ("strong", 0.4))]
    assert average_ranks(entries) == {("disruptor", "strong"): 1.0, ("disruptor", "weak"): 2.0}


def test_suites_are_ranked_by_themselves():
    entries = [entry("a", "residue", 5.0), entry("b", "residue", 1.0, suite="other")]
    assert set(average_ranks(entries).values()) == {1.0}


def test_the_data_have_the_published_shape(run, tmp_path):
    files = write_board(tmp_path / "board", entries_of(run))
    assert [str(f.relative_to(tmp_path / "board")) for f in files] == ["index.html", "data/stargan.json"]
    data = json.loads(files[1].read_text())
    assert list(data) == ["procedural-faces"]
    rows = {row["method"]: row for row in data["procedural-faces"]}
    assert set(rows) == {"pgd", "cw"}
    keys = ["method", "setting", "mse", "lpips", "cidr", "brisque", "avgrank", "rob", "te"]
    assert all(list(row) == keys for row in rows.values())
    assert rows["pgd"]["mse"] == pytest.approx(DISRUPTION["pgd"].mean())
    assert rows["cw"]["rob"] is None
    assert rows["pgd"]["lpips"] is rows["pgd"]["cidr"] is rows["pgd"]["brisque"] is None
    assert published_shape([entry("a", "residue", 1.0)]) == {}


def test_the_page_says_who_was_never_attacked_by_what_knows_it(run):
    page = render(entries_of(run))
    assert page == render(entries_of(run))
    row = page[page.index("<td>jpeg") :].partition("</tr>")[0]
    assert "not attacked" in row
    assert "not attacked" not in page[page.index("<td>twin") :].partition("</tr>")[0]
    assert page.index("<td>twin") < page.index("<td>identity"), "references come last"
    assert "pgd, cw" in page


def test_names_of_others_cannot_become_markup(run):
    page = render([entry("<script>x</script>", "residue", 1.0)])
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page


def test_a_run_without_attacks_has_no_entries(tmp_path):
    other = Folder(tmp_path / "none", n=N).cell("defense", "jpeg", {"mse_o": [1.0] * N}, "none").write()
    with pytest.raises(MagdrError, match="no defense and no attack"):
        entries_of(other)


def test_from_a_run_to_a_page_in_two_commands(run, tmp_path):
    board, out = tmp_path / "board.csv", tmp_path / "page"
    done = CliRunner().invoke(cli, ["leaderboard", "add", str(run), "--out", str(board)])
    assert done.exit_code == 0, done.output
    assert "6 components" in done.output
    done = CliRunner().invoke(cli, ["leaderboard", "page", str(board), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "jpeg" in (out / "index.html").read_text()
