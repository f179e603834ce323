"""`[magdr]` has working defaults: a registry of ten lines runs, and whoever needs none gets none."""

from __future__ import annotations

from pathlib import Path

import pytest

from magdr_core.bench.evaluate import encoder_label
from magdr_core.bench.plan import ORACLE, plan
from magdr_core.bench.run import Bench
from magdr_core.calibration.calibrator import LONG
from magdr_core.calibration.partition import CalibrationPartition
from magdr_core.cli.init import TEXT as INIT
from magdr_core.components.specs import Need
from magdr_core.errors import RegistryError
from magdr_core.registry import packaged_registry, parse_registry
from magdr_core.registry.composition import DEFAULTS, composition, default_of
from tests.bench.conftest import SMALL
from tests.edits import edited

TEN = """[registry]
name = "ten"

[generator.editing]
use = "stargan"
params = { weights = "random", width = 8, blocks = 1 }

[calibration]
fit = 12
clean = 20
attacked = 4
"""

FILTERS = """
[generator.editing]
use = "stargan"
params = { weights = "random", width = 8, blocks = 1 }
[restoration.jpeg]
[profile.quick]
attacks = ["pgd"]
defenses = ["jpeg"]
"""


def defenses(toolkit):
    """Labels of the defenses' rows of profile quick."""
    (group,) = plan(toolkit, toolkit.registry.profile("quick").model_copy(update={"samples": 1}))
    return list(dict.fromkeys(c.component for c in group.cells if c.role == "defense"))


def test_a_ten_line_registry_runs_from_attack_to_table(toolkit_from, tmp_path):
    assert len([line for line in TEN.splitlines() if line]) <= 10
    toolkit = toolkit_from(TEN)
    result = Bench(
        toolkit, "quick", out=tmp_path / "run", cache=tmp_path / "cache", limit=1, report=lambda line: None
    ).run()
    assert result.failures == []
    values = {(row["role"], row["component"], row["metric"]) for row in result.rows}
    assert ("detector", "magdr", "auroc") in values
    for label in ("magdr", "fixed-chain", "identity"):
        assert {("defense", label, "mse_o"), ("defense", label, "featsim_o")} <= values, label
    assert ("defense", ORACLE, "mse_o") not in values, "it would take half of the time"


@pytest.mark.parametrize("kind", ["detector", "defense"])
def test_every_default_resolves_by_its_bare_name(toolkit_from, kind):
    toolkit = toolkit_from("")
    taken = dict(toolkit.resolve(kind, "magdr").defaults)
    assert taken == {n: d.labels for n, d in DEFAULTS.items() if n in taken}
    wanted = {"parser", "criteria", "augmentations"}
    assert set(taken) == (wanted if kind == "detector" else set(DEFAULTS))


@pytest.mark.parametrize("text", [SMALL, packaged_registry().read_text(encoding="utf-8")])
def test_a_registry_that_says_everything_takes_no_default(toolkit_from, text):
    toolkit = toolkit_from(text)
    for kind, label in toolkit.registry.instances:
        assert dict(toolkit.resolve(kind, label).defaults) == {}, label
    for profile in toolkit.registry.profiles.values():
        assert composition(toolkit, profile) == toolkit.registry.composition


def test_a_registry_without_magdr_gets_no_oracle_and_no_parser(toolkit_from):
    toolkit = toolkit_from(FILTERS)
    assert defenses(toolkit) == ["identity", "jpeg"]
    assert encoder_label(toolkit, toolkit.registry.profile("quick")) is None


def test_layers_of_a_table_s_own_bring_no_oracle(toolkit_from):
    text = edited(
        SMALL, ('layers = [["median"], ["jpeg"]]', ""), ('["magdr", "jpeg", "fixed-chain"]', '["magdr"]')
    )
    own = 'params = { detector = "magdr", layers = [["median"]] }'
    toolkit = toolkit_from(edited(text, ('params = { detector = "magdr" }', own)))
    assert defenses(toolkit) == ["identity", "magdr"]


