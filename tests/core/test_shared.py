"""Whose fault a change of what all share is: of who works with it, and not of who is built meanwhile."""

from __future__ import annotations

import pytest
import torch

from magdr_core.errors import ComponentError
from magdr_core.isolation.shared import Shared

HYPOT = torch.hypot


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.setattr(torch, "hypot", HYPOT)  # put back whatever happens
    return Shared()


def replace_it(made=None):
    torch.hypot = abs
    return made


def test_what_building_replaces_is_put_back_and_no_fault(shared):
    with shared.used_by("detector a"):
        assert shared.while_built(lambda: replace_it("built")) == "built"
        assert torch.hypot is HYPOT


def test_what_was_replaced_before_something_is_built_is_the_fault_of_who_is_at_work(shared):
    def builds_beside_a_change():
        with shared.used_by("detector a"):
            replace_it()
            shared.while_built(lambda: pytest.fail("nothing is built beside a change"))

    with pytest.raises(ComponentError, match=r"detector a: changes .*\(functions of torch\)"):
        builds_beside_a_change()
    assert torch.hypot is HYPOT


def test_what_was_replaced_while_nobody_worked_is_nobodys_fault(shared):
    replace_it()
    assert shared.while_built(lambda: torch.hypot) is HYPOT
    with shared.used_by("detector a"):
        pass


def test_what_is_built_for_something_that_is_built_is_no_fault_either(shared):
    def outer():
        replace_it()
        return shared.while_built(lambda: torch.hypot)

    with shared.used_by("detector a"):
        assert shared.while_built(outer) is HYPOT


def test_who_changes_something_until_the_end_is_told(shared):
    with pytest.raises(ComponentError, match="detector a: changes"), shared.used_by("detector a"):
        replace_it()


def test_a_build_that_fails_leaves_nothing_replaced(shared):
    def fails():
        replace_it()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        shared.while_built(fails)
    assert torch.hypot is HYPOT
