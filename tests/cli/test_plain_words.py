"""What people are told of a verdict: a sentence each, without the method's own words."""

import re

import pytest
from PIL import Image

from magdr_core.cli.plain_words import explained, how_sure, what_to_do, why
from magdr_core.magdr.verdict import Verdict, verdict_words
from magdr_core.toolkit import Toolkit

HEAD = {"command": "defend", "false_alarms": 0.02, "synthetic": False}


def facts(score, *, covered=True, gate=1.0, plan=(), **evidence):
    """A face with a threshold of 2."""
    verdict = Verdict(score > 2, score, 2.0, not covered, len(plan), plan, {}, {}, gate)
    return {
        "verdict": verdict.word,
        "flagged": verdict.disrupted,
        "score": score,
        "threshold": 2.0,
        "unsure_above": gate,
        "covered_by_calibration": covered,
        "plan": list(plan),
        **evidence,
    }


@pytest.mark.parametrize(
    ("score", "covered", "gate", "word"),
    [
        (2.1, True, 1.0, "disrupted"),
        (2.0, True, 1.0, "cannot tell"),
        (1.0, True, 1.0, "not disrupted"),
        (2.0, True, 2.0, "not disrupted"),
        (2.0, True, None, "not disrupted"),
        (2.0, True, 5.0, "not disrupted"),
        (9.0, False, 1.0, "cannot tell"),
        (0.0, False, 1.0, "cannot tell"),
    ],
)
def test_there_are_three_verdicts(score, covered, gate, word):
    assert Verdict(score > 2, score, 2.0, not covered, 0, (), {}, {}, gate).word == word


def test_the_worst_verdict_is_the_one_that_needs_something_done():
    def one(score, guess=False):
        return Verdict(score > 2, score, 2.0, guess, 0, (), {}, {}, 1.0)

    ranked = [one(0.5), one(1.5), one(1.6), one(9.0, guess=True), one(2.5), one(3.0)]
    mixed = [ranked[i] for i in (3, 0, 5, 2, 4, 1)]
    assert sorted(mixed, key=lambda v: v.standing) == ranked


def test_one_line_says_what_a_guess_would_be():
    assert verdict_words(3.0, 2.0) == "disrupted (score 3.00, threshold 2.00)"
    assert verdict_words(1.0, 2.0, where=" nowhere").startswith("not disrupted nowhere")
    assert verdict_words(1.5, 2.0, unsure_above=1.0) == "cannot tell (score 1.50, threshold 2.00)"
    assert verdict_words(3.0, 2.0, guess=True) == (
        "cannot tell: looks disrupted, but that is a guess (score 3.00, threshold 2.00)"
    )


EVIDENCE = {"regions": {"skin": 1.0, "mouth": 4.0}, "processings": {"flip": 3.0, "twin-editing": -1.0}}


def test_why_names_the_strongest_evidence():
    assert why(facts(3.0, **EVIDENCE)) == (
        "the generator changes the mouth, which the edit does not concern, more than with clean faces"
    )
    assert "changes parts of the picture that" in why(facts(3.0, regions={"mouth": 1.0, "hat": 2.0}))
    assert "when the picture is mirrored" in why(facts(3.0, processings={"flip": 3.0, "jpeg": 1.0}))
    assert "a second generator" in why(facts(3.0, processings={"flip": 3.0, "twin-editing": 5.0}))
    assert "somewhat more" in why(facts(1.5, **EVIDENCE))
    assert "as on clean faces" in why(facts(0.5, **EVIDENCE))
    assert why(facts(3.0)) == "the generator behaves on it otherwise than on clean faces"


def test_how_sure_is_by_the_calibrated_figures():
    assert "only about 1 in 50 clean faces score above 2.00" in how_sure(facts(3.0), HEAD)
    assert "it scores 0.50, and more than 2.00 counts as disrupted" in how_sure(facts(0.5), HEAD)
    between = how_sure(facts(1.5), HEAD)
    assert between.startswith("not sure: it scores 1.50")
    assert "above 1.00, which best parts attacked faces" in between
    guess = facts(3.0, covered=False)
    assert how_sure(guess, HEAD).startswith("a guess: ")
    assert "drawn faces, not on photographs" in how_sure(guess, {**HEAD, "synthetic": True})
    assert "drawn" not in how_sure(guess, HEAD)


def test_what_to_do_fits_what_was_done():
    assert what_to_do(facts(3.0, plan=("jpeg",)), "defend") == "use the restored one instead"
    assert "look for another copy" in what_to_do(facts(3.0), "defend")
    assert what_to_do(facts(3.0), "detect") == "restore it with magdr defend"
    assert what_to_do(facts(0.5), "defend") == "use it as it is"
    assert "by eye" in what_to_do(facts(1.5, plan=("jpeg",)), "defend")
    assert "magdr calibrate --data FOLDER" in what_to_do(facts(3.0, covered=False), "detect")
    assert "compare by eye" not in what_to_do(facts(0.5, covered=False), "defend")


@pytest.mark.parametrize("score", [0.5, 1.5, 3.0])
@pytest.mark.parametrize("covered", [True, False])
@pytest.mark.parametrize("plan", [(), ("jpeg",)])
def test_each_is_one_sentence_in_plain_words(score, covered, plan):
    told = explained(facts(score, covered=covered, plan=plan, **EVIDENCE), HEAD)
    assert set(told) == {"how_sure", "why", "what_to_do"}
    for sentence in told.values():
        assert not re.search(r"[.!?]\s|spread|processing|region|sigma|z-score", sentence)
    if score < 1 and not plan:
        assert "restored" not in told["what_to_do"]


@pytest.mark.parametrize(
    "options", [["--task", "replacement"], ["--task", "reenactment", "--set", "AU12=0.8"]]
)
def test_a_generator_of_drawn_faces_says_so_before_anything_is_computed(tmp_path, monkeypatch, options):
    class Stopped(Exception):
        pass

    def computing(self, label, *, progress, **others):
        progress("fitting", 0, 1)
        raise Stopped

    monkeypatch.setattr(Toolkit, "magdr", computing)
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    said = []
    monkeypatch.setattr("magdr_core.cli.common.ProgressDisplay.say", lambda self, line: said.append(line))
    monkeypatch.setattr(
        "magdr_core.cli.common.ProgressDisplay.step", lambda self, *told: said.append("computing")
    )
    drawn = ("--registry", "builtin:faces64")
    with pytest.raises(Stopped):
        _main("defend", "a.png", "--whole", *drawn, *options, monkeypatch=monkeypatch, place=tmp_path)
    assert f"the generator of {options[1]} knows drawn faces only" in said[0]
    assert said.index("computing") > 0


def _main(*arguments, monkeypatch, place):
    """The command itself: an exception that is no user's fault comes through."""
    from magdr_core.cli.defend import command

    monkeypatch.chdir(place)
    command.main([*arguments[1:]], standalone_mode=False)
