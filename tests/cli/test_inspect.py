"""magdr inspect: every face and every frame gets a verdict, an honest one."""

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.forensics.inspection import Inspector
from magdr_core.media import read_picture
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit
from tests.edits import edited

PLUGIN = '''
"""A model that looks for pure red, one that looks for darkness, and a control."""
from magdr_core.api import ForensicSpec, TrainedOn, hookimpl

MAGDR_API = 1


def red(x):
    return ((x[:, :1] > 0.95) & (x[:, 1:].amax(1, keepdim=True) < 0.05)).float()


class Red:
    """Share of red pixels."""

    def score(self, x):
        """[B,3,H,W] -> [B]."""
        return 5 + red(x).mean((1, 2, 3))

    def locate(self, x):
        """[B,3,H,W] -> [B,1,H,W]."""
        return red(x)


class Dark:
    """Darkness in units of its own."""

    def score(self, x):
        """[B,3,H,W] -> [B]."""
        return -1000 * x.mean((1, 2, 3))


@hookimpl
def magdr_forensics():
    return [
        ForensicSpec(name="red", build=Red, trained_on=TrainedOn(families=("stains",))),
        ForensicSpec(name="dark", build=Dark),
        ForensicSpec(name="control", build=Dark, tags=("control",)),
    ]
'''

REGISTRY = """
[registry]
name = "stains"
[plugins]
local = { own = "./own.py" }
[dataset.faces]
use = "procedural-faces"
params = { size = 32 }
[forensic.red]
use = "own/red"
[forensic.dark]
use = "own/dark"
[forensic.control]
use = "own/control"
[calibration]
clean = 120
"""


@pytest.fixture
def inspect(magdr, tmp_path):
    """`inspect("a.png", "--json")` with the registry above."""
    (tmp_path / "own.py").write_text(PLUGIN)
    (tmp_path / "stains.toml").write_text(REGISTRY)
    return lambda *arguments: magdr("inspect", *arguments, "--registry", "stains.toml")


@pytest.fixture
def stained(astronaut, tmp_path):
    """The astronaut twice in one picture; the second, smaller one has a red stain on the nose."""
    person = Image.fromarray(np.array(astronaut))
    sheet = Image.new("RGB", (1100, 620), "grey")
    sheet.paste(person.resize((600, 600)), (0, 10))
    sheet.paste(person.resize((480, 480)), (610, 70))
    clean = tmp_path / "clean.png"
    sheet.save(clean)
    sheet.paste((255, 0, 0), (610 + 195, 70 + 95, 610 + 235, 70 + 135))
    sheet.save(tmp_path / "stained.png")
    return tmp_path


def test_every_face_is_judged_and_the_forged_one_is_marked(inspect, stained):
    (result,) = inspect("stained.png", "--json", "--model", "red").document["results"]
    assert result["verdict"] == "forged"
    first, second = result["faces"]
    assert (first["verdict"], second["verdict"]) == ("nothing found", "forged")
    assert first["marked"] == 0 < second["marked"] < 0.3
    assert second["cut"]["left"] > 600
    written = read_picture(stained / result["files"]["inspected"]).image
    side = (written.shape[2] - 8) // 4
    coloured = (written.amax(0) - written.amin(0) > 0.2)[30:-30]
    panels = [coloured[:, 8 + i * side : i * side + side].float().mean() for i in range(4)]
    assert panels[1] > 0.002  # the most suspicious face comes first, grey but for its mark
    assert panels[3] == 0


def test_a_clean_picture_is_no_find(inspect, stained):
    done = inspect("clean.png", "--model", "red")
    assert done.code == 0
    assert "no trace of a forgery was found" in done.out
    assert "1 done, 0 forged" in done.out


def test_it_says_what_it_knows_and_whose_threshold_it_has(inspect, stained):
    done = inspect("clean.png")
    assert "asked: red, dark; forgeries known from training: stains; others may pass" in done.out
    assert "120 drawn faces, no photographs" in done.out
    assert "a guess: " in done.out


