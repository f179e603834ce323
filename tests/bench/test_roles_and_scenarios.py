"""Roles and scenarios of somebody else, run by a benchmark that has never heard of them."""

from typing import Literal

import pytest
import torch
from pydantic import BaseModel, ConfigDict

from magdr_core.bench import registered
from magdr_core.bench.group import GroupRun
from magdr_core.bench.images import Workplace
from magdr_core.bench.plan import plan
from magdr_core.components.role import Role, role_of
from magdr_core.components.scenario import Scenario
from magdr_core.components.slice import Measured, Slice
from magdr_core.errors import BrokenPluginError, RegistryError


class Filtering(Role):
    """How bright a restoration leaves its images."""

    name = "filter"
    plural = "filters"
    kind = "restoration"

    def measure(self, run, cell, seen, component, rng):
        made = component(seen.images)
        return Measured({"brightness": made.flatten(1).mean(1).tolist()}, {}, {"made": made[:1]})

    def kept(self, run, cell, stored):
        return {"made": 1}


class Dimming(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    share: float
    where: Literal["everywhere", "left"] = "everywhere"


class Dimmed(Scenario):
    """The clean images, darker."""

    name = "dimmed"
    key = "dim"
    settings = Dimming

    def slices(self, plan, earlier):
        for settings in self.configured(plan.profile) or ():
            yield Slice(f"dim@{settings.share:g}", self.name, settings=settings)

    def images_key(self, images, part):
        return {**super().images_key(images, part), "dim": part.settings.model_dump()}

    def make(self, images, part, clean):
        dimmed = clean.images.clone()
        width = dimmed.shape[-1] // (2 if part.settings.where == "left" else 1)
        dimmed[..., :width] *= part.settings.share
        return {part: dimmed}


@pytest.fixture
def bench(shop, monkeypatch):
    """The small benchmark, where a plugin has brought a role and a scenario."""
    found = shop.bench(out="others")
    roles, scenarios = registered.roles(found.toolkit), registered.scenarios(found.toolkit)
    monkeypatch.setattr(registered, "roles", lambda toolkit: {**roles, "filter": Filtering()})
    monkeypatch.setattr(registered, "scenarios", lambda toolkit: {**scenarios, "dimmed": Dimmed()})
    return found


def profile(bench, **extra):
    return bench.profile.model_copy(update={"extra": extra})


def run_of(bench, told):
    work = Workplace(bench.toolkit, told, bench.store, {}, bench.progress, bench.report)
    (group,) = plan(bench.toolkit, told, "quick")
    return GroupRun(work, group)


def test_a_role_has_a_cell_on_the_images_of_every_main_scenario(bench):
    run = run_of(bench, profile(bench, filters=["jpeg"]))
    places = [c.slice.name for c in run.group.cells if c.role == "filter"]
    assert places == ["none", "pgd", "noise"]
    others = [c for c in run.group.cells if c.role != "filter"]
    assert [str(c) for c in others] == [str(c) for c in bench.groups[0].cells]


def test_built_in_roles_have_cells_on_the_images_of_another_scenario(bench):
    run = run_of(bench, profile(bench, dim=[{"share": 0.5}, {"share": 0.5, "where": "left"}][:1]))
    cells = [c for c in run.group.cells if c.slice.scenario == "dimmed"]
    assert {c.role for c in cells} == {"detector", "defense"}
    (identity,) = (c for c in cells if c.component == "identity")
    data = run.cell(identity)
    assert not data.failed
    assert data.facts.slice_role == "dimmed"
    clean, images = run.images.clean(False).images, run.images.of(identity.slice)
    assert torch.equal(images, clean * 0.5)


def test_a_cell_of_another_role_is_computed_once_and_found_again_with_its_pictures(bench):
    told = profile(bench, filters=["jpeg"], dim={"share": 0.25})
    run = run_of(bench, told.model_copy(update={"extra": {**told.extra, "dim": [told.extra["dim"]]}}))
    (cell,) = (c for c in run.group.cells if (c.role, c.slice.scenario) == ("filter", "dimmed"))
    first = run.cell(cell)
    expected = run.toolkit.build("restoration", "jpeg")(run.images.of(cell.slice)).flatten(1).mean(1)
    assert first.values["brightness"] == expected.tolist()
    assert len(bench.store.images(f"{first.key}-made")) == 1
    again = run_of(bench, run.profile).cell(cell)
    assert again.reused
    assert again.values == first.values


def test_other_settings_of_a_scenario_are_other_images(bench):
    keys = set()
    for where in ("everywhere", "left"):
        run = run_of(bench, profile(bench, filters=["jpeg"], dim=[{"share": 0.5, "where": where}]))
        (cell,) = (c for c in run.group.cells if (c.role, c.slice.scenario) == ("filter", "dimmed"))
        run.component(cell)
        keys.add(run.key(cell))
    assert len(keys) == 2


class Answers(Filtering):
    """Gives what it was told to."""

    def __init__(self, answer):
        self.answer = answer

    def measure(self, run, cell, seen, component, rng):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "role 'filter': measured a NoneType, expected Measured"),
        (
            Measured({"v": [1.0]}),
            "role 'filter': values of 'v': 1 of them, expected a list of 5, one for each",
        ),
        (Measured({"v": ["a"] * 5}), "role 'filter': values of 'v': not all are finite numbers"),
        (Measured({"v": [float("nan")] * 5}), "role 'filter': values of 'v': not all are finite numbers"),
        (Measured({"v": "12345"}), "role 'filter': values of 'v': str, expected a list of 5, one for each"),
    ],
)
def test_what_a_role_measures_wrongly_is_its_own_cells_fault(bench, monkeypatch, answer, said):
    roles = registered.roles(bench.toolkit)
    monkeypatch.setattr(registered, "roles", lambda toolkit: {**roles, "filter": Answers(answer)})
    run = run_of(bench, profile(bench, filters=["jpeg"]))
    cell = next(c for c in run.group.cells if c.role == "filter")
    found = run.cell(cell)
    assert found.error.startswith(said)
    assert bench.store.json("cells", run.key(cell)) is None


