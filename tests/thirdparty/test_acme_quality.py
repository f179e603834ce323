"""A third party's kind, role and scenario run everywhere without one line of core that knows them."""

from __future__ import annotations

import csv
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from magdr_core.errors import RegistryError
from magdr_core.functional import gaussian_blur, jpeg
from magdr_core.toolkit import Toolkit
from tests.edits import edited
from tests.thirdparty.conftest import PLUGIN, PROJECT, REGISTRY

PICKY = '''
from magdr_core.api import DetectorSpec, Need, hookimpl
MAGDR_API = 1

def picky(*, measure):
    """Suspicious is what looks bad."""
    return lambda x, c, G: -measure(x)

@hookimpl
def magdr_detectors():
    return [DetectorSpec(name="picky", build=picky, needs={"measure": Need("quality")})]
'''

CORE = Path(__file__).parents[2] / "magdr_core"


def pictures(count, side=32, seed=0):
    """`[B,3,H,W]`: smooth, with an edge and some grain."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=g)
    x = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic", align_corners=True)
    x[..., side // 3 : side // 2] += 0.2
    return (0.1 + 0.7 * x + 0.03 * torch.randn(x.shape, generator=g)).clamp(0, 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A benchmark with the package: the folder, the exit code, what was printed, the rows."""
    from click.testing import CliRunner

    from magdr_core.cli import cli

    folder = tmp_path_factory.mktemp("acme")
    (folder / "registry.toml").write_text(REGISTRY)
    arguments = ["bench", str(folder / "registry.toml"), "--device", "cpu"]
    places = ["--out", str(folder / "run"), "--cache", str(folder / "cache")]
    done = CliRunner().invoke(cli, [*arguments, *places], catch_exceptions=False)
    rows = list(csv.DictReader((folder / "run" / "results.csv").open()))
    return folder, done.exit_code, done.output, rows


def of(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


# -- the measures ---------------------------------------------------------------------------------------


def test_sharpness_falls_with_blur():
    toolkit = kit()
    x = pictures(3)
    sharpness = toolkit.build("quality", "sharp")
    scores = [sharpness(gaussian_blur(x, sigma)) for sigma in (0.5, 1.0, 2.0)]
    assert (scores[0] > scores[1]).all()
    assert (scores[1] > scores[2]).all()
    assert sharpness.label == "sharp"


def test_jpeg_quality_falls_with_compression():
    x = pictures(3, side=64)
    score = kit().build("quality", "blocks")
    assert (score(x) > score(jpeg(x, 30))).all()
    assert (score(jpeg(x, 30)) > score(jpeg(x, 5))).all()


def test_jpeg_quality_refuses_what_has_no_blocks():
    with pytest.raises(Exception, match="16 a side are needed"):
        kit().build("quality", "blocks")(pictures(1, side=12))


def kit(text=REGISTRY):
    from magdr_core.registry.read import parse_registry

    return Toolkit(parse_registry(text, Path("acme.toml")), device="cpu")


# -- bench ----------------------------------------------------------------------------------------------


def test_bench_has_rows_of_the_role_on_the_images_of_every_scenario(run):
    _, code, said, rows = run
    assert code == 0, said
    found = of(rows, role="quality", component="sharp", metric="quality")
    assert {row["attack"] for row in found} == {"none", "pgd", "noise", "blur@1", "blur@2.5"}
    assert {row["metric"] for row in of(rows, role="quality")} == {"quality", "quality_lost", "share_worse"}
    assert {row["component"] for row in of(rows, role="quality")} == {"sharp", "blocks"}


def test_bench_values_are_those_of_the_measure(run):
    _, _, _, rows = run
    found = of(rows, role="quality", component="sharp")
    value = {(row["attack"], row["metric"]): float(row["value"]) for row in found}
    clean, blurred = value["none", "quality"], value["blur@2.5", "quality"]
    assert clean > value["blur@1", "quality"] > blurred
    assert value["blur@2.5", "quality_lost"] == pytest.approx(clean - blurred, abs=1e-6)
    assert value["blur@2.5", "share_worse"] == 1.0, "the package's own statistic"
    assert value["none", "quality_lost"] == 0.0
    assert value["noise", "quality"] > clean, "grain is sharp"


def test_bench_runs_core_s_roles_on_the_images_of_the_scenario(run):
    _, _, _, rows = run
    found = of(rows, role="defense", component="jpeg", attack="blur@1")
    assert {"mse_i", "ssim_o"} <= {row["metric"] for row in found}


def test_bench_finds_what_it_has_computed_again(run, magdr, tmp_path):
    folder, _, _, rows = run
    places = ["--out", tmp_path / "again", "--cache", folder / "cache", "--device", "cpu"]
    done = magdr("bench", folder / "registry.toml", *places)
    assert done.code == 0, done.err
    again = list(csv.DictReader((tmp_path / "again" / "results.csv").open()))
    assert [{**row, "seconds": ""} for row in again] == [{**row, "seconds": ""} for row in rows]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('["sharp", "blocks"]', '["shrap"]', "no quality named 'shrap'; did you mean 'sharp'?"),
        (
            "qualities =",
            "qualitis =",
            "this table has no key 'qualitis'; did you mean 'qualities'",
        ),
        (
            "sigmas = [1.0, 2.5]",
            "sigma = [1.0]",
            "blur: this table has no key 'sigma'; did you mean 'sig",
        ),
        ("sigmas = [1.0, 2.5]", "sigmas = [-1]", "blur: key 'sigmas.0' of this table"),
        ("[quality.sharp]", "[qualty.sharp]", "unknown table [qualty]; did you mean 'quality'?"),
        (PLUGIN, "", "unknown table [quality]"),
    ],
)
def test_bench_tells_a_mistake_in_the_registry_before_it_starts(magdr, tmp_path, old, new, words):
    (tmp_path / "registry.toml").write_text(edited(REGISTRY, (old, new)))
    done = magdr("bench", "--out", "run", "--cache", "cache", "--device", "cpu")
    assert done.code == 2
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()
    checked = magdr("registry", "check", "--device", "cpu")
    assert checked.code == 2
    assert (checked.out or checked.err.removeprefix("magdr: ")) == done.err.removeprefix("magdr: ")


