"""Whose rows are ours: what a profile calls so is no baseline, whatever it is."""

from __future__ import annotations

import pytest

from magdr_core.bench.plan import plan
from magdr_core.errors import RegistryError
from magdr_core.registry.read import default_registry, read_registry
from magdr_core.registry.settings import Profile
from magdr_core.runtime.choosing import is_ours
from magdr_core.toolkit import Toolkit


@pytest.fixture(scope="module")
def toolkit() -> Toolkit:
    return Toolkit(read_registry(default_registry()), device="cpu")


def test_magdr_is_ours_where_a_profile_does_not_say(toolkit):
    ours = Profile().ours
    found = {
        label: is_ours(toolkit, "defense", label, ours) for label in ("magdr", "identity", "fixed-chain")
    }
    assert found == {"magdr": True, "identity": False, "fixed-chain": False}


def test_what_a_profile_calls_ours_is_told_by_the_component_and_not_by_the_label(toolkit):
    other = toolkit.extended('[defense.better]\nuse = "fixed-chain"\n')
    assert is_ours(other, "defense", "better", ("fixed-chain",))
    assert not is_ours(other, "defense", "magdr", ("fixed-chain",))
    assert not is_ours(other, "defense", "better", ("better",))


def test_a_slip_in_ours_is_found_before_anything_runs(toolkit):
    profile = toolkit.registry.profile("quick").model_copy(update={"ours": ("magd",)})
    with pytest.raises(RegistryError, match=r"\[profile.quick\]: ours: no table uses 'magd'; did you mean"):
        plan(toolkit, profile, "quick")
