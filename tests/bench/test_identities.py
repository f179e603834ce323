"""Success by identity: what encoders say of outputs, and what profiles that do not ask for it keep."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from magdr_core.bench import identities
from magdr_core.errors import MagdrError
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.registry.settings import Identity, Profile
from magdr_core.results.rows import result_rows
from tests.bench.conftest import SMALL
from tests.bench.test_measured import cell
from tests.edits import edited

PLAIN = edited(
    SMALL,
    ('benign = ["jpeg"]\n', ""),
    ('ensemble = ["flip"]', ""),
    ("samples = 5", "samples = 3"),
    ('attacks = ["pgd", "noise"]', 'attacks = ["pgd"]'),
    ('detectors = ["magdr", "distortion"]', 'detectors = ["distortion"]'),
    ('defenses = ["magdr", "jpeg", "fixed-chain"]', 'defenses = ["jpeg"]'),
)
COMPARED = (
    PLAIN
    + """
[profile.quick.identity]
encoders = ["one", "two"]
below = 0.5

[identity_encoder.one]
use = "identity-net"
params = { weights = "random", width = 4, dimension = 8 }

[identity_encoder.two]
use = "identity-net"
params = { weights = "random", width = 8, dimension = 4 }
"""
)


def by_brightness(*angles):
    """Encoders that turn by so many degrees from black to white."""

    def encoder(degrees):
        def encode(x):
            angle = torch.deg2rad(x.flatten(1).mean(1) * degrees)
            return torch.stack([angle.cos(), angle.sin()], 1)

        return encode

    return [encoder(degrees) for degrees in angles]


def run_of(reference, rule, encoders=()):
    labels = dict(zip("abc", encoders, strict=False))
    toolkit = SimpleNamespace(
        build=lambda kind, label: labels[label],
        resolve=lambda kind, label: SimpleNamespace(identity=[kind, label]),
    )
    images = SimpleNamespace(reference=reference)
    return SimpleNamespace(profile=Profile(identity=rule), toolkit=toolkit, images=images)


def test_outputs_are_as_alike_as_the_most_convinced_encoder_says():
    black, white = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    grey = torch.stack([black[0], white[0]])
    near, far = by_brightness(60, 90)
    assert identities.most_alike([near], black, white).tolist() == pytest.approx([0.5, 0.5])
    assert identities.most_alike([far], black, grey).tolist() == pytest.approx([1, 0], abs=1e-6)
    assert identities.most_alike([far, near], black, grey).tolist() == pytest.approx([1, 0.5], abs=1e-6)
    many = white[:1].expand(150, -1, -1, -1)
    assert identities.most_alike([near], torch.zeros_like(many), many).shape == (150,)
    assert identities.most_alike([near], black[:0], black[:0]).shape == (0,)


@pytest.mark.parametrize(("below", "succeeds"), [(0.4, [0, 0]), (0.6, [0, 1])])
def test_an_attack_succeeds_where_every_encoder_sees_somebody_else(below, succeeds):
    reference = torch.zeros(3, 3, 4, 4)
    output = torch.stack([reference[0], torch.ones(3, 4, 4)])
    run = run_of(reference, Identity(encoders=("a", "b"), below=below), by_brightness(90, 60))
    found = identities.similarities(run, output)
    assert found["identity_o"] == pytest.approx([1, 0.5])
    assert found["success_identity"] == succeeds


def test_nothing_is_measured_and_no_key_changes_where_nobody_asks():
    run = run_of(torch.zeros(2, 3, 4, 4), None)
    assert identities.similarities(run, torch.zeros(2, 3, 4, 4)) == {}
    assert identities.measured_by(run, None) == {}


def test_keys_tell_encoders_and_the_line():
    first, other, stricter = (
        identities.measured_by(run_of(torch.zeros(1), Identity(encoders=labels, below=below)), None)
        for labels, below in ((("a",), 0.3), (("b",), 0.3), (("a",), 0.2))
    )
    assert len({str(key) for key in (first, other, stricter)}) == 3


def test_the_share_is_of_images_and_an_attack_wants_little_likeness():
    values = {
        "identity_o": np.array([0.9, 0.1, 0.2, 0.8] * 10),
        "success_identity": np.array([0, 1, 1, 0.0] * 10),
    }
    found = {row["metric"]: row["value"] for row in result_rows("mine", [cell("attack", values)])}
    assert found["success_identity"] == 0.5
    assert found["identity_o"] == pytest.approx(0.5)
    assert found["median_identity_o"] == pytest.approx(0.5)
    assert DEFINITIONS["attack", "success_identity"].higher_is_better
    assert not DEFINITIONS["attack", "identity_o"].higher_is_better
    assert DEFINITIONS["defense", "identity_o"].higher_is_better


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    from tests.bench.conftest import Workshop

    shop = Workshop(tmp_path_factory.mktemp("identities"))
    return shop, shop.run(PLAIN), shop.run(COMPARED, out="compared")


def test_rows_of_attacks_and_defenses_say_who_is_shown(runs):
    _, _, run = runs
    with (run.folder / "results.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    names = {(r["role"], r["component"], r["attack"]) for r in rows if r["metric"] == "identity_o"}
    assert names == {
        ("attack", "pgd", "pgd"),
        *(("defense", d, a) for d in ("identity", "jpeg") for a in ("none", "pgd")),
    } | {n for n in names if n[1] == "oracle"}
    value = {
        (r["role"], r["component"], r["attack"]): float(r["value"])
        for r in rows
        if r["metric"] == "identity_o"
    }
    assert value["defense", "identity", "none"] == pytest.approx(1, abs=1e-5), "the clean output itself"
    assert value["attack", "pgd", "pgd"] == pytest.approx(value["defense", "identity", "pgd"], abs=1e-6)
    assert any(r["metric"] == "success_identity" and r["role"] == "attack" for r in rows)


def test_only_what_is_compared_is_measured_again(runs):
    _, _, run = runs
    assert {c.facts.role for c in run.cells if c.reused} == {"detector"}


def test_results_of_profiles_that_do_not_ask_are_found_still(runs):
    shop, _, _ = runs
    again = shop.run(PLAIN, out="again")
    assert all(c.reused for c in again.cells)


def test_an_encoder_that_no_table_has_is_refused_before_anything_runs(runs):
    shop, _, _ = runs
    with pytest.raises(MagdrError, match=r"identity_encoder.*'three'|'three'.*identity_encoder"):
        shop.bench(edited(COMPARED, ('encoders = ["one", "two"]', 'encoders = ["one", "three"]')))