@pytest.mark.parametrize("method", ["check", "check_task", "slices", "rows"])
def test_a_scenario_that_fails_while_cells_are_planned_is_named(bench, monkeypatch, method):
    class Fails(Dimmed):
        pass

    def fails(self, *given):
        raise ZeroDivisionError("nobody knows")

    setattr(Fails, method, fails)
    scenarios = registered.scenarios(bench.toolkit)
    monkeypatch.setattr(registered, "scenarios", lambda toolkit: {**scenarios, "dimmed": Fails()})
    with pytest.raises(BrokenPluginError, match=r"'dimmed' fails while cells are planned: .*nobody"):
        plan(bench.toolkit, profile(bench, dim=[{"share": 0.5}]), "quick")


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"filtres": ["jpeg"]}, "small.toml [profile.quick]: unknown key 'filtres'; did you mean 'filters'?"),
        ({"filters": "jpeg"}, "small.toml [profile.quick]: filters: must be a list of labels"),
        ({"filters": ["jpeg", "jpeg"]}, "small.toml [profile.quick]: filters: 'jpeg' is listed twice"),
        ({"filters": ["jpge"]}, "jpge"),
        ({"dim": 3}, "small.toml [profile.quick]: dim: must be a table"),
        (
            {"dim": {"share": "much"}},
            "small.toml [profile.quick]: dim: key 'share' of this table: expected a number",
        ),
        (
            {"dim": [{"share": 0.5, "were": 1}]},
            "[profile.quick]: dim: this table has no key 'were'; did you mean 'where'?",
        ),
    ],
)
def test_a_profile_that_says_something_else_is_refused_in_one_line(bench, extra, said):
    with pytest.raises(RegistryError) as e:
        plan(bench.toolkit, profile(bench, **extra), "quick")
    assert said in str(e.value)
    assert "\n" not in str(e.value)


def test_the_best_candidate_stands_among_defenses_and_is_no_defense(bench):
    roles = registered.roles(bench.toolkit)
    assert role_of(roles, "defense", "oracle") is roles["oracle"]
    assert role_of(roles, "defense", "magdr") is roles["defense"]
    assert role_of(roles, "detector", "oracle") is roles["detector"]


def test_keys_of_plugins_stand_in_a_manifest_as_in_the_file(bench):
    told = profile(bench, filters=["jpeg"]).model_dump()
    assert told["filters"] == ["jpeg"]
    assert "extra" not in told
    assert "extra" not in bench.profile.model_dump()
