"""Attackers that lack a generator or a condition, and detectors against a growing number of steps."""

from __future__ import annotations

import csv
import io
import shutil

import pytest
import torch
from sklearn.metrics import f1_score

from magdr_core.bench.group import GroupRun
from magdr_core.bench.images import Workplace
from magdr_core.bench.scenarios.transfer import other_conditions
from magdr_core.cli.calibrate import _tasks
from magdr_core.cli.media_commands import chosen_task
from magdr_core.cli.result_view import print_tables
from magdr_core.cli.terminal import Terminal
from magdr_core.errors import DataError, MagdrError
from magdr_core.runtime.samples import attack_samples
from tests.bench.conftest import DEFENSES, SMALL
from tests.edits import edited

TABLES = """
[generator.other]
use = "stargan"
params = { weights = "random", width = 4, blocks = 1, size = 32 }

[attack.eq3]
params = { augmentations = ["flip"], eps = "6/255", steps = 2 }
"""
SETTINGS = """attacks = ["pgd"]
transfer = [
    { attack = "pgd", surrogate = "other" },
    { attack = "pgd", condition = "unknown" },
    { attack = "pgd", surrogate = "other", condition = "unknown" },
]
sweep = { attacks = ["eq3", "pgd"], steps = [4, 1, 2] }"""
NAMES = ["pgd@other", "pgd@unknown-condition", "pgd@other+unknown-condition"]

TEXT = edited(SMALL, ('attacks = ["pgd", "noise"]', SETTINGS), (DEFENSES, 'defenses = ["jpeg"]'))
TEXT = edited(TEXT, ('detectors = ["magdr", "distortion"]', 'detectors = ["distortion"]')) + TABLES


@pytest.fixture(scope="module")
def settled(shop, tmp_path_factory):
    """A shop whose run has every setting; calibrations are those of the small benchmark."""
    own = type(shop)(tmp_path_factory.mktemp("settings"))
    shutil.copytree(shop.folder / "cache", own.folder / "cache")
    own.first = own.run(TEXT)
    return own


