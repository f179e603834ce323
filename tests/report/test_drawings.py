"""Figure 3, quality against recovery and the worst images: what is drawn is what the csv says."""

from __future__ import annotations

import base64
import io
import json
import math
import re

import numpy as np
import pytest
from PIL import Image

from magdr_core.bench.roles import ROLES
from magdr_core.report import chart, write_report
from magdr_core.report import svg as plots
from magdr_core.results.cell import CellResult, Facts
from tests.report.conftest import SWEPT, FakeRun, output_error
from tests.report.page import Page, page_in, page_of, text_in

TITLE = "Figure 3, editing: F1 against iterations of pgd-all, adaptive, eps 6/255, n = 20"


def test_figure_3_has_the_csvs_points(finished):
    page = page_in(finished.folder)
    head, *lines = page.tables[f"{TITLE}, as figures"]
    assert [h.split()[0] for h in head[1]] == [str(n) for n in SWEPT]
    assert {line[0] for line in lines} == {"magdr", "distortion", "consistency", "metzen", "otd", "nnif"}
    sweep = [r for r in finished.rows if r["task"] == "editing" and r["variant"].startswith("steps=")]
    for name, cells, _ in lines:
        wanted = {r["steps"]: r["value"] for r in sweep if r["component"] == name}
        assert [cell.split()[0] for cell in cells] == [f"{wanted[n]:.3f}" for n in SWEPT]


def test_figure_3_is_drawn_to_scale_and_told_in_words(finished):
    text = text_in(finished.folder)
    drawing = text[text.index('aria-labelledby="figure3-1-1-title') :]
    points = re.search(r'<polyline points="([^"]+)" class="curve c0 bold"', drawing)[1]
    drawn = [tuple(map(float, p.split(","))) for p in points.split()]
    logs = [math.log10(n) for n in SWEPT]
    left, right = drawn[0][0], drawn[-1][0]
    share = [(x - left) / (right - left) for x, _ in drawn]
    assert share == pytest.approx([(v - logs[0]) / (logs[-1] - logs[0]) for v in logs], abs=2e-3)
    f1 = [r["value"] for r in finished.rows if r["task"] == "editing" and r["component"] == "magdr"][
        -len(SWEPT) :
    ]
    slope = (drawn[-1][1] - drawn[0][1]) / (f1[-1] - f1[0])
    assert slope < 0  # better is higher
    assert [y for _, y in drawn] == pytest.approx([drawn[0][1] + slope * (v - f1[0]) for v in f1], abs=0.1)
    assert f"magdr: {f1[0]:.3f} after 10, {f1[-1]:.3f} after 500" in drawing


def test_no_figure_3_without_a_sweep(whole):
    page = page_of(whole)
    assert "Figure 3" not in page.text
    whole.cell("detector", "magdr", "pgd", {"f1@steps=10": 0.9})
    assert "Figure 3" not in page_of(whole).text, "one point is no curve"
    whole.cell("detector", "magdr", "pgd", {"f1@best-f1 steps=20": 0.8, "f1@steps=20": 0.7})
    assert "Figure 3, editing: F1 against iterations of pgd" in page_of(whole).text


@pytest.mark.parametrize("form", ["sweep {}", "best-f1, sweep {}", "best-f1 steps={}"])
def test_figure_3_reads_every_form_of_a_sweep(whole, form):
    for steps, f1 in ((10, 0.9), (100, 0.4)):
        whole.cell("detector", "magdr", "pgd", {f"f1@{form.format(steps)}": f1}, steps=steps)
        whole.cell("detector", "magdr", "pgd", {f"f1@fpr1, sweep {steps}": 0.1}, steps=steps)
        whole.cells[-2]["facts"]["slice_role"] = whole.cells[-1]["facts"]["slice_role"] = "sweep"
    page = page_of(whole)
    title = "Figure 3, editing: F1 against iterations of pgd, oblivious, eps 6/255, n = 200, as figures"
    assert page.tables[title][1][1] == ["0.900", "0.400"]
    headings = [row[0] for rows in page.tables.values() for row in rows if not row[1]]
    assert not any("10 steps" in h or "100 steps" in h for h in headings)


