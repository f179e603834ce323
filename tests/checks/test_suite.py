"""The checks inside a run: what is written, kept and told; and threat cards."""

import json

import pytest
from click.testing import CliRunner

from magdr_core.bench.run import Bench
from magdr_core.cli import cli
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit
from tests.checks.world import WORLD
from tests.conftest import TOY
from tests.edits import edited

RUN = (
    WORLD
    + """
[registry]
name = "checked"
device = "cpu"

[plugins]
local = { toy = "./toy.py", cut = "./cut.py" }

[restoration.median]

[defense.cut]
use = "cut/blur"

[profile.quick]
samples = 4
attacks = ["pgd"]
defenses = ["median", "cut"]
checks = { faces = 4, steps = 2, draws = 1 }
"""
)

CUT = '''
"""A defense whose author says that its gradient is exact, and cuts it."""
from magdr_core.api import DefenseSpec, hookimpl, stateless
from magdr_core.functional import gaussian_blur

MAGDR_API = 1


def blur(x, c, G):
    """Blurs a detached copy."""
    return gaussian_blur(x.detach(), 0.6)


@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="blur", build=stateless(blur), gradient="exact")]
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checked")
    (folder / "toy.py").write_text(TOY, encoding="utf-8")
    (folder / "cut.py").write_text(CUT, encoding="utf-8")
    (folder / "checked.toml").write_text(RUN, encoding="utf-8")
    return folder


def bench(folder, out="run", cache="cache"):
    toolkit = Toolkit.from_registry(folder / "checked.toml")
    return Bench(toolkit, "quick", out=folder / out, cache=folder / cache, report=lambda text: None)


@pytest.fixture(scope="module")
def first(folder):
    return bench(folder).run()


def verdicts(run, role, component):
    (row,) = [r for r in run.checks if (r["role"], r["component"]) == (role, component)]
    return row["badge"], {c["name"]: c["verdict"] for c in row["checks"]}


def test_suite_flags_the_wrong_defense_and_not_the_right_one(first):
    badge, found = verdicts(first, "defense", "cut")
    assert badge == "unreliable"
    assert found["gradient"] == "fail"
    badge, found = verdicts(first, "defense", "median")
    assert badge == "oblivious-only"
    assert "fail" not in found.values()


def test_suite_checks_attacks_and_the_engine_and_no_references(first):
    rows = [(r["role"], r["component"]) for r in first.checks]
    assert rows == [("attack", "pgd"), ("planted", "planted"), ("defense", "median"), ("defense", "cut")]
    assert verdicts(first, "attack", "pgd")[0] == "verified"
    assert set(verdicts(first, "planted", "planted")[1].values()) == {"pass"}


def test_suite_writes_checks_json_with_evidence(first):
    written = json.loads((first.folder / "checks.json").read_text())
    assert written["settings"]["faces"] == 4
    cut = next(r for r in written["rows"] if r["component"] == "cut")
    assert cut["how"]["steps"] == 2
    gradient = next(c for c in cut["checks"] if c["name"] == "gradient")
    assert gradient["evidence"]["zero share"] == 1


def test_suite_a_second_run_computes_nothing_and_writes_the_same(folder, first, monkeypatch):
    from magdr_core.bench.checks import attack_jobs, suite

    before = (first.folder / "checks.json").read_bytes()
    asked = {"component_checks": suite, "attack_checks": attack_jobs, "planted_checks": suite}
    for name, module in asked.items():
        monkeypatch.setattr(module, name, lambda *a, **k: pytest.fail("computed again"))
    again = bench(folder, out="again").run()
    assert (again.folder / "checks.json").read_bytes() == before


@pytest.mark.slow
def test_suite_an_interrupted_run_keeps_finished_rows(folder, first, monkeypatch):
    from magdr_core.bench.checks import suite

    real, done = suite.component_checks, []

    def interrupted(*args):
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return real(*args)

    monkeypatch.setattr(suite, "component_checks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench(folder, "broken", "fresh").run()
    monkeypatch.setattr(suite, "component_checks", lambda *a: done.append(2) or real(*a))
    resumed = bench(folder, "broken", "fresh").run()
    assert done == [1, 2]
    assert (resumed.folder / "checks.json").read_bytes() == (first.folder / "checks.json").read_bytes()


def test_suite_the_command_tells_failed_checks_and_exits_1(folder, first, monkeypatch):
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(cli, ["bench", "checked.toml", "--out", "told", "--cache", "cache"])
    assert done.exit_code == 1
    told = [line for line in done.output.splitlines() if line.startswith("unreliable: ")]
    assert told
    assert all("toy / defense cut: " in line for line in told)
    assert "sanity checks: 1 oblivious-only, 1 unreliable, 2 verified" in done.output


# -- a budget of passes -----------------------------------------------------------------------------------

BROKEN = '''
"""Two defenses that only confuse attackers: a gradient that is cut, and a stand-in of something else."""
from magdr_core.api import DefenseSpec, hookimpl, stateless
from magdr_core.functional import gaussian_blur, straight_through