def test_ones_own_photographs_set_the_threshold(inspect, stained):
    folder = stained / "mine"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(30):
        levels = generator.integers(0, 256, (40, 40, 3), dtype=np.uint8) // (1 + i % 3)
        Image.fromarray(levels).save(folder / f"{i:02}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    done = inspect("clean.png", "--reals", "mine", "--whole", "--model", "dark", "--json")
    assert done.document["reals"] == 30
    assert not done.document["drawn"]
    assert "broken.png" in done.err
    (result,) = done.document["results"]
    assert not result["guess"]
    means = [np.array(Image.open(p)).mean() for p in sorted(folder.glob("[0-9]*.png"))]
    own = np.array(Image.open("clean.png"))[:, 240:860].mean()
    assert result["above"] == pytest.approx(np.mean([own < mean for mean in means]), abs=0.04)
    assert "keeps 3.2% of false alarms, not 1%" in inspect("clean.png", "--reals", "mine", "--whole").out


def test_what_models_said_of_ones_own_photographs_is_kept_and_sets_the_same_threshold(inspect, stained):
    folder = stained / "mine"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(30):
        levels = generator.integers(0, 256, (40, 40, 3), dtype=np.uint8) // (1 + i % 3)
        Image.fromarray(levels).save(folder / f"{i:02}.png")
    first = inspect("clean.png", "--reals", "mine", "--keep", "mine.json", "--whole", "--json").document
    again = inspect("clean.png", "--reals", "mine.json", "--whole", "--json").document
    assert again["reals"] == 30
    assert not again["drawn"]
    assert again["results"][0]["above"] == first["results"][0]["above"]
    assert again["results"][0]["score"] == pytest.approx(first["results"][0]["score"], rel=1e-4)
    table = edited(REGISTRY, ("[calibration]", '[calibration]\nreals = "mine.json"'))
    (stained / "stains.toml").write_text(table)
    shipped = inspect("clean.png", "--whole", "--json").document
    assert shipped["results"] == again["results"]
    assert not shipped["drawn"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is damaged"),
        ('{"schema": 2}', "schema 2, this version of magdr reads 1"),
        ('{"schema": 1, "models": {"red": {"model": "x", "scores": [1, "a"]}}}', "is damaged"),
        (
            '{"schema": 1, "models": {"red": {"model": "x", "scores": [1, NaN]}}}',
            "is damaged: scores of 'red'",
        ),
        (
            '{"schema": 1, "models": {"red": {"model": "x", "scores": [' + ", ".join(["1"] * 30) + "]}}}",
            "[forensic.red] has other weights or parameters there",
        ),
    ],
)
def test_scores_that_do_not_fit_are_said_in_one_line(inspect, stained, content, said):
    (stained / "mine.json").write_text(content)
    done = inspect("clean.png", "--reals", "mine.json", "--model", "red")
    assert done.code == 2
    assert said in done.err
    assert done.err.strip().count("\n") == 0


def test_nothing_is_kept_without_a_folder_of_reals(inspect, stained):
    done = inspect("clean.png", "--keep", "mine.json")
    assert done.code == 2
    assert "--keep goes with --reals FOLDER" in done.err
    assert not (stained / "mine.json").exists()


def test_what_is_judged_sets_no_threshold(inspect, stained):
    done = inspect("clean.png", "--reals", ".")  # the folder holds nothing else that shows a face
    assert done.code == 2
    assert "1 real pictures are too few for a threshold" in done.err


def test_models_of_any_unit_count_alike(tmp_path):
    (tmp_path / "own.py").write_text(PLUGIN)
    (tmp_path / "stains.toml").write_text(REGISTRY)
    kit = Toolkit.from_registry(tmp_path / "stains.toml", device="cpu")
    reals = (
        torch.rand(50, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        * torch.linspace(0.5, 1, 50)[:, None, None, None]
    )
    alone, both = (
        Inspector(kit, labels, store=Store(tmp_path / "store"), reals=reals)
        for labels in (["dark"], ["dark", "control"])
    )
    one, two = alone(reals[:5]), both(reals[:5])
    assert [f.score for f in one] == pytest.approx([f.score for f in two])
    scores = -1000 * reals.mean((1, 2, 3)).double()
    spread = 1.4826 * (scores - scores.quantile(0.5)).abs().quantile(0.5)
    assert one[0].score == pytest.approx(float((scores[0] - scores.quantile(0.5)) / spread), rel=1e-3)
    assert sum(f.forged for f in alone(reals)) == 0  # of 50, none exceeds the largest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "redd"), "has no [forensic.redd]; did you mean 'red'?"),
        (("--reals", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_meant_is_said_at_once(inspect, stained, arguments, said):
    done = inspect("clean.png", *arguments)
    assert done.code == 2
    assert said in done.err
    assert not (stained / "magdr-out").exists()


def test_a_file_that_cannot_be_used_costs_itself_alone(inspect, stained):
    (stained / "d").mkdir()
    (stained / "clean.png").rename(stained / "d" / "clean.png")
    (stained / "d" / "cut.png").write_bytes((stained / "d" / "clean.png").read_bytes()[:5000])
    Image.new("RGB", (64, 64)).save(stained / "d" / "black.png")
    done = inspect("d", "--json")
    assert done.code == 1
    assert [r["path"] for r in done.document["results"]] == ["d/clean.png"]
    assert [s["path"] for s in done.document["skipped"]] == ["d/black.png", "d/cut.png"]


def test_a_clip_has_one_verdict_and_its_worst_frame(inspect, astronaut, tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed (pip install 'magdr[video]')")
    from magdr_core.media import write_video

    person = torch.from_numpy(np.array(Image.fromarray(np.array(astronaut)).resize((160, 160))))
    clean = person.permute(2, 0, 1).float() / 255
    forged = clean.clone()
    forged[:, 25:45, 60:90] = torch.tensor([1.0, 0, 0])[:, None, None]
    write_video(tmp_path / "clip.mkv", [clean, clean, forged, clean], 8)
    (result,) = inspect("clip.mkv", "--json", "--model", "red").document["results"]
    assert (result["kind"], result["frames"], result["frames_flagged"]) == ("clip", 4, 1)
    assert result["worst_at"] == pytest.approx(0.25)
    assert result["score"] == pytest.approx(np.mean(result["scores"]))
    assert (tmp_path / result["files"]["inspected"]).is_file()