def rows_of(run):
    with (run.folder / "results.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def opened(shop):
    """The run's group with its images; it computes nothing by itself."""
    bench = shop.bench(TEXT)
    environment = {"magdr": "tests"}
    work = Workplace(bench.toolkit, bench.profile, bench.store, environment, bench.progress, bench.report)
    return GroupRun(work, bench.groups[0])


def images(run, name, scenario="attack", steps=2):
    (part,) = (s for s in run.group.slices if (s.name, s.scenario, s.steps) == (name, scenario, steps))
    return run.images.of(part)


def test_the_surrogate_is_no_task(settled):
    assert {r["task"] for r in rows_of(settled.first)} == {"editing"}
    assert not settled.first.failures


def test_transferred_rows_say_so_and_undefended_ones_stay_the_reference(settled):
    rows = rows_of(settled.first)
    for name in NAMES:
        knowledge = {(r["role"], r["component"]): r["knowledge"] for r in rows if r["attack"] == name}
        assert knowledge == {
            ("attack", name): "none",
            ("defense", "identity"): "none",
            ("defense", "oracle"): "transfer",
            ("defense", "jpeg"): "transfer",
            ("detector", "distortion"): "transfer",
        }
    assert {r["knowledge"] for r in rows if r["attack"] == "pgd" and r["role"] == "detector"} == {"oblivious"}


def test_transferred_images_are_made_on_the_surrogate_for_the_attackers_condition(settled):
    run = opened(settled)
    clean, kit = run.images.clean(False), run.toolkit
    attack, other = kit.build("attack", "pgd"), kit.generator("other")
    on_other = attack_samples(clean, attack, other, name="pgd", seed=0)
    assert torch.equal(images(run, NAMES[0], "transfer"), on_other)
    assert not torch.equal(images(run, "pgd"), on_other)
    drawn = other_conditions(run.images, clean)
    assert (drawn.conditions.values != clean.conditions.values).any(1).all()
    assert drawn.conditions.changed.any(1).all()
    assert torch.equal(drawn.images, clean.images)
    assert torch.equal(
        images(run, NAMES[1], "transfer"), attack_samples(drawn, attack, run.G, name="pgd", seed=0)
    )
    assert torch.equal(
        images(run, NAMES[2], "transfer"), attack_samples(drawn, attack, other, name="pgd", seed=0)
    )


def test_the_sweep_has_a_point_per_number_of_steps_on_the_same_images(settled):
    rows = [r for r in rows_of(settled.first) if r["variant"].endswith(("sweep 1", "sweep 2", "sweep 4"))]
    assert {(r["attack"], r["steps"]) for r in rows} == {(a, n) for a in ("eq3", "pgd") for n in "124"}
    f1 = {r["variant"] for r in rows if r["metric"] == "f1"}
    assert f1 == {f"{point}, sweep {n}" for point in ("fpr1", "best-f1") for n in (1, 2, 4)}
    assert {r["metric"] for r in rows if r["role"] == "attack"} == {
        *("mse_o", "median_mse_o", "mse_o_target", "median_mse_o_target", "success", "psnr_i"),
        *("mse_o_changed", "median_mse_o_changed", "success_target", "success_changed"),
    }
    assert {r["component"] for r in rows if r["role"] == "detector"} == {"distortion"}
    assert not [r for r in rows if r["role"] == "defense"]
    cells = [c for c in settled.first.cells if c.facts.slice_role == "sweep"]
    assert len({tuple(c.ids) for c in cells}) == 1
    noise = [r for r in rows if r["metric"] == "auroc_noise"]
    assert len(noise) == 6


def test_sweep_points_are_checkpoints_of_one_run(settled):
    run = opened(settled)
    # Two steps of the sweep are the attack itself, which has two steps and the same random start.
    assert torch.equal(images(run, "pgd", "sweep"), images(run, "pgd"))
    assert not torch.equal(images(run, "pgd", "sweep", 4), images(run, "pgd"))
    bench = settled.bench(
        edited(TEXT, ("steps = [4, 1, 2]", "steps = [3, 4, 8]")), name="more.toml", out="more"
    )
    attack = bench.toolkit.build("attack", "pgd")
    calls = []
    original = type(attack).checkpoints

    def counted(self, x, objective, steps, **options):
        calls.append(list(steps))
        return original(self, x, objective, steps, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(attack), "checkpoints", counted)
        bench.run()
    assert calls == [[3, 4, 8]] * 2, "one run for all points of each of two attacks"


def test_settings_are_resumed_like_anything_else(settled):
    again = settled.run(TEXT)
    assert again.computed == 0
    assert rows_of(again) == rows_of(settled.first)


def test_shards_and_the_limit_hold_for_settings(settled):
    parts = [settled.bench(TEXT, shard=(i, 2)) for i in (1, 2)]
    whole = settled.bench(TEXT)
    assert sum(p.total for p in parts) == whole.total
    assert {c for p in parts for g in p.groups for c in g.cells} == {c for g in whole.groups for c in g.cells}
    run = settled.run(TEXT, out="limited", limit=2)
    assert {r["n"] for r in rows_of(run)} == {"2"}
    assert not run.failures


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('surrogate = "other" }', 'surrogate = "othr" }', "no generator named 'othr'; did you mean 'other'?"),
        ('{ attack = "pgd", surrogate = "other" }', '{ attack = "pgd" }', "say surrogate = "),
        ('condition = "unknown" }', 'condition = "lost" }', "'transfer.1.condition'"),
        ('surrogate = "other" }', 'surogate = "other" }', "'transfer.0.surogate'"),
        ('"eq3", "pgd"]', '"noise"]', "sweep: attack 'noise' has no checkpoints"),
        ("[4, 1, 2]", "[]", "'sweep.steps'"),
        ("[4, 1, 2]", "[0]", "'sweep.steps.0'"),
        (
            "width = 4, blocks = 1, size = 32 }",
            'width = 4, attributes = ["Smiling"] }',
            "the surrogate 'other' takes the conditions Smiling, editing takes Black_Hair, ",
        ),
    ],
)
def test_wrong_settings_are_refused_before_a_run(fresh_shop, old, new, message):
    assert old in TEXT
    with pytest.raises(MagdrError) as e:
        fresh_shop.bench(edited(TEXT, (old, new)))
    assert message in str(e.value)


def test_a_task_without_conditions_has_none_to_be_unknown(fresh_shop):
    text = edited(TEXT, ('use = "stargan"', 'use = "cyclegan"'))
    with pytest.raises(MagdrError, match="editing has no condition that could be unknown"):
        fresh_shop.bench(text)


SEVERAL = edited(
    TEXT,
    (
        "[generator.other]",
        """[generator.replacement]
use = "cyclegan"
params = { weights = "random", width = 8, blocks = 1, size = 32 }

[generator.other]""",
    ),
    ('surrogate = "other"', 'surrogate = "other", generators = ["editing"]'),
    ('{ attack = "pgd", condition', '{ attack = "pgd", generators = ["editing"], condition'),
    ("steps = [4, 1, 2]", 'steps = [4, 1, 2], generators = ["replacement"], samples = 3'),
)