def test_points_of_a_sweep_are_in_no_other_table(finished):
    page = page_in(finished.folder)
    titles = [row[0] for name, rows in page.tables.items() if "Figure 3" not in name for row in rows]
    assert not any("pgd-all" in title for title in titles)


def test_tradeoff_tells_every_defense(finished):
    text = text_in(finished.folder)
    described = text.split('<desc id="tradeoff-1-desc">')[1].split("</desc>")[0]
    for name in ("magdr", "jpeg", "oracle"):
        rows = [
            r for r in finished.rows if (r["task"], r["component"], r["metric"]) == ("editing", name, "mse_o")
        ]
        figures = {r["attack"]: r["value"] for r in rows if not r["variant"]}
        assert f"{name}: damage {figures['none']:,.1f}, left {figures['pgd']:,.1f}" in described


def test_tradeoff_marks_are_where_the_figures_are(finished):
    text = text_in(finished.folder)
    drawing = text[text.index('aria-labelledby="tradeoff-1-title') :].split("</svg>")[0]
    rows = [r for r in finished.rows if (r["task"], r["metric"], r["variant"]) == ("editing", "mse_o", "")]
    left = {r["component"]: r["value"] for r in rows if r["attack"] == "pgd" and r["role"] == "defense"}
    marks = dict(re.findall(r'<circle [^>]*cy="([\d.]+)"[^>]*><title>(\w+): damage', drawing))
    squares = dict(re.findall(r'<rect [^>]*y="([\d.]+)"[^>]*><title>(\w+): damage', drawing))
    magdr = next(float(y) for y, name in marks.items() if name == "magdr")
    identity = next(float(y) for y, name in squares.items() if name == "identity")
    assert identity < magdr
    ticks = [(float(y) - 4, float(v.replace(",", ""))) for y, v in _ticks(drawing)]
    (y0, v0), (y1, v1) = ticks[0], ticks[-1]
    share = math.log10((1 + left["magdr"]) / (1 + v0)) / math.log10((1 + v1) / (1 + v0))
    assert magdr == pytest.approx(y0 + share * (y1 - y0), abs=0.2)


def _ticks(drawing):
    return re.findall(r'<text [^>]*y="([\d.]+)" text-anchor="end" class="tick">([\d,]+)</text>', drawing)


def test_labels_do_not_cover_each_other():
    points = [(100.0 + 3 * i, 100.0 + 2 * i, f"defense-{i}") for i in range(8)]
    places = plots.placed(points, plots.PlotArea(0, 0, 600, 400))
    boxes = []
    for (x, y, anchor, _), (_, _, words) in zip(places, points, strict=True):
        width = 6.4 * len(words)
        start = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
        boxes.append(plots.PlotArea(start, y - 11, start + width, y + 3))
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert sum(a.overlap(b) > 1 for a, b in pairs) == 0


def test_labels_do_not_cover_whiskers():
    whisker = plots.PlotArea(98, 20, 102, 180)
    ((x, _, anchor, _),) = plots.placed([(100.0, 100.0, "here")], plots.PlotArea(0, 0, 200, 200), [whisker])
    assert (anchor, x > 102) == ("start", True) or (anchor, x < 98) == ("end", True)


def test_ticks_are_round_and_hold_the_data():
    assert chart.round_ticks(0.0, 1234.0) == [0, 500, 1000, 1500]
    assert chart.round_ticks(0.0, 0.7) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert chart.round_ticks(-3.0, 4.0) == [-4, -2, 0, 2, 4]
    assert chart.round_ticks(3.0, 3.0) == pytest.approx([3, 3.2, 3.4, 3.6, 3.8, 4])


def test_axes_say_what_they_measure_and_marks_stand_where_their_figures_are():
    points = (chart.Point(0.0, 10.0, "low"), chart.Point(400.0, 30.0, "high"))
    drawn = chart.draw(
        chart.Chart(
            "a chart",
            "two points",
            chart.Axis("passes per image", low=0.0),
            chart.Axis("left, squared levels", low=0.0),
            (chart.Series(chart.MarkStyle("c0"), points),),
        ),
        "name",
    )
    titles = re.findall(r'class="title"[^>]*>([^<]+)<', drawn)
    assert titles == ["passes per image", "left, squared levels"]
    ticks = dict(re.findall(r'<text x="([\d.]+)"[^>]*text-anchor="middle" class="tick">([\d,]+)<', drawn))
    marks = {tip: float(x) for x, tip in re.findall(r'<circle cx="([\d.]+)".*?<title>(\w+)<', drawn)}
    assert marks == {"low": min(map(float, ticks)), "high": max(map(float, ticks))}
    assert list(ticks.values()) == ["0", "100", "200", "300", "400"]


