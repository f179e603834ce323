"""Channels between attack and defense: an axis of the grid, with everything that a figure is compared to."""

import csv
import json

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from magdr_core.bench import evaluate
from magdr_core.bench.group import GroupRun
from magdr_core.bench.images import Workplace
from magdr_core.bench.scenarios.channel import clean_behind
from magdr_core.compare import compare_folders
from magdr_core.compare.align import Place
from magdr_core.components.objective import symmetric_mse
from magdr_core.errors import MagdrError
from magdr_core.report.build import render
from magdr_core.report.load import load_run
from magdr_core.results.channel_grid import channel_lines, channels_of
from magdr_core.results.columns import COLUMNS, read_rows
from magdr_core.results.frame import FigureTable
from magdr_core.toolkit import Toolkit
from tests.bench.conftest import SMALL
from tests.bench.test_measured import ATTACKED, CLEAN, NOISE, cell, values
from tests.edits import edited

CHANNELS = """
[channel.rough]
use = "jpeg"
params = { quality = 30 }
[channel.drawn]
use = "jpeg-mix"
params = { qualities = [10, 95], shares = [] }
"""

TEXT = edited(
    SMALL + CHANNELS,
    (
        'ensemble = ["flip"]\nbenign = ["jpeg"]\npictures = 2',
        'noise_l2 = ["pgd"]\nchannels = ["rough", "drawn"]\npictures = 2',
    ),
    ('attacks = ["pgd", "noise"]', 'attacks = ["pgd"]'),
    ('defenses = ["magdr", "jpeg", "fixed-chain"]', 'defenses = ["jpeg"]'),
)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    from tests.bench.conftest import Workshop

    shop = Workshop(tmp_path_factory.mktemp("channels"))
    shop.before = shop.run(edited(TEXT, ('channels = ["rough", "drawn"]\n', "")), out="before")
    shop.first = shop.run(TEXT)
    return shop


@pytest.fixture(scope="module")
def group(done):
    bench = done.bench(TEXT)
    work = Workplace(bench.toolkit, bench.profile, bench.store, {}, bench.progress, bench.report)
    return GroupRun(work, bench.groups[0])


def slice_of(group, name, channel=""):
    return next(s for s in group.group.slices if (s.name, s.channel) == (name, channel))


def test_whatever_has_a_cell_has_one_behind_each_channel(done):
    about: dict[str, set[tuple[str, str, str]]] = {}
    for f in (c.facts for c in done.first.cells):
        about.setdefault(f.channel, set()).add((f.role, f.component, f.attack))
    there = about[""]
    assert there >= {
        ("attack", "pgd", "pgd"),
        ("detector", "magdr", "none"),
        ("detector", "magdr", "noise@6"),
        ("detector", "magdr", "noise-l2:pgd"),
        ("defense", "identity", "none"),
        ("defense", "oracle", "pgd"),
    }
    assert about == dict.fromkeys(("", "rough", "drawn"), there)
    assert not done.first.failures


def test_images_behind_a_channel_are_the_sources_sent_through_it(group):
    for name in ("none", "pgd"):
        source, behind = (
            group.images.of(slice_of(group, name)),
            group.images.of(slice_of(group, name, "rough")),
        )
        assert torch.equal(behind, group.toolkit.build("channel", "rough")(source))
        assert not torch.equal(behind, source)


def test_clean_and_attacked_copies_of_a_picture_go_through_the_same_draw(group):
    """Each picture is coded at 10 or 95: how much it loses tells which."""
    lost = {}
    for name in ("none", "pgd"):
        source, behind = (group.images.of(slice_of(group, name, channel)) for channel in ("", "drawn"))
        error = (behind - source).abs().mean((1, 2, 3))
        plain = group.toolkit.build("channel", "rough").component
        lost[name] = (error > (plain(source) - source).abs().mean((1, 2, 3))).tolist()
    assert lost["none"] == lost["pgd"]
    assert len(set(lost["none"])) == 2, "both qualities are drawn"


def test_the_shares_that_an_attack_keeps_are_of_its_outputs(done, group):
    reference, clean = group.images.reference, group.images.clean(False)

    def y(name, channel):
        return evaluate.outputs(group.images.of(slice_of(group, name, channel)), clean, group.G)

    direct = symmetric_mse(y("pgd", ""), reference).mean()
    behind, alone = y("pgd", "rough"), y("none", "rough")
    found = {
        r["metric"]: r["value"] for r in done.first.rows if (r["role"], r["channel"]) == ("attack", "rough")
    }
    assert found["disruption_kept"] == pytest.approx(
        float(symmetric_mse(behind, reference).mean() / direct), rel=1e-5
    )
    assert found["disruption_of_channel"] == pytest.approx(
        float(symmetric_mse(alone, reference).mean() / direct), rel=1e-5
    )
    assert found["perturbation_kept"] == pytest.approx(
        float(symmetric_mse(behind, alone).mean() / direct), rel=1e-5
    )
    assert clean_behind(slice_of(group, "pgd", "rough")) == slice_of(group, "none", "rough")