def test_transfers_and_sweeps_are_of_the_tasks_that_they_name(fresh_shop):
    groups = {g.task: g for g in fresh_shop.bench(SEVERAL).groups}
    assert list(groups) == ["editing", "replacement"]
    attacks = {
        task: [s.name for s in g.slices if s.scenario in ("attack", "transfer")] for task, g in groups.items()
    }
    assert attacks == {"editing": ["pgd", *NAMES], "replacement": ["pgd"]}
    sweeps = {task: {s.name for s in g.slices if s.scenario == "sweep"} for task, g in groups.items()}
    assert sweeps == {"editing": set(), "replacement": {"eq3", "pgd"}}
    assert {c.slice.name for c in groups["replacement"].cells if c.role == "attack"} == {"pgd", "eq3"}


def test_a_surrogate_is_no_task_for_any_command(fresh_shop):
    kit = fresh_shop.bench(SEVERAL).toolkit
    profile = kit.registry.profile("quick")
    assert _tasks(kit, profile, None) == ["editing", "replacement"]
    assert _tasks(kit, profile.model_copy(update={"transfer": ()}), None) == ["editing", "replacement"]
    assert _tasks(kit, profile, "other") == ["other"], "unless it is asked for"
    with pytest.raises(DataError, match=r"2 generators; choose with --task: editing, replacement$"):
        chosen_task(kit, None)
    assert chosen_task(kit, None, ["Smiling"]) == "editing"
    assert chosen_task(fresh_shop.bench(TEXT).toolkit, None) == "editing"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('generators = ["editing"]', 'generators = ["editng"]', "transfer of 'pgd': generators: 'editng' is"),
        ('generators = ["replacement"]', 'generators = ["other"]', "sweep: generators: 'other' is no task"),
        ('surrogate = "other", generators = ["editing"]', 'surrogate = "other"', "replacement takes none"),
        ('surrogate = "other"', 'surrogate = "editing"', "the surrogate 'editing' is the task itself"),
        ("samples = 3", "samples = 0", "'sweep.samples'"),
    ],
)
def test_tasks_of_a_setting_are_checked_before_a_run(fresh_shop, old, new, message):
    assert old in SEVERAL
    with pytest.raises(MagdrError) as e:
        fresh_shop.bench(edited(SEVERAL, (old, new)))
    assert message in str(e.value)


def test_a_sweep_may_be_of_the_first_images_alone(settled):
    few = edited(TEXT, ("steps = [4, 1, 2]", "steps = [4, 1, 2], samples = 3"))
    run = settled.run(few, name="few.toml", out="few")
    assert not run.failures
    swept = [c for c in run.cells if c.facts.slice_role == "sweep"]
    whole = {c.key: c for c in settled.first.cells}
    assert {(len(c.ids), len(c.identities)) for c in swept} == {(3, 3)}
    # The other cells are those of the whole run, and these are the same images, attacked alike.
    assert {c.key for c in run.cells if c not in swept} < whole.keys()
    place = lambda c: (c.facts.attack, c.facts.steps, c.facts.component)  # noqa: E731
    before = {place(c): c for c in settled.first.cells if c.facts.slice_role == "sweep"}
    for cell in swept:
        same = before[place(cell)]
        assert cell.ids == same.ids[:3]
        for name, values in cell.values.items():
            assert values == pytest.approx(same.values[name][:3], rel=1e-4)
    # F1 is of the same three images, clean and attacked.
    point = next(c for c in swept if place(c) == ("pgd", 4, "distortion"))
    clean = next(c for c in run.cells if c.facts.slice_role == "clean" and c.thresholds)
    flagged = [score > clean.thresholds["f1"] for score in point.values["score"]]
    alarms = [score > clean.thresholds["f1"] for score in clean.values["score"][:3]]
    (row,) = (r for r in run.rows if _f1_of(r, "pgd") and r["variant"] == "best-f1, sweep 4")
    assert (row["n"], row["value"]) == (3, pytest.approx(f1_score([1] * 3 + [0] * 3, flagged + alarms)))


def test_the_console_shows_figure_3(settled):
    out = io.StringIO()
    console = Terminal()
    console.file, console.width = out, 200
    print_tables(console, settled.first)
    table = out.getvalue().split("F1 after so many steps")[1]
    rows = {r["steps"]: r["value"] for r in settled.first.rows if _f1_of(r, "eq3")}
    line = next(line for line in table.splitlines() if "eq3" in line)
    assert line.split() == ["eq3", "distortion", *(f"{rows[n]:.2f}" for n in (1, 2, 4))]


def _f1_of(row, attack):
    return row["metric"] == "f1" and row["attack"] == attack and row["variant"].startswith("best-f1")