def test_spread_keeps_order_and_distance():
    moved = plots.spread([10.0, 11.0, 12.0, 90.0], 15, 0, 100)
    assert moved == [10, 25, 40, 90]
    assert plots.spread([95.0, 96.0], 15, 0, 100) == [85, 100]


def test_worst_images_are_the_largest_errors(finished):
    rows = page_in(finished.folder).tables["Worst 5 of 20 images, editing: magdr under pgd"][1:]
    cells = {
        c["facts"]["component"]: c["mse_o"]
        for c in finished.cells
        if (c["facts"]["task"], c["facts"]["attack"]) == ("editing", "pgd") and "mse_o" in c
    }
    wanted = sorted(cells["magdr"], key=cells["magdr"].get, reverse=True)[:5]
    assert [row[0] for row in rows] == wanted
    for image, figures, _ in rows:
        assert figures[0] == f"{cells['identity'][image]:,.1f}"
        assert figures[1] == f"{cells['magdr'][image]:,.1f}"
        rivals = {n: e[image] for n, e in cells.items() if n not in ("identity", "magdr", "oracle")}
        best = min(rivals, key=rivals.get)
        assert figures[2] == f"{rivals[best]:,.1f} {best}"


def worst_gallery(text):
    """The first task's pictures of the worst images: ids, and pixels by description."""
    part = text.split('<div class="gallery worst">')[1].split("<h3>")[0]
    ids = json.loads(re.search(r"data-ids='([^']*)'", part)[1])
    found = dict(reversed(m) for m in re.findall(r'src="data:image/png;base64,([^"]*)" alt="([^"]*)"', part))
    return ids, {k: np.asarray(Image.open(io.BytesIO(base64.b64decode(v)))) for k, v in found.items()}


def test_pictures_of_the_worst_images_stand_in_the_order_of_their_table(finished):
    text = text_in(finished.folder)
    rows = Page(text).tables["Worst 5 of 20 images, editing: magdr under pgd"][1:]
    ids, drawn = worst_gallery(text)
    assert ids == [row[0] for row in rows]
    where = "editing, pgd, worst images"
    named = {"clean-": "clean", "attacked-": "disrupted", "": "magdr"}
    assert drawn.keys() == {
        f"{where}, {n}: {side}s of 5 samples" for n in named.values() for side in ("input", "output")
    }
    for prefix, name in named.items():
        for side in ("input", "output"):
            stored = finished.pictures[("editing", "pgd", "magdr", f"worst-{prefix}{side} 0")]
            wanted = (stored * 255).round().byte().permute(0, 2, 3, 1).numpy()
            pixels = drawn[f"{where}, {name}: {side}s of 5 samples"]
            for i in range(5):
                assert (pixels[:, i * 18 : i * 18 + 16, :3] == wanted[i]).all()


def test_missing_pictures_of_the_worst_images_are_said_to_be_missing(complete):
    (cell,) = (
        c
        for c in complete.cells
        if tuple(c["facts"][k] for k in ("task", "attack", "component", "role"))
        == ("editing", "pgd", "magdr", "defense")
    )
    kept = cell["worst"]
    cell["worst"] = [*kept[:3], "somebody", "else"]
    page = write_report(complete.write()).read_text(encoding="utf-8")
    assert "holds no pictures of 2 of these images." in page
    assert worst_gallery(page)[0] == kept[:3]
    del cell["worst"]
    page = write_report(complete.write()).read_text(encoding="utf-8")
    assert "holds no pictures of these images." in page
    assert page.count('<div class="gallery worst">') == 2, "of the other two tasks"