# -- report and compare ---------------------------------------------------------------------------------


def test_report_shows_the_role_s_figures(run, magdr):
    folder, _, _, _ = run
    assert magdr("report", folder / "run").code == 0
    page = (folder / "run" / "report.html").read_text()
    for words in ("quality", "quality_lost", "share_worse", "sharp", "blocks", "blur@2.5"):
        assert words in page


def test_compare_knows_the_role_s_figures(run, magdr, tmp_path):
    folder, _, _, _ = run
    text = edited(REGISTRY, ("width = 8, blocks = 1", "width = 12, blocks = 2"))
    (tmp_path / "other.toml").write_text(edited(text, ('name = "small"', 'name = "other"')))
    places = ["--out", tmp_path / "other", "--cache", folder / "cache", "--device", "cpu"]
    assert magdr("bench", tmp_path / "other.toml", *places).code == 0
    done = magdr("compare", folder / "run", tmp_path / "other", "--metric", "quality", "--all")
    assert done.code == 0, done.err
    assert "27 cells in both" in done.out
    assert "thresholds: quality 5% of A" in done.out, "as the figure says"
    within, _, identical = done.out.partition("identical")
    assert "sharp, quality" in within, "another generator, another attack"
    assert "blur@2.5" not in within
    assert "blur@2.5" in identical, "the same blurred images"
    done = magdr("compare", folder / "run", tmp_path / "other", "--metric", "qualty")
    assert done.code == 2
    assert "did you mean 'quality'?" in done.err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"sharp", "blocks"', '"sharp", "blcoks"', "[profile.quick] qualities: no quality named 'blcoks'"),
        ('["sharp", "blocks"]', '"sharp"', "[profile.quick]: qualities: must be a list of labels"),
        ('use = "acme/sharpness"', 'use = "acme/shrapness"', "[quality.sharp]: no quality named 'acme/shr"),
    ],
)
def test_registry_check_looks_at_tables_of_the_kind_and_lists_of_the_role(magdr, tmp_path, old, new, words):
    sound = magdr("registry", "check")
    assert sound.code == 0, sound.out + sound.err
    (tmp_path / "registry.toml").write_text(edited(REGISTRY, (old, new)))
    done = magdr("registry", "check")
    assert done.code == 2
    assert words in done.out


# -- plugins --------------------------------------------------------------------------------------------


def test_plugins_list_has_the_kind_and_its_components(magdr):
    done = magdr("plugins", "list", "--kind", "quality")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "qualities"
    assert "acme/jpeg-quality  acme.qualities.jpeg_quality" in done.out
    everything = magdr("plugins", "list", "--json").document
    assert [e["name"] for e in everything if e["kind"] == "quality"] == [
        "acme/jpeg-quality",
        "acme/sharpness",
    ]
    assert everything[-1]["kind"] == "quality"
    assert len(magdr("plugins", "list", "acme/*", "--kind", "qual*").out.splitlines()) == 3
    assert "did you mean 'quality'" in magdr("plugins", "list", "--kind", "qualty").err


def test_plugins_show_says_where_a_component_is_from(magdr):
    done = magdr("plugins", "show", "acme/sharpness")
    assert done.out.startswith("quality acme/sharpness (version 1)")
    assert "Pech-Pacheco" in done.out
    assert str(PROJECT / "acme_quality" / "qualities" / "sharpness.py") in done.out