def test_only_what_went_through_a_channel_has_a_share_to_keep(done):
    kept = [r for r in done.first.rows if r["metric"] in ("disruption_kept", "perturbation_kept")]
    assert {(r["role"], r["channel"]) for r in kept} == {("attack", "rough"), ("attack", "drawn")}


def test_detection_behind_a_channel_is_against_what_went_through_it():
    clean, noise, attacked = (scores + 0.5 for scores in (CLEAN, NOISE, ATTACKED))
    cells = [
        cell("detector", {"score": CLEAN}, "clean", attack="none"),
        cell("detector", {"score": NOISE}, "noise", attack="noise@6", noise=True),
        cell("detector", {"score": ATTACKED}),
        cell("detector", {"score": clean[::-1]}, "clean", attack="none", channel="rough"),
        cell("detector", {"score": noise[::-1]}, "noise", attack="noise@6", noise=True, channel="rough"),
        cell("detector", {"score": attacked[::-1] - 1}, channel="rough"),
    ]
    truth = np.repeat([0, 1], len(CLEAN))
    plain, behind = (values(cells, attack="pgd", channel=name) for name in ("", "rough"))
    assert plain["auroc", ""] == pytest.approx(roc_auc_score(truth, np.concatenate([CLEAN, ATTACKED])))
    expected = roc_auc_score(truth, np.concatenate([clean, attacked - 1]))
    assert behind["auroc", ""] == pytest.approx(expected)
    expected = roc_auc_score(truth, np.concatenate([noise, attacked - 1]))
    assert behind["auroc_noise", ""] == pytest.approx(expected)
    alarms = {name: values(cells, attack="none", channel=name)["fpr_clean", "fpr1"] for name in ("", "rough")}
    assert alarms == {"": pytest.approx((CLEAN > 1.8).mean()), "rough": pytest.approx((clean > 1.8).mean())}


def test_differences_are_to_the_best_baseline_behind_the_same_channel():
    near, far = np.full(len(CLEAN), 10.0), np.full(len(CLEAN), 50.0)
    cells = [
        cell("defense", {"mse_o": near}, component="blur", baseline=True),
        cell("defense", {"mse_o": near + 1}, component="ours", baseline=False),
        cell("defense", {"mse_o": far}, component="blur", baseline=True, channel="rough"),
        cell("defense", {"mse_o": far + 7}, component="ours", baseline=False, channel="rough"),
    ]
    found = {
        name: values(cells, component="ours", channel=name)["mse_o_difference", "to blur"]
        for name in ("", "rough")
    }
    assert found == {"": pytest.approx(1), "rough": pytest.approx(7)}