def test_worst_images_of_several_seeds_have_their_own_pictures(complete):
    """The worst of both seeds together, each with the pictures of its own seed."""
    first = [c for c in complete.cells if c["facts"]["task"] == "editing"]
    for cell in first:
        other = {**cell, "facts": cell["facts"] | {"seed": 1}}
        if "mse_o" in cell:
            other["mse_o"] = {name: 2 * v for name, v in cell["mse_o"].items()}
        complete.cells.append(other)
    for name, images in list(complete.pictures.items()):
        if name[0] == "editing" and name[3].endswith(" 0"):
            complete.pictures[(*name[:3], name[3][:-1] + "1")] = 1 - images
    page = write_report(complete.write()).read_text(encoding="utf-8")
    ids, drawn = worst_gallery(page)
    assert any(name.endswith("(seed 1)") for name in ids)
    magdr = next(c for c in first if "worst" in c and c["facts"]["attack"] == "pgd")
    name, seed = ids[0].removesuffix(")").split(" (seed ")
    stored = complete.pictures[("editing", "pgd", "magdr", f"worst-output {seed}")][
        magdr["worst"].index(name)
    ]
    wanted = (stored * 255).round().byte().permute(1, 2, 0).numpy()
    pixels = next(p for alt, p in drawn.items() if "magdr: outputs" in alt)
    assert (pixels[:, :16, :3] == wanted).all()


def test_no_worst_images_where_the_run_kept_no_errors(whole):
    assert "Worst" not in page_of(whole).text.split("How to read")[0]


def test_paired_difference_and_verdict_are_shown(finished):
    rows = page_in(finished.folder).block("Restoration in full, editing: outputs", "pgd")
    magdr, jpeg = (next(r for r in rows if r[0] == name) for name in ("magdr", "jpeg"))
    minus = "\N{MINUS SIGN}"
    assert magdr[1][-2].startswith(minus)
    assert magdr[1][-2].endswith("to purifier, significant")
    assert jpeg[1][-2].endswith("to purifier, not significant")


@pytest.mark.parametrize(("p", "said"), [(0.049, "significant"), (0.051, "not significant")])
def test_adjusted_p_decides_what_is_significant(whole, p, said):
    whole.cell(
        "defense",
        "magdr",
        "pgd",
        {"mse_o_difference@to jpeg": (-9.0, -12.0, -6.0), "mse_o_difference_p@to jpeg": p},
    )
    rows = page_of(whole).block("Restoration in full, editing: outputs", "pgd")
    assert next(r for r in rows if r[0] == "magdr")[1][-2].endswith(f"to jpeg, {said}")


def test_summary_says_where_a_baseline_is_better(fake: FakeRun):
    run = fake(n=3, settings={"attacks": ["pgd"], "defenses": ["magdr", "jpeg"]})
    for name, error in (("identity", 500.0), ("magdr", 60.0), ("jpeg", 50.0)):
        run.cell("defense", name, "none", output_error(0.0))
        run.cell("defense", name, "pgd", output_error(error))
    run.cell("defense", "magdr", "pgd", {"mse_o_difference@to jpeg": (10.0, 2.0, 18.0)})
    page = Page(write_report(run.write()).read_text(encoding="utf-8"))
    text = " ".join(page.text.split())
    assert "The best baseline, jpeg, leaves 50.0 [40.0 to 60.0]" in text
    assert "image by image magdr leaves 10.0 more [2.0 to 18.0]." in text
    assert "Demonstration size. So few images per seed (editing 3)" in text


def test_cells_of_a_run_keep_the_errors_of_single_images():
    """What `worst` reads is what a benchmark writes."""
    facts = Facts("editing", "toy", "faces", "pgd", "attack", 0.02, 3, "oblivious", "defense", "jpeg", 0)
    values = {"mse_o": [1.23456789, 2.0], "ssim_o": [0.1, 0.2]}
    cell = CellResult(facts, "0", ["face-1", "face-2"], [0, 1], values, 1.0)
    told = ROLES["defense"].brief(cell.as_json())
    assert CellResult.from_json({**cell.brief(), **told}).mse_o == {"face-1": 1.23457, "face-2": 2.0}
    assert "mse_o" not in ROLES["detector"].brief(cell.as_json())