def test_a_profile_can_do_without_the_oracle(toolkit_from):
    assert ORACLE in defenses(toolkit_from(SMALL))
    text = edited(SMALL, ("[profile.quick]", "[profile.quick]\noracle = false"))
    assert defenses(toolkit_from(text)) == ["identity", "magdr", "jpeg", "fixed-chain"]


def test_the_packaged_quick_profile_does_without_the_oracle_and_the_full_one_has_it(toolkit_from):
    profiles = toolkit_from(packaged_registry().read_text(encoding="utf-8")).registry.profiles
    assert (profiles["quick"].oracle, profiles["full"].oracle) == (False, True)


def test_a_composition_without_layers_takes_the_default_ones(toolkit_from):
    toolkit = toolkit_from(edited(SMALL, ('layers = [["median"], ["jpeg"]]', "")))
    resolved = toolkit.resolve("defense", "magdr")
    assert resolved.needs["layers"] == DEFAULTS["layers"].labels
    assert dict(resolved.defaults) == {"layers": DEFAULTS["layers"].labels}
    assert ORACLE in defenses(toolkit)


def test_a_declared_parser_comes_before_the_default_one(toolkit_from):
    toolkit = toolkit_from('[parser.nothing]\nuse = "whole"')
    resolved = toolkit.resolve("detector", "magdr")
    assert resolved.needs["parser"] == "nothing"
    assert "parser" not in resolved.defaults


def test_a_default_fills_needs_of_its_own_kind_alone():
    assert default_of("layers", Need("restoration", depth=2, family=True)) is not None
    assert default_of("layers", Need("metric", depth=1)) is None
    assert default_of("metrics", Need("metric", depth=1)) is None


def test_a_registry_without_profiles_has_the_quick_one(toolkit_from):
    registry = toolkit_from(TEN).registry
    assert registry.profile("quick").detectors == ("magdr",)
    with pytest.raises(RegistryError, match="no profile 'full'"):
        registry.profile("full")
    with pytest.raises(RegistryError, match="no profile 'quick'"):
        toolkit_from(f"{TEN}\n[profile.full]").registry.profile("quick")


def test_a_long_calibration_says_before_it_starts_how_many_faces_it_takes_and_how_to_take_fewer(
    fresh_shop, monkeypatch
):
    said = fresh_shop.messages
    of = 40 + 40 + 2 * 6  # fit, clean, attacked and as many held out

    def run(out):
        del said[:]
        steps = {"progress": lambda what, done, total: said.append(what)}
        assert fresh_shop.run(SMALL, out=out, limit=1, **steps).failures == []
        return [line for line in said if "calibrating" in line]

    monkeypatch.setattr("magdr_core.calibration.calibrator.LONG", of)
    assert run("long") == [
        f"editing: calibrating on {of} faces ([calibration] fit = 40, clean = 40, attacked = 6 twice), which "
        "is long without a GPU; smaller numbers there are quicker and make rougher thresholds"
    ], "once, for a detector, another one and a defense"
    first = next(i for i, line in enumerate(said) if "calibration faces" in line or "fitting" in line)
    assert "calibrating" in said[first - 1]
    assert run("kept") == [], "nothing is calibrated"
    monkeypatch.setattr("magdr_core.calibration.calibrator.LONG", of + 1)
    for file in (fresh_shop.folder / "cache" / "calibrations").glob("*/*"):
        file.unlink()
    assert run("short") == []


def test_the_calibration_of_a_registry_that_says_nothing_of_it_is_a_long_one(toolkit_from):
    policy = toolkit_from("").registry.calibration
    assert sum(CalibrationPartition.of(policy).counts) > 2 * LONG
    policy = parse_registry(INIT, Path("registry.toml")).calibration
    assert sum(CalibrationPartition.of(policy).counts) < LONG