MAGDR_API = 1


def cut(x, c, G):
    """Blurs a detached copy."""
    return gaussian_blur(x.detach(), 0.6)


def misleading(x, c, G):
    """Blurs, with the gradient of another function."""
    return straight_through(gaussian_blur(x.detach(), 0.6), 1 - x)


@hookimpl
def magdr_defenses():
    return [
        DefenseSpec(name="cut", build=stateless(cut), gradient="exact"),
        DefenseSpec(name="misleading", build=stateless(misleading), gradient="straight-through"),
    ]
'''
KNOWING = """
[defense.misleading]
use = "cut/misleading"

[profile.quick.adaptive]
attacks = ["pgd"]
defenses = ["median", "cut", "misleading"]
steps = 3
penalties = []
queries = 2
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    (folder / "toy.py").write_text(TOY, encoding="utf-8")
    (folder / "cut.py").write_text(BROKEN, encoding="utf-8")

    def run(passes):
        text = edited(RUN, ('use = "cut/blur"', 'use = "cut/cut"'))
        text = edited(text, ('"median", "cut"]', '"median", "cut", "misleading"]'))
        text = edited(text, ("draws = 1", f"draws = 1, passes = {passes}")) + KNOWING
        (folder / "r.toml").write_text(text, encoding="utf-8")
        toolkit = Toolkit.from_registry(folder / "r.toml")
        places = {"out": folder / f"run-{passes}", "cache": folder / "cache"}
        found = Bench(toolkit, "quick", **places, report=lambda text: None).run()
        return found, {r["component"]: r for r in found.checks if r["role"] == "defense"}

    return run


@pytest.mark.parametrize(
    "passes",
    [pytest.param(100, marks=pytest.mark.slow), 150, pytest.param(600, marks=pytest.mark.slow), 8000],
)
def test_broken_defenses_are_verified_at_no_budget(broken, passes):
    found, rows = broken(passes)
    assert not found.failures
    assert rows["cut"]["badge"] == ("incomplete" if passes < 8000 else "unreliable")
    assert rows["misleading"]["badge"] == "incomplete"
    assert rows["median"]["badge"] == ("incomplete" if passes < 8000 else "verified")


def test_a_budget_for_no_check_says_what_would_be_enough(broken):
    _, rows = broken(150)
    assert rows["cut"]["why"].startswith("10 of 12 checks were not done in full: budget: ")
    assert "raise `checks.passes` to at least " in rows["cut"]["why"]


# -- the profile's option ---------------------------------------------------------------------------------


def profile(tmp_path, text):
    return parse_registry(f"[profile.p]\n{text}", tmp_path / "r.toml").profile("p").checked


def test_profile_checks_can_be_switched(tmp_path):
    assert profile(tmp_path, "samples = 256") is None
    assert profile(tmp_path, "samples = 8\nchecks = true").steps == 10
    assert profile(tmp_path, "samples = 256\nchecks = false") is None
    assert profile(tmp_path, "samples = 8\nchecks = { steps = 25 }").steps == 25


# -- threat cards -----------------------------------------------------------------------------------------


def test_threat_cards_stand_with_every_attacked_cell(first):
    cells = json.loads((first.folder / "cells.json").read_text())
    cards = {(c["facts"]["attack"], c["facts"]["component"]): c["threat"] for c in cells}
    assert all((card is None) == (attack == "none") for (attack, _), card in cards.items())
    card = cards[("pgd", "cut")]
    assert card["norm"] == "linf"
    assert card["eps"] == pytest.approx(12 / 255)
    assert card["steps"] == 3
    assert card["step_size"] == pytest.approx(12 / 255 / 5)
    assert card["restarts"] == 1
    assert card["objective"] == "untargeted"
    assert card["knowledge"] == "oblivious"
    assert card["seed"] == 0
    assert cards[("pgd", "identity")]["knowledge"] == "none"


def test_threat_cards_count_passes(first):
    cells = json.loads((first.folder / "cells.json").read_text())
    card = next(c["threat"] for c in cells if c["facts"]["attack"] == "pgd")
    # The clean output, three steps forward and back, and a look at the last iterate.
    assert card["queries"] == {"forward": 5.0, "backward": 3.0}
