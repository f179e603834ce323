"""Attacks that know the channel before the defender: their cells, what they are judged by, and old keys."""

import json

import pytest
import torch

from magdr_core.bench import evaluate
from magdr_core.bench.group import GroupRun
from magdr_core.bench.images import Workplace
from magdr_core.bench.scenarios.channel import received
from magdr_core.errors import MagdrError
from magdr_core.functional import mse
from tests.bench.conftest import SMALL
from tests.bench.test_adaptive import rows_of
from tests.edits import edited

CHANNELS = """
[channel.rough]
use = "jpeg"
params = { quality = 40 }
[channel.small]
use = "resize"

[profile.quick.adaptive]
attacks = ["pgd"]
detectors = ["distortion"]
defenses = ["jpeg"]
steps = 2
penalties = [1.0]
queries = 2
"""
PLAIN = edited(
    SMALL + CHANNELS,
    ('ensemble = ["flip"]\nbenign = ["jpeg"]', 'channels = ["rough", "small"]'),
    ("samples = 5", "samples = 3"),
    ('attacks = ["pgd", "noise"]', 'attacks = ["pgd"]'),
    ('detectors = ["magdr", "distortion"]', 'detectors = ["distortion"]'),
    ('defenses = ["magdr", "jpeg", "fixed-chain"]', 'defenses = ["jpeg"]'),
)
BEHIND = edited(PLAIN, ("queries = 2", 'queries = 2\nchannels = ["rough"]'))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    from tests.bench.conftest import Workshop

    shop = Workshop(tmp_path_factory.mktemp("adaptive-channels"))
    shop.before, shop.after = shop.run(PLAIN, out="before"), shop.run(BEHIND)
    return shop


def knowing(run, channel):
    found = [c for c in run.cells if c.facts.knowledge == "adaptive" and c.facts.channel == channel]
    return {(c.facts.role, c.facts.component): c for c in found}


def group_of(shop, text):
    bench = shop.bench(text)
    work = Workplace(bench.toolkit, bench.profile, bench.store, {}, bench.progress, bench.report)
    return bench, GroupRun(work, bench.groups[0])


def test_everything_is_attacked_once_more_behind_the_channel(done):
    about = {("detector", "distortion"), ("defense", "identity"), ("defense", "jpeg")}
    assert {*knowing(done.after, "")} == {*knowing(done.after, "rough")} == about
    assert not knowing(done.after, "small"), "of the profile's channels those that are named"
    assert not done.after.failures


def test_results_without_a_channel_keep_their_keys(done):
    before, after = (
        {name: c.key for name, c in knowing(run, "").items()} for run in (done.before, done.after)
    )
    assert before == after
    fresh = [c for c in done.after.cells if not c.reused]
    assert {c.facts.channel for c in fresh} == {"rough"}
    assert {c.facts.knowledge for c in fresh} == {"adaptive"}
    assert not {c.key for c in knowing(done.after, "rough").values()} & {*before.values()}


def test_images_are_published_ones_and_judged_behind_the_real_channel(done):
    bench, group = group_of(done, BEHIND)
    cell = knowing(done.after, "rough")["defense", "identity"]
    images = bench.store.images(f"{cell.key}-images")
    clean = group.images.clean(False)
    assert (images - clean.images).abs().max() <= 6 / 255 + 1e-6
    seen = received(group.images, "rough", clean.with_images(images))
    assert not torch.equal(seen, images)
    errors = mse(evaluate.outputs(seen, clean, group.G), group.images.reference) * 255**2
    assert cell.values["mse_o"] == pytest.approx(errors.tolist(), rel=1e-4)
    scored = knowing(done.after, "rough")["detector", "distortion"]
    images = bench.store.images(f"{scored.key}-images")
    seen = received(group.images, "rough", clean.with_images(images))
    own = evaluate.outputs(seen, clean, group.G)
    expected = 4 * (own - group.images.reference).square().flatten(1).mean(1)
    assert scored.values["disruption"] == pytest.approx(expected.tolist(), rel=1e-4)


def test_rows_and_threat_cards_name_the_channel(done):
    found = {r["channel"] for r in rows_of(done.after) if r["knowledge"] == "adaptive"}
    assert found == {"", "rough"}
    for channel, cells in (("", knowing(done.after, "")), ("rough", knowing(done.after, "rough"))):
        for cell in cells.values():
            assert cell.threat.get("channel", "") == channel
    kept = [r for r in rows_of(done.after) if r["metric"] == "fpr_clean" and r["channel"] == "rough"]
    assert kept, "false alarms behind the same channel stand beside"


def test_another_channel_is_another_attack(done):
    def keys(text):
        _, group = group_of(done, text)
        found = {}
        for cell in group.group.cells:
            if cell.slice.scenario == "adaptive":
                group.component(cell)
                found[(cell.component, cell.role, cell.slice.channel)] = group.key(cell)
        return found

    stronger = edited(BEHIND, ("quality = 40", "quality = 50"))
    before, after = keys(BEHIND), keys(stronger)
    assert {n[2] for n in before if before[n] != after[n]} == {"rough"}
    assert {n[2] for n in before if before[n] == after[n]} == {""}


def test_a_channel_that_the_profile_does_not_measure_is_refused(done):
    with pytest.raises(MagdrError, match=r"adaptive: channels: 'webp' is none of the profile's channels"):
        done.bench(edited(BEHIND, ('\nchannels = ["rough"]\n', '\nchannels = ["webp"]\n')))


def test_a_run_with_such_cells_is_reported(done):
    manifest = json.loads((done.after.folder / "manifest.json").read_text())
    assert manifest["settings"]["adaptive"]["channels"] == ["rough"]