def test_plugins_check_judges_the_components_by_the_rules_of_their_kind(magdr):
    done = magdr("plugins", "check", "acme", "--registry", "registry.toml", "--json")
    assert done.code == 0, done.out + done.err
    assert done.document["findings"] == []
    assert done.document["components"] == ["quality acme/jpeg-quality", "quality acme/sharpness"]
    assert done.document["checks"] > 20


def test_plugins_check_finds_a_project_s_folder(magdr):
    done = magdr("plugins", "check", PROJECT)
    assert done.code == 0, done.out
    assert "2 components" in done.out
    assert "0 findings" in done.out


def test_plugins_new_writes_a_component_of_the_kind_which_holds(magdr, tmp_path):
    done = magdr("plugins", "new", "beta", "--kind", "quality")
    assert done.code == 0, done.err
    assert "beta/ holds quality beta/contrast" in done.out
    assert "from acme_quality.kinds.quality import QualitySpec" in (tmp_path / "beta" / "beta.py").read_text()
    done = magdr("plugins", "check", "beta", "--registry", "registry.toml")
    assert done.code == 0, done.out
    assert "1 component" in done.out
    assert "0 findings" in done.out
    done = magdr("plugins", "new", "gamma", "--kind", "qualty")
    assert done.code == 2
    assert "no kind 'qualty'; did you mean 'quality'?" in done.err


def test_plugins_check_finds_what_breaks_a_rule_of_the_kind(magdr, tmp_path):
    assert magdr("plugins", "new", "beta", "--kind", "quality").code == 0
    file = tmp_path / "beta" / "beta.py"
    file.write_text(edited(file.read_text(), (".std(1)", ".std(1) * 0 + 1")))
    done = magdr("plugins", "check", "beta/beta.py", "--registry", "registry.toml")
    assert done.code == 1
    assert "[moves] says 1 of each of 5 different pictures" in done.out


# -- needs ----------------------------------------------------------------------------------------------


def test_component_that_needs_one_of_the_kind_is_tried_with_its_toy(magdr, tmp_path):
    (tmp_path / "picky.py").write_text(PICKY)
    done = magdr("plugins", "check", "picky.py", "--registry", "registry.toml", "--json")
    assert done.code == 0, done.out
    assert done.document["components"] == ["detector picky/picky"]
    assert done.document["findings"] == []
    assert done.document["checks"] > 10


def test_component_of_core_s_kinds_may_need_one_of_the_kind(tmp_path):
    (tmp_path / "picky.py").write_text(PICKY)
    text = edited(REGISTRY, ("{ acme = ", f'{{ picky = "{tmp_path / "picky.py"}", acme = '))
    toolkit = kit(f'{text}[detector.picky]\nuse = "picky/picky"\nparams = {{ measure = "blocks" }}\n')
    x = pictures(2)
    expected = -toolkit.build("quality", "blocks")(x)
    assert torch.equal(toolkit.build("detector", "picky")(x, None, None), expected)
    with pytest.raises(RegistryError, match="no quality named 'blcoks'"):
        kit(f'{text}[detector.picky]\nuse = "picky/picky"\nparams = {{ measure = "blcoks" }}\n').resolve(
            "detector", "picky"
        )


# -- core -----------------------------------------------------------------------------------------------


def test_core_knows_nothing_of_the_package():
    assert importlib.import_module("acme_quality").__file__.startswith(str(PROJECT))
    for file in CORE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "acme_quality" not in text, file
        # In forensics a quality is what a finished picture went through.
        assert '"quality"' not in text or file.parent.name == "forensics", file


@pytest.mark.slow
def test_package_installs_and_its_kind_is_there(tmp_path):
    """As a third party does it: pip, then the commands, with no registry that names it but for bench."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    copy = shutil.copytree(PROJECT, tmp_path / "project")
    subprocess.run([*pip, "--target", tmp_path / "site", copy], check=True, timeout=300)
    path = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != str(PROJECT)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *path])}

    def run(*arguments):
        command = [sys.executable, "-m", "magdr_core.cli", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "acme/sharpness" in run("plugins", "list", "--kind", "quality")
    assert "acme.qualities.sharpness (acme-quality 1.0.0)" in run("plugins", "show", "acme/sharpness")
    assert ", 0 findings" in run("plugins", "check", "acme")
    run("plugins", "new", "beta", "--kind", "quality")
    assert '"acme-quality"]' in (tmp_path / "beta" / "pyproject.toml").read_text(), "where the kind is from"
    text = edited(REGISTRY, (PLUGIN, '[plugins]\nuse = ["acme"]\n'))
    (tmp_path / "registry.toml").write_text(text)
    run("bench", "--out", "run", "--cache", "cache", "--device", "cpu")
    rows = list(csv.DictReader((tmp_path / "run" / "results.csv").open()))
    assert of(rows, role="quality", component="blocks")
