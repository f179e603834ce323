"""Adaptive attacks in a benchmark: their cells, rows and keys."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from magdr_core.bench.scenarios.adaptive_cells import suite_of
from magdr_core.errors import MagdrError
from magdr_core.functional import round_toward, to_8bit
from magdr_core.magdr.detector import Inspection
from magdr_core.magdr.outcome import Reconstruction
from magdr_core.measures.evasion import kept_share
from tests.bench.conftest import SMALL
from tests.edits import edited

ADAPTIVE = (
    edited(
        SMALL,
        ('benign = ["jpeg"]\n', ""),
        ('ensemble = ["flip"]', ""),
        ("samples = 5", "samples = 3"),
        ('attacks = ["pgd", "noise"]', 'attacks = ["pgd"]'),
        ('detectors = ["magdr", "distortion"]', 'detectors = ["distortion"]'),
        ('defenses = ["magdr", "jpeg", "fixed-chain"]', 'defenses = ["jpeg"]'),
    )
    + """
[profile.quick.adaptive]
attacks = ["pgd"]
others = ["eq3"]
detectors = ["distortion"]
defenses = ["jpeg", "magdr"]
steps = 2
penalties = [0.1, 1.0]
queries = 2

[attack.eq3]
params = { eps = "6/255", steps = 2, augmentations = ["flip"] }
"""
)


def rows_of(run):
    with (run.folder / "results.csv").open(newline="") as f:
        return list(csv.DictReader(f))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    from tests.bench.conftest import Workshop

    shop = Workshop(tmp_path_factory.mktemp("adaptive"))
    shop.first = shop.run(ADAPTIVE)
    return shop


def cells(run, role, component):
    return [
        c
        for c in run.cells
        if (c.facts.role, c.facts.component) == (role, component) and c.facts.knowledge == "adaptive"
    ]


def test_adaptive_cells_are_there_and_none_failed(done):
    assert not done.first.failures, done.first.failures
    found = {(c.facts.role, c.facts.component) for c in done.first.cells if c.facts.knowledge == "adaptive"}
    assert found == {
        ("detector", "distortion"),
        ("defense", "identity"),
        ("defense", "jpeg"),
        ("defense", "magdr"),
    }


def test_rows_name_the_mode_and_the_pool_has_none(done):
    rows = [r for r in rows_of(done.first) if r["knowledge"] == "adaptive"]
    assert {r["attack"] for r in rows} == {"pgd"}
    assert {r["steps"] for r in rows} == {"2"}
    jpeg = {
        r["variant"] for r in rows if (r["role"], r["component"], r["metric"]) == ("defense", "jpeg", "mse_o")
    }
    assert {"", "oblivious", "eq3", "square", "autograd", "bpda"} <= jpeg
    magdr = {r["variant"] for r in rows if (r["component"], r["metric"]) == ("magdr", "mse_o")}
    assert {"", "oblivious", "frozen", "softmin", "bpda", "evade via autograd"} <= magdr
    assert {"joint via frozen+autograd", "finish", "targeted, frozen", "targeted, finish"} <= magdr
    recall = {r["variant"] for r in rows if (r["component"], r["metric"]) == ("distortion", "recall")}
    assert {
        "fpr1",
        "best-f1",
        "fpr1, penalty=0.1 via autograd",
        "fpr1, lagrangian via autograd",
        "fpr1, low-frequency, lagrangian via autograd",
        "fpr1, concentrated, lagrangian via autograd",
        "fpr1, finish",
        "fpr1, undefended",
        "fpr1, targeted",
        "fpr1, targeted, lagrangian via autograd",
        "fpr1, scaled",
    } <= recall
    assert {r["metric"] for r in rows if r["role"] == "attack"} == {"mse_o", "median_mse_o", "success"}


def test_the_pool_disrupts_a_defense_at_least_as_much_as_each_mode(done):
    (cell,) = cells(done.first, "defense", "jpeg")
    pool = np.asarray(cell.values["mse_o"])
    modes = [k for k in cell.values if k.endswith("/mse_o")]
    assert "targeted, autograd/mse_o" in modes
    assert len(modes) >= 5
    for mode in modes:
        assert (pool >= np.asarray(cell.values[mode]) * (1 - 1e-5) - 1e-3).all(), mode


def test_oblivious_is_the_same_attack_as_in_the_other_table(done):
    (cell,) = cells(done.first, "defense", "jpeg")
    (plain,) = (c for c in done.first.cells if c.facts.component == "jpeg" and c.facts.slice_role == "attack")
    assert cell.values["oblivious/mse_o"] == pytest.approx(plain.values["mse_o"], rel=1e-5)


def test_attacked_images_are_kept_and_stay_in_the_ball(done):
    bench = done.bench(ADAPTIVE)
    (cell,) = cells(done.first, "detector", "distortion")
    images = bench.store.images(f"{cell.key}-images")
    from magdr_core.bench.group import GroupRun
    from magdr_core.bench.images import Workplace

    work = Workplace(bench.toolkit, bench.profile, bench.store, {}, bench.progress, bench.report)
    clean = GroupRun(work, bench.groups[0]).images.clean(False).images
    assert (images - clean).abs().max() <= 6 / 255 + 1e-6
    assert torch.equal(images, round_toward(images, clean))


def test_a_resumed_run_equals_an_unbroken_one_and_computes_only_what_is_missing(done):
    (cell,) = cells(done.first, "detector", "distortion")
    lost = done.folder / "cache" / "cells" / cell.key[:2] / f"{cell.key}.json"
    lost.unlink()
    again = done.run(ADAPTIVE, out="again")
    assert again.computed == 1
    plain = [
        [{k: v for k, v in r.items() if k != "seconds"} for r in rows_of(run)] for run in (done.first, again)
    ]
    assert plain[0] == plain[1]


def test_more_penalties_are_another_attack_and_a_new_label_is_not(done):
    other = edited(ADAPTIVE, ("penalties = [0.1, 1.0]", "penalties = [0.1]"))
    first, second = (done.bench(text).groups[0].cells for text in (ADAPTIVE, other))
    assert [str(c) for c in first] == [str(c) for c in second]

    def keys(text):
        from magdr_core.bench.group import GroupRun
        from magdr_core.bench.images import Workplace

        bench = done.bench(text)
        work = Workplace(bench.toolkit, bench.profile, bench.store, {}, bench.progress, bench.report)
        run = GroupRun(work, bench.groups[0])
        found = {}
        for c in bench.groups[0].cells:
            run.component(c)
            found[(c.role, c.component, c.slice.scenario)] = run.key(c)
        return found

    before, after = keys(ADAPTIVE), keys(other)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if name[2] == "adaptive"}


def test_a_failing_defense_behind_a_detector_fails_its_own_cell_only(done, tmp_path):
    (done.folder / "bad.py").write_text(
        '''
"""A defense that refuses to work."""
from magdr_core.api import DefenseSpec, hookimpl, stateless
MAGDR_API = 1

def bad(x, c, G):
    """Never returns."""
    raise RuntimeError("no")

@hookimpl
def magdr_defenses():
    return [DefenseSpec(name="bad", build=stateless(bad))]
'''
    )
    before = 'defenses = ["jpeg", "acme/bad"]\nbehind = "distortion"'
    text = edited(ADAPTIVE, ('defenses = ["jpeg", "magdr"]', before))
    text = edited(
        text, ("[dataset.faces]", '[plugins]\nlocal = { acme = "./bad.py" }\n[dataset.faces]'), first=True
    )
    run = done.run(text, out="failing")
    assert {c.facts.component for c in run.failures} == {"acme/bad"}
    assert "bad" in run.failures[0].error
    values = cells(run, "defense", "jpeg")[0].values
    # With a detector before the defense, what is flagged counts as nothing.
    for flagged, error, left in zip(
        values["flagged"], values["mse_o"], values["undetected_mse_o"], strict=True
    ):
        assert left == (0 if flagged else error)
    assert any(name.startswith("penalty=0.1 via ") for name in values)


def test_another_attack_of_a_strength_that_no_adaptive_one_has_is_refused(done):
    text = edited(
        ADAPTIVE, ('[attack.eq3]\nparams = { eps = "6/255"', '[attack.eq3]\nparams = { eps = "8/255"')
    )
    with pytest.raises(MagdrError, match=r"the other attack 'eq3' has eps = 8/255.* \(6/255\)"):
        done.bench(text)


@pytest.mark.parametrize(("attack", "words"), [("pgd-psnr", "a PSNR"), ("pgd-ssim", "an SSIM")])
def test_an_attack_that_no_ball_bounds_cannot_become_adaptive(done, attack, words):
    text = edited(ADAPTIVE, ('attacks = ["pgd"]\nothers', f'attacks = ["{attack}"]\nothers'))
    with pytest.raises(MagdrError, match=rf"the attack '{attack}' is bounded by {words}; those that know"):
        done.bench(text + f"\n[attack.{attack}]\nparams = {{ steps = 1 }}\n")


def suite(done, text):
    bench = done.bench(text)
    return suite_of(bench.toolkit, bench.profile.adaptive)


def test_a_suite_has_the_same_name_whatever_it_attacks(done):
    name = suite(done, ADAPTIVE)
    victims = edited(
        ADAPTIVE, ('defenses = ["jpeg", "magdr"]', 'defenses = ["magdr"]\nbehind = "distortion"')
    )
    others = edited(victims, ("samples = 3", "samples = 2"), ("[attack.pgd]", "[attack.pgd-2]"))
    others = edited(
        others,
        ('attacks = ["pgd"]', 'attacks = ["pgd-2"]'),
        ("[attack.pgd-2]", '[attack.pgd-2]\nuse = "pgd"'),
    )
    assert suite(done, victims) == suite(done, others) == name


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("steps = 2\npenalties", "steps = 3\npenalties"),
        ("penalties = [0.1, 1.0]", "penalties = [0.1]"),
        ("queries = 2", "queries = 3"),
        ("queries = 2", 'queries = 2\nprecision = "bfloat16"'),
        ('others = ["eq3"]', ""),
        ('params = { eps = "6/255", steps = 2 }', 'params = { eps = "6/255", steps = 3 }'),
        ('steps = 2, augmentations = ["flip"]', 'steps = 2, augmentations = ["jpeg"]'),
    ],
)
def test_a_suite_has_another_name_when_it_attacks_otherwise(done, before, after):
    assert before in ADAPTIVE
    assert suite(done, edited(ADAPTIVE, (before, after))) != suite(done, ADAPTIVE)


def test_a_suite_has_another_name_in_another_version(done, monkeypatch):
    name = suite(done, ADAPTIVE)
    monkeypatch.setattr("magdr_core.bench.scenarios.adaptive_cells.VERSION", 1_000)
    assert suite(done, ADAPTIVE) != name


def test_the_suites_name_is_in_the_manifest_and_in_every_threat_card(done):
    name = suite(done, ADAPTIVE)
    assert json.loads((done.first.folder / "manifest.json").read_text())["adaptive_suite"] == name
    told = json.loads((done.first.folder / "cells.json").read_text())
    assert {c["threat"]["suite"] for c in told if c["facts"]["knowledge"] == "adaptive"} == {name}


def test_shares_are_of_the_strongest_that_anything_found_without_a_defense(done):
    (detected,), (defended,), (bare,) = (
        cells(done.first, role, component)
        for role, component in (("detector", "distortion"), ("defense", "jpeg"), ("defense", "identity"))
    )
    for cell in (detected, defended):
        strongest = cell.array("strongest/disruption")
        assert (strongest >= bare.array("undefended/mse_o") / 127.5**2 * (1 - 1e-4)).all()
    every = [detected.array(k) for k in detected.values if k.endswith("/disruption")]
    assert (detected.array("strongest/disruption") >= np.max(every, 0) * (1 - 1e-5)).all()
    rows = {
        (r["role"], r["component"], r["metric"]): float(r["value"])
        for r in rows_of(done.first)
        if r["knowledge"] == "adaptive" and not r["variant"]
    }
    kept = defended.array("mse_o").sum() / 127.5**2 / defended.array("strongest/disruption").sum()
    assert rows["defense", "jpeg", "kept"] == pytest.approx(kept)
    reached = defended.array("targeted/progress").sum() / defended.array("strongest/progress").sum()
    assert rows["defense", "jpeg", "kept_targeted"] == pytest.approx(reached)


def test_an_aim_tells_no_images_that_the_first_one_has_told(done):
    (cell,) = cells(done.first, "defense", "jpeg")
    assert "targeted, undefended" in cell.variants
    assert not {"targeted, oblivious", "targeted, eq3"} & {*cell.variants}


def test_a_targeted_pool_comes_nearer_to_the_target_than_the_other_one(done):
    """The second aim is the input, for an attack whose own has no target: the edit does not happen."""
    (cell,) = cells(done.first, "defense", "identity")
    assert (cell.array("targeted/mse_o") <= cell.array("mse_o") * (1 + 1e-5)).all()
    assert (cell.array("targeted/progress") > 0).all()
    assert (cell.array("strongest/progress") >= cell.array("targeted/progress") * (1 - 1e-4)).all()


class Killed(BaseException):
    """As a signal would."""


def test_a_killed_cell_goes_on_with_the_runs_that_it_had_finished(done, monkeypatch):
    from magdr_core.adaptive import attack as module

    text = edited(ADAPTIVE, ('defenses = ["jpeg", "magdr"]', 'defenses = ["jpeg"]'))
    (cell,) = cells(done.first, "detector", "distortion")
    lost = done.folder / "cache" / "cells" / cell.key[:2] / f"{cell.key}.json"
    kept = lost.read_bytes()
    lost.unlink()
    real, ran = module.ascend, []

    def until_killed(target, mode, *args):
        if len(ran) == 3:
            raise Killed
        ran.append(mode.name)
        return real(target, mode, *args)

    monkeypatch.setattr(module, "ascend", until_killed)
    with pytest.raises(Killed):
        done.run(text, out="killed")
    again = []

    def counted(target, mode, *args):
        again.append(mode.name)
        return real(target, mode, *args)

    monkeypatch.setattr(module, "ascend", counted)
    resumed = done.run(text, out="resumed")
    (after,) = cells(resumed, "detector", "distortion")
    assert after.values == cell.values
    assert after.attack_forwards == pytest.approx(cell.attack_forwards)
    monkeypatch.setattr(module, "ascend", real)
    whole = len(ran) + len(again)
    lost.unlink()
    again.clear()
    monkeypatch.setattr(module, "ascend", counted)
    done.run(text, out="whole")
    assert len(again) == whole
    assert not list((done.folder / "cache" / "runs").rglob("*.json")), "nothing is left of what a cell holds"
    lost.write_bytes(kept)


def test_kept_counts_flagged_images_as_nothing():
    disruption, whole = np.array([0.1, 0.4, 0.2, 0.0]), np.array([0.2, 0.4, 0.2, 0.2])
    flagged, no_alarm = np.array([False, True, False, False]), np.zeros(4, dtype=bool)
    # .1 + .2 of 1.0; the second image is flagged, and is sent clean instead.
    assert kept_share(disruption, flagged, whole, no_alarm) == pytest.approx(0.3)


def test_kept_is_unknown_where_clean_images_are_flagged_too_often():
    disruption, flagged = np.array([0.1, 0.4, 0.2, 0.0]), np.array([False, True, False, False])
    assert np.isnan(kept_share(disruption, flagged, np.ones(4), flagged))


def test_the_manifest_of_cells_tells_what_the_probe_saw(done):
    told = json.loads((done.first.folder / "cells.json").read_text())
    jpeg = next(c for c in told if (c["facts"]["component"], c["facts"]["knowledge"]) == ("jpeg", "adaptive"))
    assert jpeg["probed"]["autograd"]["zero"] == 0
    assert jpeg["attack_forwards"] > jpeg["forwards"]
    assert jpeg["threat"]["steps"] == 2
    assert jpeg["threat"]["draws"] == 1


@pytest.fixture(scope="module")
def rec_net(done):
    """The calibrated MagDR of the small benchmark as a target, on its own test faces."""
    from magdr_core.adaptive import Target
    from magdr_core.bench.group import GroupRun
    from magdr_core.bench.images import Workplace
    from magdr_core.components.objective import DisruptionObjective
    from magdr_core.components.rng import SampleRng

    bench = done.bench(ADAPTIVE)
    work = Workplace(bench.toolkit, bench.profile, bench.store, {}, bench.progress, bench.report)
    run = GroupRun(work, bench.groups[0])
    clean = run.images.clean(False)
    aim = DisruptionObjective(run.G, clean.images, clean.conditions)
    noise = SampleRng(0, "noise", clean.ids).sign(*clean.images.shape[1:]) * 6 / 255
    x = round_toward((clean.images + noise).clamp(0, 1), clean.images)
    defense = run.calibrator.defense("magdr")
    defense.component.gate = -torch.inf  # everything is reconstructed
    rng = SampleRng(0, "attacker", clean.ids)
    return Target(run.G, clean, aim, x, 6 / 255, defense=defense, rng=rng), defense.component


def test_a_frozen_choice_has_the_real_value_where_it_was_made(rec_net):
    from magdr_core.adaptive.discrete_choice import frozen

    target, _ = rec_net
    way = frozen(target)
    way.refresh(target.oblivious)
    x = target.oblivious.clone().requires_grad_(True)
    value = way.value(x, target.rng)
    assert torch.allclose(value.detach(), target.judge(target.oblivious).gain, rtol=1e-5)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert (slope.abs().flatten(1).amax(1) > 0).all()


@pytest.fixture
def two_rounds(rec_net):
    """The first round picks the second candidate, the next one the third; every round is better."""
    target, magdr = rec_net
    before, names = magdr.detector, list(magdr.candidates)
    seen = []

    def inspect(x, c, G, known=None):
        seen.append("look")
        return Inspection(torch.full((len(x),), 9.0 - 3 * seen.count("look")))

    def reconstruct(x, c, G, received, known=None):
        seen.append("pick")
        k = seen.count("pick")
        scores = torch.full((len(x), len(magdr.candidates)), 5.0)
        scores[:, k], scores[:, 0] = 0.0, 1.0
        images = to_8bit(magdr.candidates[names[k]](x))
        return Reconstruction(images, [[names[k]]] * len(x), scores=scores)

    magdr.detector = replace(before, thresholds={"fpr": -100.0, "f1": -100.0})
    magdr.evidence.inspect, magdr.reconstructor.reconstruct = inspect, reconstruct
    yield target, magdr, seen
    del magdr.evidence.inspect, magdr.reconstructor.reconstruct
    magdr.detector = before


def test_the_branches_of_the_softmin_are_of_every_round_that_runs(two_rounds):
    from magdr_core.adaptive.discrete_choice import branches

    target, magdr, seen = two_rounds
    names = list(magdr.candidates)
    with torch.no_grad():
        found = branches(target, target.oblivious.clone())  # a target runs once for the same tensor
        seen.clear()
        outcome = magdr.run(target.oblivious, target.c, target.G)
    assert outcome.plans == [[names[1], names[2]]] * len(target)
    weights = {plan: float(w[0]) for plan, w in found.items()}
    assert sum(weights.values()) == pytest.approx(1)
    # What really happens weighs most; then what the second round might have picked, and the first alone.
    order = sorted(weights, key=weights.get, reverse=True)
    assert order[0] == tuple(outcome.plans[0])
    assert {(names[1],), (names[1], names[2])} <= set(weights)
    kept = np.exp([3.0, 6.0])  # scores 6, 3 and 0: the received image is e^-6 of the last
    assert weights[order[0]] > 0.7 * kept[1] / (1 + kept.sum())


def test_the_softmin_expects_the_gains_of_its_branches(rec_net):
    from magdr_core.adaptive.discrete_choice import branches, softmin

    target, magdr = rec_net
    way = softmin(target)
    way.refresh(target.oblivious)
    x = target.oblivious.clone().requires_grad_(True)
    value = way.value(x, target.rng)
    with torch.no_grad():
        expected = torch.zeros(len(target))
        for plan, weights in branches(target, target.oblivious).items():
            seen = target.oblivious
            for name in plan:
                seen = to_8bit(magdr.candidates[name](seen))
            expected += weights * target.gain(target.G(seen, target.c))
    assert torch.allclose(value.detach(), expected, rtol=1e-4)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert (slope.abs().flatten(1).amax(1) > 0).all()


def test_the_checks_attack_the_whole_of_magdr(done, monkeypatch):
    """Choice, gate and all, through the same attack as the tables; strength 0 changes nothing."""
    from magdr_core.bench.checks import check as verdicts
    from magdr_core.bench.checks.suite import Suite
    from magdr_core.bench.group import GroupRun
    from magdr_core.bench.images import Workplace
    from magdr_core.bench.threat import Threats
    from magdr_core.registry.settings import Checks

    monkeypatch.setattr(verdicts, "LEAST", 2)  # images; the few here shall be spoken of
    bench = done.bench(ADAPTIVE)
    work = Workplace(bench.toolkit, bench.profile, bench.store, {}, bench.progress, bench.report)
    run = GroupRun(work, bench.groups[0])
    suite = Suite(run, Checks(faces=2, steps=2, draws=1, passes=100_000), Threats(run))
    magdr = [c for c in done.first.cells if c.facts.component == "magdr"]
    (row,) = [suite.row(job) for job in suite._component_jobs(magdr)]
    assert row["how"]["engine"].startswith("magdr-standard")
    found = {c["name"]: c["verdict"] for c in row["checks"]}
    assert "run" not in found
    assert found["eps-0"] == "pass"
    assert found["white-box against noise"] in ("pass", "warn")


def test_an_image_under_the_gate_is_passed_through_unchanged(rec_net):
    from magdr_core.adaptive.discrete_choice import frozen

    target, magdr = rec_net
    magdr.gate = torch.inf
    try:
        way = frozen(target)
        way.refresh(target.oblivious)
        undefended = target.gain(target.G(target.oblivious, target.c))
        assert torch.allclose(way.value(target.oblivious, target.rng), undefended)
    finally:
        magdr.gate = -torch.inf
