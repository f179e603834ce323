"""Badges, evidence and threat cards in the report of a hand-written run."""

import json

import pytest

from magdr_core.errors import MagdrError
from magdr_core.report import write_report
from tests.report.conftest import full
from tests.report.page import page_of

XSS = '<script>alert("x")</script>'


def check(name, verdict, said="seen", **evidence):
    return {"name": name, "verdict": verdict, "said": said, "evidence": evidence}


def row(role, component, badge, *checks):
    facts = {"task": "editing", "seed": 0, "role": role, "component": component}
    how = {"eps": 6 / 255, "steps": 10, "faces": 16}
    return {**facts, "badge": badge, "why": f"why {badge}", "how": how, "checks": list(checks), "key": "0"}


@pytest.fixture
def checked(fake):
    run = full(fake())
    card = {
        "norm": "linf", "eps": 6 / 255, "steps": 30, "step_size": 1.2 / 255, "restarts": 1,
        "queries": {"forward": 32.0, "backward": 30.0}, "objective": "untargeted", "knowledge": "oblivious",
        "knows": "the generator", "lacks": [], "seed": 0, "parameters": {},
    }  # fmt: skip
    for cell in run.cells:
        if cell["facts"]["attack"] == "pgd":
            cell["threat"] = {**card, "knowledge": cell["facts"]["knowledge"]}

    def write(rows):
        folder = run.write()
        settings = {"faces": 16, "steps": 10, "draws": 4, "passes": 8000}
        written = {"schema": 1, "settings": settings, "rows": rows}
        (folder / "checks.json").write_text(json.dumps(written))
        return run

    return write


ROWS = [
    row("attack", "pgd", "verified", check("eps-0", "pass")),
    row("planted", "planted", "verified", check("planted hashing", "pass")),
    row("detector", "magdr", "oblivious-only", check("gradient", "skipped")),
    row("defense", "jpeg", "unreliable", check("gradient", "fail", "cut", **{"zero share": 1.0})),
]


def test_checks_badges_stand_with_their_rows(checked):
    page = page_of(checked(ROWS))
    table = page.block("Restoration in full, editing: outputs", "pgd")
    heads = {r[0].split()[0]: r[0] for r in table}
    assert heads["jpeg"].endswith("unreliable")
    assert heads["identity"] == "identity undefended"
    detectors = [r[0] for r in page.block("Detection in full, editing", "pgd")]
    assert "magdr oblivious-only" in detectors
    assert ("a", "title", "why unreliable") in page.attributes


def test_checks_evidence_is_there_on_demand(checked):
    page = page_of(checked(ROWS))
    _, line = page.tables["Checks of jpeg defense, editing"]
    assert line[0] == "gradient"
    assert line[1] == ["fail", "cut", "zero share 1"]
    assert ("a", "href", "#check-3") in page.attributes
    assert ("caption", "id", "check-3") in page.attributes
    assert "eps 6/255, steps 10, faces 16" in " ".join(page.text.split())


def test_checks_threat_cards_are_told_once_per_attack(checked):
    text = " ".join(page_of(checked(ROWS)).text.split())
    assert text.count("pgd, 6/255, 30 steps, oblivious") == 1
    assert "forward 32, backward 30" in text
    assert "step size1.2/255" in text.replace("step size ", "step size")


def test_checks_a_threat_of_one_step_is_told_in_the_singular(checked):
    run = checked(ROWS)
    for cell in run.cells:
        if "threat" in cell:
            cell["threat"]["steps"] = 1
    assert "pgd, 6/255, 1 step, oblivious" in " ".join(page_of(run).text.split())


def test_checks_of_strange_components_are_escaped(checked):
    rows = [row("defense", "jpeg", "unreliable", check(XSS, "fail", XSS))]
    page = page_of(checked(rows))
    assert page.scripts == 1
    assert XSS in page.text


def test_checks_a_run_without_them_has_no_badges(fake):
    page = page_of(full(fake()))
    assert not [v for _, name, v in page.attributes if name == "class" and "badge" in v.split()]


def test_checks_a_damaged_file_is_one_clear_line(checked):
    run = checked(ROWS)
    (run.folder / "checks.json").write_text("[]")
    with pytest.raises(MagdrError, match=r"checks\.json: damaged"):
        write_report(run.folder)
