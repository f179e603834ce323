"""`magdr export`: clean, attacked and restored pictures as files; it continues where it was interrupted."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from magdr_core.errors import DataError, MagdrError, RegistryError
from magdr_core.export.exporting import DRAWN_TERMS, Export
from magdr_core.toolkit import Toolkit
from tests.bench.conftest import SMALL
from tests.edits import edited

TEXT = edited(SMALL, ("samples = 5", "samples = 3"), ('defenses = ["magdr", ', 'defenses = ["identity", '))


def export(folder: Path, text: str = TEXT, out: str = "out", **options) -> Export:
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    toolkit = Toolkit.from_registry(path, device="cpu")
    said: list[str] = []
    return Export(toolkit, "quick", out=folder / out, cache=folder / "cache", report=said.append, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    export(folder).run()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def levels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.mode == "RGB"
        return np.array(picture)


def test_every_triple_is_three_pictures_and_a_line(made):
    lines = list(csv.DictReader((made / "out" / "triples.csv").open()))
    assert [(line["attack"], line["id"]) for line in lines] == [
        (attack, f"face-{2_000_000 + i}") for attack in ("pgd", "noise") for i in range(3)
    ]
    first = lines[0]
    assert (first["task"], first["seed"], first["defense"]) == ("editing", "0", "jpeg")
    assert first["clean"] == "editing-seed0/clean/000000.png"
    assert first["attacked"] == "editing-seed0/pgd/attacked/000000.png"
    assert first["restored"] == "editing-seed0/pgd/jpeg/000000.png"
    assert "=" in first["condition"]


def test_the_pictures_are_what_the_list_says(made):
    """Against the dataset, and the registry's own restoration."""
    out = made / "out"
    toolkit = Toolkit.from_registry(made / "small.toml", device="cpu")
    faces = toolkit.build("dataset", "faces").split("test")[[0, 1, 2]].images
    jpeg = toolkit.build("restoration", "jpeg")
    for line in csv.DictReader((out / "triples.csv").open()):
        i = int(line["id"].removeprefix("face-")) - 2_000_000
        clean, attacked = levels(out / line["clean"]), levels(out / line["attacked"])
        assert np.array_equal(clean, (faces[i] * 255).round().byte().permute(1, 2, 0).numpy())
        largest = np.abs(clean.astype(int) - attacked).max()
        assert 0 < largest <= 6
        assert (int(line["linf"]), float(line["eps"])) == (largest, pytest.approx(6 / 255))
        given = torch.from_numpy(attacked.copy()).permute(2, 0, 1)[None] / 255
        wanted = (jpeg(given)[0] * 255).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal(levels(out / line["restored"]), wanted)


def test_the_card_says_what_made_them_and_under_which_terms(made):
    out = made / "out"
    card = json.loads((out / "card.json").read_text())
    assert (card["finished"], card["failed"], card["triples"]) == (True, [], 6)
    assert card["tasks"][0]["terms"] == DRAWN_TERMS
    assert card["tasks"][0]["generator"]["params"]["weights"] == "random"
    assert [a["name"] for a in card["attacks"]] == ["pgd", "noise"]
    assert card["sha256sums"] == hashlib.sha256((out / "SHA256SUMS").read_bytes()).hexdigest()
    page = (out / "README.md").read_text()
    assert "| pgd | pgd | 6/255 | 2 |" in page
    assert DRAWN_TERMS in page
    assert "Unfinished" not in page
    assert (out / "registry.toml").read_text() == (made / "small.toml").read_text()
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=out, capture_output=True, text=True)
    assert checked.returncode == 0
    assert checked.stdout.count(": OK") == 3 + 4 * 3 + 1


def test_what_is_there_is_kept_and_what_was_harmed_is_made_again(made):
    out = made / "out"
    before = contents(out)
    cut, swapped = out / "editing-seed0/pgd/jpeg/000001.png", out / "editing-seed0/pgd/attacked/000002.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    swapped.write_bytes((out / "editing-seed0/clean/000002.png").read_bytes())
    (out / "editing-seed0/noise/jpeg/000000.png").unlink()
    (out / "editing-seed0/noise/jpeg/.magdr-00000000-99999999-deadbeef.tmp").write_bytes(b"half")
    result = export(made).run()
    assert result.made == 2
    again = contents(out)
    assert {name: again[name] for name in before} == before
    assert export(made).run().made == 0


def test_more_samples_continue_the_same_folder(made):
    more = export(made, edited(TEXT, ("samples = 3", "samples = 4"))).run()
    assert more.made == 2, "the fourth picture of two attacks"
    assert len(more.triples) == 8
    assert export(made).run().made == 0


def test_another_export_and_other_files_are_left_alone(made, tmp_path):
    before = contents(made / "out")
    with pytest.raises(DataError, match="holds another export; choose a new folder"):
        export(made, edited(TEXT, ("steps = 2", "steps = 3")))
    with pytest.raises(DataError, match="holds another export"):
        export(made, defenses=["fixed-chain"])
    (made / "mine").mkdir(exist_ok=True)
    (made / "mine" / "diary.txt").write_text("dear")
    with pytest.raises(DataError, match="holds other files; choose a new folder"):
        export(made, out="mine")
    assert contents(made / "out") == before
    assert contents(made / "mine") == {"diary.txt": b"dear"}


def test_pictures_that_are_not_drawn_need_terms(tmp_path):
    (tmp_path / "people").mkdir()
    for i in range(20):
        grey = np.full((32, 32, 3), 8 * i, np.uint8)
        Image.fromarray(grey).save(tmp_path / "people" / f"{i:02d}.png")
    use = 'use = "folder"\nparams = { size = 32, path = "people" }'
    text = edited(
        TEXT, ('use = "procedural-faces"\nparams = { size = 32 }', use), ("samples = 3", "samples = 1")
    )
    with pytest.raises(DataError) as e:
        export(tmp_path, text)
    assert str(e.value) == (
        "small.toml [dataset.faces]: its pictures are not drawn, and nothing says under which terms they may "
        "be passed on; say it with --terms"
    )
    assert not (tmp_path / "out").exists()
    asked = export(tmp_path, text, terms="mine, CC0")
    assert asked.terms == {"faces": "mine, CC0"}


def test_a_part_that_fails_is_named_and_the_others_are_made(tmp_path, monkeypatch):
    asked = export(tmp_path)
    from magdr_core.bench.images import GroupImages

    of = GroupImages.of

    def fails(self, part):
        if part.name == "pgd":
            raise MagdrError("no luck")
        return of(self, part)

    monkeypatch.setattr(GroupImages, "of", fails)
    result = asked.run()
    assert result.failed == ["editing (seed 0) / pgd / jpeg: no luck"]
    assert {t.attack for t in result.triples} == {"noise"}
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert (card["finished"], card["failed"]) == (False, result.failed)
    assert "- editing (seed 0) / pgd / jpeg: no luck" in (tmp_path / "out" / "README.md").read_text()


def test_a_profile_without_attacks_or_defenses_is_refused(tmp_path):
    for change, said in [
        (('attacks = ["pgd", "noise"]', ""), r"\[profile\.quick\] has no attacks"),
        (('defenses = ["identity", "jpeg", "fixed-chain"]', ""), "has no defenses; name one with --defense"),
    ]:
        with pytest.raises(RegistryError, match=said):
            export(tmp_path, edited(TEXT, change))
