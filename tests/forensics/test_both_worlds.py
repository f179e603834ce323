"""Where both worlds meet: reals that an attack has disrupted, and what a defense makes of reals and fakes."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from magdr_core.bench.executors.local import Job
from magdr_core.bench.executors.task_graph import units_of
from magdr_core.bench.run import Bench
from magdr_core.cli.forensic_view import forensic_tables
from magdr_core.cli.terminal import Terminal
from magdr_core.components.fingerprints import digest
from magdr_core.errors import RegistryError
from magdr_core.forensics.making import forge
from magdr_core.results.store import Store
from magdr_core.runtime.samples import draw_samples
from magdr_core.toolkit import Toolkit
from tests.benchmarks.conftest import printed  # noqa: F401
from tests.edits import edited
from tests.forensics.test_forensic_bench import PLUGIN, REGISTRY, rows, value

DEFENSES = '''
from magdr_core.api import DefenseSpec


def shifted(x, c, G, *, rng, by: float = 0.2):
    """Brighter by the condition's first entry and a draw."""
    told = c.values[:, :1, None, None] + rng.uniform(1, 1, 1)
    return (x + by * told).clamp(0, 1)


@hookimpl
def magdr_defenses():
    return [
        DefenseSpec(name="shifted", build=stateless(shifted), stochastic=True),
        DefenseSpec(name="moving", build=stateless(shifted), stochastic=True, tags=("geometric",)),
    ]