def test_rows_without_a_channel_are_what_they_were_and_come_first(done):
    with (done.folder / "run" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (done.folder / "before" / "results.csv").open(newline="") as file:
        before = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert COLUMNS[-1] == "channel"
    assert rows[: len(before)] == before, "not even computed again, since seconds are the same"
    assert {row["channel"] for row in rows[len(before) :]} == {"rough", "drawn"}


def test_a_run_without_channels_keeps_its_cells_facts(done):
    cells = json.loads((done.folder / "before" / "cells.json").read_text())
    assert not any("channel" in one["facts"] for one in cells)


def test_cells_that_the_store_has_are_found_by_a_profile_with_channels(done):
    assert done.first.reused == len(done.before.cells)
    assert done.first.computed == 2 * len(done.before.cells)


def test_a_run_of_more_images_sends_only_the_new_ones(fresh_shop):
    fewer = fresh_shop.run(edited(TEXT, ("samples = 5", "samples = 3")), out="fewer")
    more = fresh_shop.run(TEXT)
    grown = {c.facts.channel for c in more.cells if c.more.get("images_kept") == 3}
    assert grown == {"", "rough", "drawn"}
    before = {(str(c.facts.channel), c.facts.role, c.facts.component, c.facts.attack): c for c in fewer.cells}
    for c in more.cells:
        own = before[(c.facts.channel, c.facts.role, c.facts.component, c.facts.attack)]
        for name, found in own.values.items():
            assert np.allclose(c.values[name][:3], found, rtol=1e-4), (c, name)


def test_a_csv_of_an_earlier_version_has_no_channel(done, tmp_path):
    text = (done.folder / "before" / "results.csv").read_text().splitlines()
    old = tmp_path / "results.csv"
    old.write_text("\n".join(line.rpartition(",")[0] for line in text) + "\n")
    assert read_rows(old) == read_rows(done.folder / "before" / "results.csv")
    damaged = tmp_path / "damaged.csv"
    damaged.write_text("\n".join([text[0], *(line.rpartition(",")[0] for line in text[1:])]) + "\n")
    with pytest.raises(MagdrError, match="line 2: 18 fields, not 19"):
        read_rows(damaged)


def test_a_run_compares_with_one_that_has_no_channels(done):
    found = compare_folders(done.folder / "before", done.folder / "run", done.folder / "cache")
    assert {row.place.channel for row in found.rows} == {""}
    assert {place.channel for place in found.matching.only_b} == {"rough", "drawn"}
    assert any("through rough" in text for text in found.matching.alone_b)


def test_cells_behind_a_channel_are_compared_with_such_alone(done, tmp_path):
    other = done.run(edited(TEXT, ("quality = 30", "quality = 95")), out="milder")
    found = compare_folders(done.folder / "run", other.folder, done.folder / "cache")
    moved = {row.place.channel for row in found.rows if not row.identical}
    assert moved == {"rough"}
    causes = {cause for row in found.rows if row.place.channel == "rough" for cause in row.causes}
    assert causes == {"[channel.rough]"}


def test_a_place_says_its_channel():
    place = Place("editing", "none", 0.0, 0, "clean", "oblivious", "detector", "magdr", 0, "rough")
    assert str(place) == "editing, clean images, through rough, detector magdr"


def test_the_table_has_a_line_a_figure_and_a_column_a_channel(done):
    table = FigureTable(done.first.rows)
    channels = channels_of(table, ["rough", "drawn"])
    assert channels == ["rough", "drawn"]
    lines = list(channel_lines(table, "editing", channels))
    assert (lines[0].condition.attack, lines[0].role, lines[0].figure.name) == (
        "none",
        "detector",
        "fpr_clean",
    )
    told = {(x.condition.attack, x.component, x.figure.name): x.values for x in lines}
    of = {"task": "editing", "attack": "pgd", "role": "defense", "component": "jpeg", "metric": "mse_o"}
    for name in ("", "rough", "drawn"):
        (row,) = (
            r
            for r in done.first.rows
            if all(r[k] == v for k, v in of.items()) and (r["channel"], r["variant"]) == (name, "")
        )
        assert told["pgd", "jpeg", "mse_o"][name].value == row["value"]
    assert told["pgd", "pgd", "disruption_kept"][""] is None


def test_other_tables_are_of_what_was_published(done):
    plain = FigureTable(done.first.rows).number(
        ".6f", role="defense", component="jpeg", attack="pgd", metric="mse_o", task="editing"
    )
    assert plain == FigureTable(done.before.rows).number(
        ".6f", role="defense", component="jpeg", attack="pgd", metric="mse_o", task="editing"
    )


def test_the_report_shows_channels_in_a_table_of_their_own(done):
    page, before = (render(load_run(done.folder / name)) for name in ("run", "before"))
    assert "Behind channels" in page
    assert "Behind channels" not in before
    assert page.count("Table 2, editing") == before.count("Table 2, editing")


def test_parts_of_a_run_share_out_the_cells_behind_channels(done):
    whole = {(str(c), c.slice.channel) for g in done.bench(TEXT).groups for c in g.cells}
    parts = [
        {(str(c), c.slice.channel) for g in done.bench(TEXT, shard=(i, 3)).groups for c in g.cells}
        for i in (1, 2, 3)
    ]
    assert set().union(*parts) == whole
    assert sum(map(len, parts)) == len(whole)
    assert all(any(channel == "rough" for _, channel in part) for part in parts)


def test_a_channel_that_nobody_has_is_told_with_its_place(fresh_shop):
    with pytest.raises(MagdrError, match=r"small.toml .*channels: no channel named 'jpge'.*'jpeg'"):
        fresh_shop.bench(edited(TEXT, ('"rough", "drawn"]', '"jpge"]')))


def test_channels_are_a_list_of_labels_each_once(fresh_shop):
    with pytest.raises(MagdrError, match="channels: 'rough' is listed twice"):
        fresh_shop.bench(edited(TEXT, ('"rough", "drawn"]', '"rough", "rough"]')))
    with pytest.raises(MagdrError, match="channels: must be a list of labels"):
        fresh_shop.bench(edited(TEXT, ('["rough", "drawn"]', '"rough"')))


def test_a_label_without_a_table_is_the_component_of_that_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    assert Toolkit.from_registry(path).resolve("channel", "webp").params["quality"] == 80
