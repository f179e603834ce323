"""`magdr plugins list` and `show`: some of the components, by names and kinds with wildcards."""

from __future__ import annotations

import pytest

from magdr_core.cli.plugins import beside


@pytest.fixture
def names(magdr):
    """`names("list", "fixed*")`: (kind, name) of what it lists."""

    def run(*arguments):
        done = magdr("plugins", *arguments, "--json")
        assert done.code == 0, done.err
        return [(e["kind"], e["name"]) for e in done.document]

    return run


def test_list_takes_wildcards_for_names(names):
    assert names("list", "fixed*") == [("defense", "fixed-chain")]
    both = names("list", "fixed*", "l?")
    assert ("defense", "fixed-chain") in both
    assert {("metric", "l1"), ("metric", "l2")} <= set(both)
    assert len(both) == 3


def test_list_takes_wildcards_for_kinds(names):
    kinds = [kind for kind, _ in names("list", "--kind", "de*")]
    assert list(dict.fromkeys(kinds)) == ["detector", "defense"]
    assert {kind for kind, _ in names("list", "--kind", "parser", "--kind", "att*")} == {"parser", "attack"}
    assert names("list", "magdr", "--kind", "de*") == [("detector", "magdr"), ("defense", "magdr")]


def test_show_takes_wildcards(names):
    assert {kind for kind, _ in names("show", "magne*")} == {"detector", "defense"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "fixd-chain"), "no component named 'fixd-chain'; did you mean 'fixed-chain'?"),
        (("list", "xyz*"), "no component named 'xyz*'"),
        (("list", "--kind", "defence"), "no kind 'defence'; did you mean 'defense'?"),
        (("list", "pgd", "--kind", "defense"), "no component named 'pgd'"),
    ],
)
def test_what_no_component_is_called_is_told(magdr, arguments, words):
    done = magdr("plugins", *arguments)
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1


def test_list_shows_the_first_sentence_whole_where_it_names_an_equation(magdr):
    (line,) = (text for text in magdr("plugins", "list", "eq3").out.splitlines() if " eq3 " in text)
    assert line.endswith("before or behind the generator (Eq. 3)")


def test_every_built_in_summary_is_a_whole_sentence(magdr):
    summaries = {e["name"]: e["summary"] for e in magdr("plugins", "list", "--json").document}
    assert {name: text for name, text in summaries.items() if not text.endswith(".")} == {}


HEAD = "  total-variation  builtin  "
TEXT = "Total variation, after Chambolle, with a strength for each channel"


@pytest.mark.parametrize("width", [48, 60, 70, 100])
def test_what_a_component_is_stands_whole_in_a_terminal_of_any_width(width):
    lines = beside(HEAD, TEXT, width)
    assert max(map(len, lines)) <= width
    assert " ".join("".join(f"{line} " for line in lines).split()) == " ".join(f"{HEAD}{TEXT}".split())
    assert (lines[0] == HEAD.rstrip()) == (width < 67)


def test_for_a_program_a_component_is_one_line():
    assert beside(HEAD, TEXT, None) == [f"{HEAD}{TEXT}"]


def test_a_name_and_a_plugin_that_are_too_wide_for_the_terminal_are_not_cut_by_it():
    head = f"  {'super-resolution':<21}  {'builtin.restorations.super_resolution':<39}  "
    first, *rest = beside(head, TEXT, 60)
    assert first == "  super-resolution  builtin.restorations.super_resolution"
    assert max(map(len, rest)) <= 60
    assert max(map(len, beside(head, TEXT, 40))) <= 40


def test_show_breaks_what_it_tells_to_the_terminal(magdr, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = magdr("plugins", "show", "jpeg").out.splitlines()
    told = [line for line in lines if "file:" not in line and "plugin:" not in line]
    assert max(map(len, told)) <= 60
    assert "Dziugaite et al., arXiv 1608.00853" in " ".join(line.strip() for line in told)