'''

WORLDS = edited(
    REGISTRY,
    ('[generator.forensics]\nuse = "untouched"', '[generator.editing]\nuse = "stargan"'),
    (
        "params = { size = 32 }\n\n[forgery",
        'params = { weights = "random", width = 8, blocks = 1, size = 32 }\n\n[forgery',
    ),
    ("[forgery.stamp]\n", "[forgery.stamp]\nparams = { level = 0.34901960784313724 }\n"),
    ("[profile.quick]\n", '[profile.quick]\nattacks = ["pgd"]\nrestored_by = ["shifted", "blur"]\n'),
    ('["stamp", "sticker", "other", "nothing"]', '["stamp", "nothing"]'),
    ('["corner", "learner"]', '["corner"]'),
    ('picture_qualities = ["jpeg40", "grainy"]\n', 'picture_qualities = ["jpeg40"]\n'),
    (
        "[calibration]",
        '[attack.pgd]\nparams = { eps = "12/255", steps = 3 }\n'
        '[defense.shifted]\nuse = "acme/shifted"\n[defense.moving]\nuse = "acme/moving"\n'
        '[restoration.blur]\nuse = "gaussian"\nparams = { sigma = 1.0 }\n[calibration]',
    ),
)


def toolkit(folder, text=WORLDS):
    (folder / "acme.py").write_text(PLUGIN + DEFENSES)
    path = folder / "worlds.toml"
    path.write_text(text)
    return Toolkit.from_registry(path, device="cpu")


def bench(folder, text=WORLDS, **more):
    kit = toolkit(folder, text)
    return Bench(kit, "quick", out=folder / "run", cache=folder / "cache", report=print, **more).run()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    done = bench(tmp_path_factory.mktemp("worlds"))
    assert not done.failures
    return done


def cell(run, attack):
    [found] = [c for c in run.cells if c.facts.attack == attack and c.facts.role == "forensic"]
    return found


def corner(images):
    """What the model scores: see `test_forensic_bench`."""
    return images[:, :, :6, :6].mean((1, 2, 3)).double().numpy()


def test_attacked_reals_stand_beside_the_same_ones_with_noise_as_strong(run):
    attacked, noisy, clean = (cell(run, name) for name in ("pgd", "noise@12", "none"))
    pgd = {row["metric"] for row in rows(run, attack="pgd", role="forensic", variant="seen")}
    assert pgd >= {"auc_edited", "auc_noise", "alarms_over_noise"}
    scores = [c.array("seen/edited_score") for c in (attacked, noisy)]
    assert not np.allclose(*scores)
    expected = roc_auc_score([1] * 6 + [0] * 6, np.concatenate(scores))
    assert value(run, attack="pgd", variant="seen", metric="auc_noise") == pytest.approx(expected)
    alarms = attacked.array("seen/alarm") - noisy.array("seen/alarm")
    found = value(run, attack="pgd", variant="seen", metric="alarms_over_noise")
    assert found == pytest.approx(alarms.mean())
    added = attacked.array("seen/alarm") - clean.array("seen/alarm")
    found = value(run, attack="pgd", variant="seen", metric="false_alarms_change")
    assert found == pytest.approx(added.mean())
    assert not rows(run, attack="noise@12", metric="auc_noise")
    assert not [r for r in rows(run, metric="auc_noise") if "restored" in r["variant"]]


def test_everything_is_restored_reals_and_fakes_alike(run):
    found = {(r["attack"], r["variant"]) for r in run.rows if "restored by" in r["variant"]}
    assert found == {
        (attack, f"seen, restored by {label}")
        for attack in ("none", "pgd", "noise@12", "forged:stamp", "forged:nothing")
        for label in ("shifted", "blur")
    }
    [row] = rows(run, attack="pgd", variant="seen, restored by blur", metric="false_alarms")
    assert round(255 * row["eps"]) == 12
    assert row["steps"] == 3


def test_a_defense_is_told_the_condition_and_draws_as_in_its_own_rows(run, tmp_path):
    kit = toolkit(tmp_path)
    G, split = kit.build("generator", "editing"), kit.build("dataset", "faces").split("test")
    clean, _ = draw_samples(split, G, first=0, count=6, seed=0)
    defense = kit.build("defense", "shifted")
    name = f"defense/{digest(kit.resolve('defense', 'shifted').identity)}"
    fakes = forge(kit, "stamp", split, split[list(range(6))], 0).images
    for images, attack, values in ((clean.images, "none", "edited_score"), (fakes, "forged:stamp", "score")):
        rng = kit.rng(name, clean.ids, 0)
        restored = torch.round(255 * defense(images, clean.conditions, G, rng=rng)) / 255
        found = cell(run, f"{attack}>shifted").array(f"seen/{values}")
        assert found == pytest.approx(corner(restored), abs=1e-6)
    whole, attacked = (cell(run, f"{a}>shifted").array("seen/edited_score") for a in ("none", "pgd"))
    assert not np.allclose(whole, attacked)


def test_the_pictures_are_those_that_the_defense_s_own_rows_are_of(tmp_path):
    text = edited(WORLDS, ('attacks = ["pgd"]', 'attacks = ["pgd"]\ndefenses = ["shifted"]'))
    done = bench(tmp_path, text)
    assert not done.failures
    own = next(c for c in done.cells if c.facts.role == "defense" and c.facts.component == "shifted")
    assert own.facts.attack == "none"
    kept = Store(tmp_path / "cache").images(f"{own.key}-pictures")
    assert cell(done, "none>shifted").array("seen/edited_score") == pytest.approx(corner(kept[:6]), abs=1e-6)


def test_restored_reals_are_compared_with_what_nobody_touched(run):
    clean, restored, attacked = (cell(run, name) for name in ("none", "none>shifted", "pgd>shifted"))
    plain = cell(run, "forged:stamp").array("seen/real_score")
    for one in (restored, attacked):
        assert one.array("seen/untouched_score").tolist() == plain.tolist()
    assert restored.array("seen/alarm_before").tolist() == clean.array("seen/alarm").tolist()
    assert attacked.array("seen/alarm_before").tolist() == cell(run, "pgd").array("seen/alarm").tolist()
    about = {"attack": "none", "variant": "seen, restored by shifted"}
    rate = restored.array("seen/alarm").mean()
    assert value(run, **about, metric="false_alarms") == pytest.approx(rate)
    change = rate - clean.array("seen/alarm").mean()
    assert value(run, **about, metric="false_alarms_change") == pytest.approx(change)


def test_restored_fakes_are_told_from_restored_and_from_untouched_reals(run):
    before, after = cell(run, "forged:stamp"), cell(run, "forged:stamp>shifted")
    reals = cell(run, "none>shifted").array("seen/edited_score")
    assert after.array("seen/real_score").tolist() == reals.tolist()
    fakes, labels = after.array("seen/score"), [1] * 6 + [0] * 6
    about = {"attack": "forged:stamp", "variant": "seen, restored by shifted"}
    now = roc_auc_score(labels, [*fakes, *reals])
    then = roc_auc_score(labels, [*before.array("seen/score"), *before.array("seen/real_score")])
    assert value(run, **about, metric="auc") == pytest.approx(now)
    assert value(run, **about, metric="auc_change") == pytest.approx(now - then)
    left = roc_auc_score(labels, [*fakes, *before.array("seen/real_score")])
    assert value(run, **about, metric="auc_untouched") == pytest.approx(left)
    flags = after.array("seen/flagged").mean() - before.array("seen/flagged").mean()
    assert value(run, **about, metric="tpr_change") == pytest.approx(flags)
    assert now != then
    assert left != now
    [row] = rows(run, **about, metric="auc_change")
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert "iou" in {r["metric"] for r in rows(run, **about)}


def test_qualities_say_what_they_change_too(run):
    before, after = cell(run, "forged:stamp"), cell(run, "forged:stamp@jpeg40")
    assert after.array("seen/score_before").tolist() == before.array("seen/score").tolist()
    assert after.array("seen/real_score_before").tolist() == before.array("seen/real_score").tolist()
    assert not rows(run, attack="forged:stamp", variant="seen, jpeg40", metric="auc_untouched")


def test_more_faces_are_restored_without_the_first_ones_once_more(tmp_path):
    few = edited(WORLDS, ('restored_by = ["shifted", "blur"]', 'restored_by = ["shifted"]'))
    bench(tmp_path, edited(few, ("samples = 6", "samples = 4")))
    told = []
    done = bench(tmp_path, few, progress=lambda what, n, of: told.append((what, of)))
    assert not done.failures
    restored = {of for what, of in told if what == "restoring with shifted"}
    assert restored == {2}


def test_a_defense_that_fails_fails_its_own_cells_alone(tmp_path):
    toolkit(tmp_path)
    broken = edited(DEFENSES, ("    told = c.values", "    raise ValueError('no idea')\n    told = c.values"))
    (tmp_path / "acme.py").write_text(PLUGIN + broken)
    kit = Toolkit.from_registry(tmp_path / "worlds.toml", device="cpu")
    done = Bench(kit, "quick", out=tmp_path / "run", cache=tmp_path / "cache", report=print).run()
    assert {c.facts.attack.partition(">")[2] for c in done.failures} == {"shifted"}
    assert all("no idea" in c.error for c in done.failures)
    assert rows(done, attack="forged:stamp", variant="seen, restored by blur", metric="auc")


@pytest.mark.parametrize(
    ("label", "words"), [("moving", "moves pixels"), ("shfted", "shfted"), ("corner", "corner")]
)
def test_what_cannot_restore_is_said_before_anything_is_computed(tmp_path, label, words):
    text = edited(WORLDS, ('["shifted", "blur"]', f'["{label}"]'))
    with pytest.raises(RegistryError, match=words):
        Bench(toolkit(tmp_path, text), "quick", out=tmp_path / "r", cache=tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_where_others_compute_defenses_are_ready_before_what_they_restore(tmp_path):
    made = Bench(toolkit(tmp_path), "quick", out=tmp_path / "run", cache=tmp_path / "cache")
    quiet = {"progress": lambda *told: None, "report": print, "finished": lambda cell: None}
    job = Job(made.toolkit, made.profile, made.groups, made.store, whole=True, **quiet)
    found = {unit.id: unit for unit in units_of(job)}
    assert found["0/images/restored/pgd>shifted"].after == {"editing/fit/defense/shifted"}
    needs = {u.about.slice.name: u.needs for u in found.values() if u.kind == "cell"}
    whole, attacked = "0/images/restored/none>shifted", "0/images/restored/pgd>shifted"
    assert needs["none>shifted"] == {whole}
    assert needs["pgd>shifted"] == {attacked, "0/images/attack/pgd"}
    fake = "0/images/restored/forged:stamp>shifted"
    assert needs["forged:stamp>shifted"] == {fake, whole, "0/images/forged/forged:stamp"}


def test_a_terminal_tells_restored_reals_one_by_one(run, capsys):
    forensic_tables(Terminal(), run.rows, "editing", ["jpeg40"])
    shown = capsys.readouterr().out
    for line in (
        "pgd restored by shifted",
        "real restored by blur",
        "mean restored by shifted",
        "real at jpeg40",
    ):
        assert line in shown


def test_the_script_prints_a_table_for_each_question(run, printed):  # noqa: F811
    shown = printed("both_worlds", run.folder / "results.csv")
    assert re.findall(r"^## .*", shown, re.MULTILINE) == [
        "## Do disrupted reals look forged?",
        "## What does restoring change?",
        "## Do the models stand up to attacks?",
    ]
    [flagged] = rows(run, attack="pgd", variant="seen, restored by blur", metric="false_alarms")
    assert f"| corner | pgd | blur | {flagged['value']:.2f} [" in shown
    [auc] = rows(run, attack="forged:stamp", variant="seen, restored by blur", metric="auc_change")
    assert f"{auc['value']:+.2f} [{auc['ci_low']:+.2f}, {auc['ci_high']:+.2f}]" in shown
    [noise] = rows(run, attack="pgd", variant="seen", metric="auc_noise")
    assert f"{noise['value']:.2f} [" in shown.split("##")[1]
