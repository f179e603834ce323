"""The report of a hand-written run: figures, marks, references, failures, and nothing from outside."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from magdr_core.errors import MagdrError
from magdr_core.hosting.manager import PluginHost
from magdr_core.report import ReportObserver, write_report
from tests.report.conftest import full, output_error
from tests.report.page import Page, page_of

MINUS = "\N{MINUS SIGN}"
XSS = '<script>alert("x")</script>'


def test_report_detection_figures_and_marks(whole):
    magdr, plain = page_of(whole).block("Detection in full, editing", "pgd")
    assert magdr[0] == "magdr"
    assert magdr[1][:2] == ["oblivious", "0.967 (best) 0.700 to 0.980"]
    assert magdr[1][2:4] == ["86.7% (best)", "1.2% (best)"]
    assert plain[1][2:4] == ["71.2%", "5.2%"]
    assert magdr[1][-2:] == ["4", "200"]
    # F1, recall and AUROC are higher, false alarms lower; equal ones (noise, TPR) and words are not marked.
    assert magdr[2] == [False, True, True, True, True, False, False, False, False]
    assert not any(plain[2])


def test_report_detecting_noise_is_never_best(whole):
    rows = page_of(whole).block("Detection in full, editing", "noise")
    assert [r[0] for r in rows] == ["magdr", "plain"]
    assert not any(mark for r in rows for mark in r[2])


def test_report_hides_rows_without_figures_and_keeps_failed_ones(whole):
    whole.cell("detector", "late", "noise", {"auroc": 0.5}).fail("detector", "broken", "pgd", "no")
    page = page_of(whole)
    short = page.tables["Detection under pgd, editing"][1:]
    assert [r[0] for r in short] == ["magdr", "plain", "broken"]
    assert "late" in [r[0] for r in page.block("Detection in full, editing", "noise")]


def test_report_false_alarms(whole):
    page = page_of(whole)
    head, magdr, plain = page.tables["False alarms, editing"]
    assert [h.split(",")[0] for h in head[1]][:3] == ["Clean ↓", "Clean ↓", "resize ↓"]
    assert magdr[1] == ["10.0%", "1.2% (best)", "20.0%", "4", "200"]
    assert plain[1][1] == "5.2%"


def test_report_defense_undefended_first_oracle_last_and_unmarked(whole):
    rows = page_of(whole).block("Restoration in full, editing: outputs", "pgd")
    assert [r[0].split()[0] for r in rows] == ["identity", "magdr", "jpeg", "oracle"]
    assert rows[0][0] == "identity undefended"
    assert rows[-1][0].startswith("oracle (not a defense)")
    assert rows[1][1][:5] == [
        "oblivious",
        "54.0 (best) 44.0 to 64.0",
        "53.0 (best)",
        "0.946 (best)",
        "38.92 (best)",
    ]
    assert rows[0][1][0] == "no defense"
    assert rows[1][1][-2:] == ["5", "200"]
    assert not any(rows[-1][2])
    # The undefended reference causes no damage by definition: the mark goes to a defense.
    assert [r[2][5] for r in rows] == [False, True, False, False]


def test_report_ensemble_has_a_column_where_it_was_measured(whole):
    caption = "Restoration in full, editing: outputs"
    assert not any("ensemble" in head for head in page_of(whole).tables[caption][0][1])
    plain = [r for r in whole.rows if r["role"] == "defense" and r["metric"] == "mse_o"]
    whole.rows += [{**r, "variant": "ensemble", "value": r["value"] / 2} for r in plain]
    page = page_of(whole)
    assert any("ensemble" in head for head in page.tables[caption][0][1])
    row = page.block(caption, "pgd")[1]
    assert row[1][1].startswith("54.0")
    assert row[1][3].startswith("27.0")


def test_report_says_beside_f1_what_flagging_everything_has(whole):
    def heads():
        return page_of(whole).tables["Detection under pgd, editing"][0][1]

    assert not any("flagging all" in head for head in heads())
    whole.cell("detector", "magdr", "pgd", {"f1_of_all": 2 / 3})
    assert [h for h in heads() if "0.667 by flagging all" in h] == [h for h in heads() if h.startswith("F1")]


def test_report_overview_shows_damage_beside_each_attack(whole):
    rows = page_of(whole).tables["Output error under every attack, editing"]
    assert [h.split()[0] for h in rows[0][1]] == ["Damage", "pgd", "noise", "Passes", "n"]
    assert rows[2][1][:2] == [
        "3.2 (best) -6.8 to 13.2".replace("-", "\N{MINUS SIGN}"),
        "54.0 (best) 44.0 to 64.0",
    ]


def test_report_undefended_can_be_best(whole):
    for row in whole.rows:
        if row["component"] == "identity" and row["attack"] == "pgd" and row["metric"] == "mse_o":
            row["value"] = 1.0
    page = page_of(whole)
    assert page.block("Restoration in full, editing: outputs", "pgd")[0][2][1]
    assert "raises the output error from 1.0 to 54.0" in page.text


def test_report_attack_table(whole):
    _, pgd, noise = page_of(whole).tables["Attacks, editing, no defense"]
    assert pgd[1] == ["6/255", "30", "2,007.0 1,625.6 to 3,251.2", "1,625.6", "75.0%", "200"]
    assert noise[0] == "noise random noise: a reference, not an attack"


def test_report_summary_tells_the_numbers(whole):
    whole.settings["note"] = "demo size"
    text = " ".join(page_of(whole).text.split())
    assert "2 detectors and 2 defenses against 1 attack" in text
    assert "Note of the profile: demo size" in text
    assert "n = 200" in text
    assert "mean squared error of 643.5 [633.5 to 653.5]" in text
    assert "flags 86.7% of these images and 1.2% of clean ones (its threshold was set for 1%)" in text
    assert (
        "lowers the output error from 643.5 to 54.0 [44.0 to 64.0], 92% less; "
        f"on clean images it costs 3.2 [{MINUS}6.8 to 13.2]." in text
    )
    assert "The best baseline, jpeg, leaves 80.1 [70.1 to 90.1] and costs 55.5 on clean images." in text
    assert "oblivious-only" in text


def test_report_adaptive_rows_get_a_column_of_their_own(whole):
    whole.cell("defense", "magdr", "pgd", {"mse_o": 600.0})
    whole.rows[-1]["knowledge"] = whole.cells[-1]["facts"]["knowledge"] = "adaptive"
    page = page_of(whole)
    assert "oblivious-only" not in page.text
    adaptive = page.block("Restoration in full, editing: outputs", "pgd, adaptive")[0]
    assert adaptive[0] == "magdr"
    assert adaptive[1][0] == "adaptive"
    assert adaptive[1][1].startswith("600.0")
    assert page.block("Restoration in full, editing: outputs", "pgd eps")[1][1][1].startswith("54.0")


def test_report_undefended_row_stands_with_transferred_attacks(whole):
    for name, error in (("identity", 300.0), ("magdr", 40.0)):
        whole.cell("defense", name, "pgd@other", {"mse_o": error})
        if name == "magdr":
            whole.rows[-1]["knowledge"] = whole.cells[-1]["facts"]["knowledge"] = "transfer"
    page = page_of(whole)
    rows = page.block("Restoration in full, editing: outputs", "pgd@other, transfer")
    assert [(r[0].split()[0], r[1][0], r[1][1].split()[0]) for r in rows[:2]] == [
        ("identity", "no defense", "300.0"),
        ("magdr", "transfer", "40.0"),
    ]
    titles = [r[0] for r in page.tables["Restoration in full, editing: outputs"] if not r[1]]
    assert len([t for t in titles if t.startswith("pgd@other")]) == 1


def test_report_failed_cells_are_listed_and_not_hidden(whole):
    whole.rows = [
        r for r in whole.rows if not (r["component"] == "magdr" and r["attack"] in ("pgd", "noise"))
    ]
    for cell in whole.cells:
        facts = cell["facts"]
        if facts["component"] == "magdr" and facts["attack"] != "none":
            cell["error"] = "acme/magdr: out of luck"
    page = page_of(whole)
    assert page.block("Restoration in full, editing: outputs", "pgd")[1][1][1] == "failed"
    rows = page.tables["Failed cells: no figure of theirs is in any table"]
    assert len(rows) == 2
    assert rows[1][1][0] == "acme/magdr: out of luck"
    assert "defense magdr on pgd (seed 0)" in rows[1][1][1]
    assert "detector magdr on noise (seed 0)" in rows[1][1][1]
    assert "The figures of MagDR's defense (magdr) are missing: the cell failed" in page.text


def test_report_survives_a_run_in_which_everything_failed(whole):
    whole.rows = []
    for cell in whole.cells:
        cell["error"] = "no"
    page = page_of(whole)
    assert page.block("Output error under every attack, editing", "")[0][1][:2] == ["failed", "failed"]
    assert "How strong pgd (eps 6/255, 30 steps) is undefended is missing" in page.text


def test_report_without_detectors_defenses_or_pictures(fake):
    run = fake().cell("attack", "pgd", "pgd", {"mse_o": 0.1, "median_mse_o": 0.1, "success": 1.0})
    page = page_of(run)
    assert "The profile has no detectors." in page.text
    assert "The profile has no defenses." in page.text
    assert "holds no pictures" in page.text
    assert "This run holds no figures at all." in page_of(fake()).text


def test_report_several_seeds_are_averaged_and_say_what_is_missing(fake):
    run = fake(settings={"attacks": ["pgd"], "defenses": ["magdr"]})
    for seed, error in ((0, 100.0), (1, 201.0)):
        run.seed = seed
        run.cell("defense", "identity", "none", output_error(0.0))
        run.cell("defense", "identity", "pgd", output_error(error))
    run.cell("defense", "magdr", "pgd", output_error(50.0))
    identity, magdr = page_of(run).block("Restoration in full, editing: outputs", "pgd")
    assert identity[1][1] == "150.5 90.0 to 211.0"
    assert magdr[1][1].startswith("50.0 (best)")
    assert magdr[1][1].endswith("1 of 2 seeds")


def test_report_every_task_has_its_tables(whole):
    whole.task = "reenactment"
    whole.settings["generators"] = ["reenactment", "editing"]
    page = page_of(full(whole))
    found = [c for c in page.tables if c.startswith("Restoration in full") and c.endswith("outputs")]
    assert found == [f"Restoration in full, {task}: outputs" for task in ("reenactment", "editing")]


def test_report_magdr_under_another_label(whole):
    whole.manifest["registry_text"] = '[defense.ours]\nuse = "magdr"\n[detector.ours]\nuse = "magdr"\n'
    for entry in [*whole.rows, *(c["facts"] for c in whole.cells)]:
        entry["component"] = entry["component"].replace("magdr", "ours")
    text = page_of(whole).text
    assert "MagDR's defense (ours) lowers" in text
    assert "MagDR's detector (ours) flags" in text


def test_report_of_another_method_of_ours(whole):
    """What the profile calls ours is what the sentences are about, and MagDR is a baseline beside it."""
    whole.manifest["registry_text"] = '[defense.better]\nuse = "acme/better"\n'
    whole.settings["ours"] = ["acme/better"]
    for entry in [*whole.rows, *(c["facts"] for c in whole.cells)]:
        entry["component"] = entry["component"].replace("jpeg", "better")
    text = page_of(whole).text
    assert "acme/better's defense (better) lowers" in text
    assert "The best baseline, magdr, leaves" in text
    assert "acme/better's detector is not among the detectors of this profile." in text
    assert "MagDR's" not in text


def test_report_pictures_are_the_stored_pixels(whole):
    whole.draw([("none", "clean"), ("pgd", "identity"), ("pgd", "magdr"), ("noise", "identity")], samples=3)
    page = page_of(whole)
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(sources) == 8 + 6, "the strips, and one face on the first screen"
    first = next(i for i, alt in enumerate(alts) if alt == "editing, pgd, magdr: outputs of 3 samples")
    data = base64.b64decode(sources[first].removeprefix("data:image/png;base64,"))
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    assert pixels.shape == (8, 3 * 8 + 2 * 2, 4)
    assert (pixels[:, :8, :3] == 2 * 37 + 101).all()
    assert (pixels[:, 8:10, 3] == 0).all()
    assert ("img", "width", str(28 * 60 // 8)) in page.attributes
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("label", "for")]
    assert [v for v in labels if v.startswith("panel")] == ["panel-1-1", "panel-1-2"]
    # all, clean, disrupted, magdr
    assert len([v for v in labels if v.startswith("version")]) == 4


def test_report_one_sample_pictures(whole):
    page = page_of(whole.draw([("none", "clean"), ("pgd", "identity")], samples=1))
    assert ("img", "alt", "editing, clean: outputs of 1 sample") in page.attributes


def test_report_escapes_what_users_and_plugins_say(whole):
    whole.settings["note"] = whole.manifest["registry"] = whole.manifest["device"] = XSS
    whole.manifest["registry_text"] = f"# {XSS}</pre>"
    whole.cell("defense", XSS, "pgd", output_error(1.0))
    whole.cell("defense", "y", XSS, output_error(1.0))
    whole.fail("defense", "bad", "pgd", f"broken: {XSS}")
    whole.draw([("none", "clean"), ("pgd", XSS), (XSS, "y")])
    page = page_of(whole)
    assert page.scripts == 1
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert page.text.count(XSS) >= 8


def test_report_needs_nothing_from_outside(whole):
    page = page_of(whole.draw([("none", "clean"), ("pgd", "magdr")]))
    loads = [
        v for _, name, v in page.attributes if name in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert loads
    assert all(value.startswith(("#", "data:image/png;base64,")) for value in loads)
    text = (whole.folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", text)
    targets = {value[1:] for _, name, value in page.attributes if name == "href"}
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert targets <= set(ids)
    assert len(ids) == len(set(ids))


def test_report_tables_are_marked_up_for_readers(whole):
    page = page_of(whole)
    heads = [name for tag, name, _ in page.attributes if tag == "th" and name == "scope"]
    assert heads
    assert all(page.tables)


def test_report_is_the_same_again(whole):
    whole.draw([("none", "clean"), ("pgd", "magdr")])
    path = write_report(whole.write())
    first = path.read_bytes()
    assert write_report(whole.folder) == path
    assert path.read_bytes() == first
    assert sorted(p.name for p in whole.folder.iterdir()) == [
        "cells.json",
        "manifest.json",
        "pictures.safetensors",
        "report.html",
        "results.csv",
    ]


def test_report_observer_writes_it_when_the_run_ends(whole):
    host, messages = PluginHost(), []
    host.add_observer(ReportObserver(), "report")
    run = whole.write()
    host.notify("magdr_run_finished", messages.append, run=run, manifest={}, rows=[])
    assert (run / "report.html").is_file()
    (run / "results.csv").unlink()
    host.notify("magdr_run_finished", messages.append, run=run, manifest={}, rows=[])
    assert "results.csv: missing" in messages[0]


@pytest.mark.parametrize("name", ["manifest.json", "results.csv", "cells.json"])
def test_report_missing_file_is_named(whole, name):
    run = whole.write()
    (run / name).unlink()
    with pytest.raises(MagdrError, match=rf"{name}: missing; is this the folder of a finished"):
        write_report(run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.json", b"{", "damaged, not JSON"),
        ("manifest.json", b"[]", "not the manifest of a run"),
        ("manifest.json", b'{"schema": 9, "settings": {}}', "written in format 9, this version reads 1"),
        ("manifest.json", b"\xff", "damaged, not JSON: not UTF-8"),
        ("cells.json", b'[{"facts": {}}]', "not the cells of a run"),
        ("results.csv", b"a,b\n1,2\n", "its columns are not"),
        ("results.csv", None, "damaged, line 2: 2 fields"),
        ("pictures.safetensors", b"nonsense", "damaged"),
    ],
)
def test_report_damaged_file_is_one_clear_line(whole, name, content, message):
    run = whole.write()
    if content is None:
        content = (run / name).read_bytes().splitlines()[0] + b"\nmine,editing\n"
    (run / name).write_bytes(content)
    with pytest.raises(MagdrError, match=message) as caught:
        write_report(run)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_report_of_no_folder(tmp_path):
    with pytest.raises(MagdrError, match="no such run folder"):
        write_report(tmp_path / "nothing")


def test_report_partial_manifest_is_enough(whole):
    run = whole.write()
    kept = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    kept = {k: kept[k] for k in ("schema", "registry", "profile", "settings", "device")}
    (run / "manifest.json").write_text(json.dumps(kept), encoding="utf-8")
    assert "not known" in Page(write_report(run).read_text(encoding="utf-8")).text
