"""magdr defend and detect on pictures of one's own."""

import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from magdr_core.media.panels import GAP, SIDE, STRIP
from tests.edits import edited


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_the_astronaut_goes_through_as_json(own, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    done = own("defend", "a.png", "--json")
    assert done.code == 0, done.err
    document = done.document
    assert document["command"] == "defend"
    assert document["set"] == {"Blond_Hair": 1.0}
    assert document["kept"] == ["Black_Hair", "Brown_Hair", "Smiling", "Eyeglasses"]
    assert document["assumed_absent"] == []
    assert document["skipped"] == []
    (result,) = document["results"]
    assert result["path"] == "a.png"
    assert result["verdict"] == "not disrupted"
    assert result["score"] < result["threshold"]
    assert set(result["regions"]) >= {"skin"}
    assert set(result["processings"]) == {"flip"}
    assert result["cut"]["side"] > 100
    assert set(result["files"]) == {"unchanged", "output", "compare"}
    assert Image.open(result["files"]["compare"]).size == (2 * (SIDE + GAP) + GAP, SIDE + 2 * STRIP)


def test_what_is_not_disrupted_is_handed_back_byte_for_byte_and_no_file_says_otherwise(
    own, astronaut, tmp_path
):
    astronaut.save(tmp_path / "a.jpg", quality=90)
    done = own("defend", "a.jpg")
    written = sorted(p.name for p in (tmp_path / "magdr-out").iterdir())
    assert written == ["a.jpg.compare.png", "a.jpg.output.png", "a.jpg.unchanged.jpg"]
    copy = tmp_path / "magdr-out" / "a.jpg.unchanged.jpg"
    assert copy.read_bytes() == (tmp_path / "a.jpg").read_bytes()
    assert "a.jpg: not disrupted\n" in done.out
    assert "what to do: use it as it is" in done.out
    assert "handed back unchanged, a copy of the file byte for byte" in done.out
    assert "restored" not in edited(done.out, ("may still be", ""))


def test_results_of_an_earlier_verdict_do_not_stay_beside_those_of_the_next(
    own, restoring, astronaut, tmp_path
):
    astronaut.save(tmp_path / "a.png")
    out = tmp_path / "magdr-out"
    (restored,) = own("defend", "a.png", "--json", flags="always").document["results"]
    assert set(restored["files"]) == {"restored", "output", "compare"}
    own("defend", "a.png")
    assert not (out / "a.png.restored.png").exists()
    own("defend", "a.png", flags="always")
    assert not (out / "a.png.unchanged.png").exists()


def test_a_suspicion_too_weak_for_a_verdict_is_said_and_restored(own, restoring, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    (result,) = own("defend", "a.png", "--json", flags="between").document["results"]
    assert (result["verdict"], result["flagged"]) == ("cannot tell", False)
    assert "not sure: it scores" in result["how_sure"]
    assert "restored" in result["files"]
    assert result["plan"]
    assert "compare what was received and restored" in result["what_to_do"]


def test_a_score_more_like_that_of_clean_faces_is_none_of_a_disrupted_one_wherever_restoring_pays(
    own, restoring, astronaut, tmp_path
):
    astronaut.save(tmp_path / "a.png")
    (result,) = own("defend", "a.png", "--json", flags="clean-like").document["results"]
    assert result["reconstructed_above"] < result["score"] < result["unsure_above"]
    assert result["verdict"] == "not disrupted"
    assert "unchanged" in result["files"]
    assert not result["plan"]


def test_what_only_a_calibration_of_other_pictures_suspects_is_left_alone(
    own, restoring, astronaut, tmp_path
):
    astronaut.save(tmp_path / "a.png")
    done = own("defend", "a.png", flags="lost-clean")
    assert "a.png: cannot tell; it looks not disrupted" in done.out
    assert "restored by" not in done.out
    assert pixels("magdr-out/a.png.unchanged.png").shape == (230, 230, 3)


# -- several faces --------------------------------------------------------------------------------------


def test_every_face_of_a_picture_is_judged_and_put_back(own, restoring, couple, tmp_path):
    couple.save(tmp_path / "two.png")
    (result,) = own("defend", "two.png", "--json", flags="always").document["results"]
    first, second = result["faces"]
    assert first["cut"]["side"] > second["cut"]["side"]
    assert first["score"] != second["score"]
    assert result["score"] == max(first["score"], second["score"]), "the worst decides"
    moved = (pixels(result["files"]["restored"]) != pixels("two.png")).any(2)
    output = (pixels(result["files"]["output"]) != pixels("two.png")).any(2)
    for face in (first, second):
        cut = face["cut"]
        inside = (slice(cut["top"], cut["top"] + cut["side"]), slice(cut["left"], cut["left"] + cut["side"]))
        assert moved[inside].any() == bool(face["plan"])
        assert output[inside].mean() > 0.5
        moved[inside] = output[inside] = False
    assert first["plan"]
    assert second["plan"]
    assert not moved.any()
    assert not output.any()
    height = Image.open(result["files"]["compare"]).size[1]
    assert height == 2 * (SIDE + 2 * STRIP), "a row for each face"


def test_each_face_gets_lines_of_its_own(own, couple, tmp_path):
    couple.save(tmp_path / "two.png")
    done = own("detect", "two.png", flags="always")
    assert "two.png: disrupted, 2 of 2 faces" in done.out
    for number in (1, 2):
        assert f"face {number} (" in done.out
    assert done.out.count("how sure: ") == 2
    assert done.out.count("why: ") == 2
    assert done.out.count("what to do: ") == 1


def test_one_face_may_be_chosen(own, couple, tmp_path):
    couple.save(tmp_path / "two.png")

    def cuts(*options):
        (result,) = own("detect", "two.png", "--json", *options).document["results"]
        return [face["cut"] for face in result["faces"]]

    both = cuts()
    assert cuts("--face", "largest") == cuts("--face", "1") == both[:1]
    assert cuts("--face", "2") == both[1:]
    done = own("detect", "two.png", "--face", "2")
    assert "2 faces were found, number 2 is used" in done.out
    done = own("detect", "two.png", "--face", "3")
    assert done.code == 1
    assert "skipped two.png: it shows 2 faces, there is no face 3" in done.out


@pytest.mark.parametrize("face", ["0", "-1", "smallest", "1.5", "²"])
def test_another_face_than_there_can_be_is_refused(own, couple, tmp_path, face):
    couple.save(tmp_path / "two.png")
    done = own("detect", "two.png", f"--face={face}")
    assert done.code == 2
    assert "expected all, largest, or a number from 1" in done.err


def test_a_disrupted_picture_is_changed_inside_the_cut_only(own, restoring, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    done = own("defend", "a.png", "--json", flags="always")
    (result,) = done.document["results"]
    assert result["verdict"] == "disrupted"
    before = pixels("a.png")
    cut = result["cut"]
    outside = np.ones(before.shape[:2], bool)
    outside[cut["top"] : cut["top"] + cut["side"], cut["left"] : cut["left"] + cut["side"]] = False
    for name in ("restored", "output"):
        after = pixels(result["files"][name])
        assert (after[outside] == before[outside]).all()
    assert (pixels(result["files"]["output"]) != before).any()
    assert result["plan"]
    assert (pixels(result["files"]["restored"]) != before).any()
    assert result["forwards"] >= 2


def test_verdicts_are_told_with_their_evidence(own, restoring, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    done = own("defend", "a.png", flags="always")
    assert done.code == 0
    for words in (
        "a.png: disrupted\n",
        "how sure: fairly sure: it scores",
        "only about 1 in 100 clean faces score above",
        "why: the generator",
        "more than with clean faces",
        "what to do: use the restored one instead",
        "restored by",
        "a.png.restored.png",
    ):
        assert words in done.out
    for words in ("spreads", "processing"):
        assert words not in done.out
    assert "1 done, 1 disrupted" in done.out


def test_a_program_is_told_the_same_words(own, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    for flags in ("always", "never", "between", "lost"):
        shown = own("detect", "a.png", flags=flags).out
        (result,) = own("detect", "a.png", "--json", flags=flags).document["results"]
        assert f"a.png: {result['verdict']}" in shown
        for key, label in (("how_sure", "how sure"), ("why", "why"), ("what_to_do", "what to do")):
            assert f"{label}: {result[key]}\n" in shown
            assert result["faces"][0][key] == result[key]


def test_what_the_calibration_does_not_cover_is_said_to_be_a_guess(own, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    done = own("detect", "a.png", flags="lost")
    assert "a.png: cannot tell; it looks disrupted" in done.out
    assert "how sure: a guess: " in done.out
    assert "magdr calibrate --data FOLDER" in done.out
    assert "1 done, 0 disrupted, 1 cannot tell" in done.out
    (result,) = own("detect", "a.png", "--json", flags="lost").document["results"]
    assert (result["verdict"], result["flagged"]) == ("cannot tell", True)
    assert result["covered_by_calibration"] is False
    assert "magdr calibrate --data" in result["what_to_do"]


def test_detect_says_the_same_and_writes_nothing(own, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    (result,) = own("detect", "a.png", "--json", flags="always").document["results"]
    (defended,) = own("defend", "a.png", "--json", "--out", "out", flags="always").document["results"]
    assert result["verdict"] == "disrupted"
    assert (result["score"], result["cut"]) == (defended["score"], defended["cut"])
    own("detect", "a.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "out"]


def test_a_turned_picture_is_upright_in_the_results(own, restoring, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    astronaut.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    upright, turned = own("defend", "a.png", "turned.png", "--json", flags="always").document["results"]
    assert upright["cut"] == turned["cut"]
    assert upright["score"] == turned["score"]
    assert any("EXIF" in note for note in turned["notes"])
    assert (pixels(turned["files"]["restored"]) == pixels(upright["files"]["restored"])).all()


def test_the_whole_picture_needs_no_face(own, tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(tmp_path / "grain.png")
    done = own("detect", "grain.png")
    assert done.code == 1
    assert "skipped grain.png: no face was found; with --whole" in done.out
    (result,) = own("detect", "grain.png", "--whole", "--json").document["results"]
    assert result["cut"] == {"top": 0, "left": 10, "side": 40}


# -- bad files ------------------------------------------------------------------------------------------


def bad_files(folder, astronaut):
    """Name -> what must be said about it."""
    data = io.BytesIO()
    astronaut.save(data, format="JPEG")
    (folder / "half.jpg").write_bytes(data.getvalue()[:3000])
    (folder / "nothing.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("dear diary\n" * 99)
    Image.new("RGB", (400, 1)).save(folder / "thin.png")
    frames = [Image.new("RGB", (32, 32), c) for c in ("red", "blue")]
    frames[0].save(folder / "moves.gif", save_all=True, append_images=frames[1:])
    head = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 999)))
    bomb = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(bomb))
    Image.new("RGB", (64, 64), "grey").save(folder / "wall.png")
    (folder / "broken.mp4").write_bytes(b"\0\0\0\x20ftypisom" + b"\x07" * 500)
    return {
        "half.jpg": "damaged or truncated",
        "nothing.jpg": "is empty",
        "text.jpg": "is not a picture",
        "thin.png": "400 x 1 pixels are too few",
        "moves.gif": "animated",
        "bomb.png": "megapixels",
        "wall.png": "no face",
        "broken.mp4": "video",
    }


def test_bad_files_are_named_in_one_line_each_and_the_rest_is_done(own, astronaut, tmp_path):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    expected = bad_files(folder, astronaut)
    astronaut.save(folder / "deep" / "good.jpg", quality=95)
    (folder / ".hidden.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    done = own("defend", "photos")
    assert done.code == 1
    lines = done.out.splitlines()
    for name, words in expected.items():
        (line,) = [line for line in lines if f"/{name}:" in line]
        assert line.startswith("skipped")
        assert words in line
    assert f"1 done, 0 disrupted, {len(expected)} skipped" in done.out
    assert (tmp_path / "magdr-out" / "deep" / "good.jpg.unchanged.jpg").is_file()
    assert len([p for p in (tmp_path / "magdr-out").rglob("*") if p.is_file()]) == 3
    document = own("defend", "photos", "--json").document
    assert {s["path"].split("/")[-1] for s in document["skipped"]} == set(expected)
    assert len(document["results"]) == 1


def test_a_second_call_replaces_its_own_results_and_passes_them_over(own, astronaut, tmp_path):
    (tmp_path / "photos").mkdir()
    astronaut.save(tmp_path / "photos" / "a.png")
    first = own("defend", "photos", "--out", "photos", "--json", flags="always")
    content = {p.name: p.read_bytes() for p in (tmp_path / "photos").iterdir()}
    assert len(content) == 4
    second = own("defend", "photos", "--out", "photos", "--json", flags="always")
    assert second.out == first.out
    assert {p.name: p.read_bytes() for p in (tmp_path / "photos").iterdir()} == content


# -- wrong usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["gone.png", "--set", "Smiling"], "'gone.png' does not exist"),
        (["empty", "--set", "Smiling"], "folder 'empty' holds no picture or clip"),
        (["a.png"], "--set NAME; it knows Black_Hair, Blond_Hair"),
        (["a.png", "--set", "Blond_hair"], "no condition 'Blond_hair'; did you mean 'Blond_Hair'?"),
        (["a.png", "--set", "Smiling", "--has", "Smilin"], "did you mean 'Smiling'?"),
        (["a.png", "--set", "Smiling", "--has", "Smiling"], "changes nothing"),
        (["a.png", "--set", "Smiling=much"], "a value from 0 to 1"),
        (["a.png", "--set", "Smiling=7"], "a value from 0 to 1"),
        (["a.png", "--set", "Smiling", "--task", "edting"], "did you mean 'editing'?"),
        (["a.png", "--set", "Smiling", "--out", "a.png"], "a.png"),
        (["a.png", "--set", "Smiling", "--registry", "gone.toml"], "gone.toml"),
        (["a.png", "--set", "Smiling", "--defense", "identity"], "does not detect and reconstruct"),
        (["a.png", "sub/a.png", "--set", "Smiling"], "would have results of one name"),
        (["x/b.png", "x/b.png.restored.png", "--set", "Smiling", "--out", "x"], "would be overwritten"),
        (["x/c.jpg", "x/c.jpg.unchanged.jpg", "--set", "Smiling", "--out", "x"], "would be overwritten"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage_is_one_line_and_nothing_is_written(magdr, workshop, tmp_path, arguments, expected):
    copy = ("x/c.jpg", "x/c.jpg.unchanged.jpg")
    for name in ("a.png", "sub/a.png", "x/b.png", "x/b.png.restored.png", *copy):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32)).save(tmp_path / name)
    (tmp_path / "empty").mkdir()
    if "--registry" not in arguments:
        arguments = [*arguments, "--registry", workshop / "small.toml"]
    before = sorted(tmp_path.rglob("*"))
    done = magdr("defend", *arguments)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1, done.err
    assert expected in done.err
    assert done.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_registry_of_several_tasks_must_be_told_which(magdr, workshop, astronaut, tmp_path):
    text = (workshop / "small.toml").read_text() + (
        '\n[generator.other]\nuse = "stargan"\nparams = { weights = "random", width = 8, blocks = 1 }\n'
    )
    (tmp_path / "two.toml").write_text(text)
    astronaut.save(tmp_path / "a.png")
    done = magdr("defend", "a.png", "--registry", "two.toml", "--set", "Smiling")
    assert done.code == 2
    assert "2 generators; choose with --task: editing, other" in done.err


def test_the_edits_say_which_task_is_meant(magdr, workshop, astronaut, tmp_path):
    text = (workshop / "small.toml").read_text() + (
        '\n[generator.replacement]\nuse = "cyclegan"\n'
        'params = { weights = "random", width = 8, blocks = 1, size = 32 }\n'
    )
    (tmp_path / "two.toml").write_text(text)
    astronaut.save(tmp_path / "a.png")
    common = ("--registry", "two.toml", "--attack", "pgd", "--json")
    edited = magdr("attack", "a.png", *common, "--set", "Smiling", "--out", "edited")
    assert edited.code == 0, edited.err
    assert json.loads(edited.out)["task"] == "editing"
    replaced = magdr("attack", "a.png", *common, "--task", "replacement", "--out", "replaced")
    assert replaced.code == 0, replaced.err
    assert json.loads(replaced.out)["task"] == "replacement"
    unclear = magdr("attack", "a.png", *common)
    assert "2 generators; choose with --task" in unclear.err


def test_a_calibration_on_drawn_faces_is_said_to_be_one(magdr, own, workshop, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    arguments = ("--registry", workshop / "small.toml", "--cache", workshop / "cache", "--set", "Smiling")
    done = magdr("detect", "a.png", *arguments)
    assert "calibrated on procedural-faces, no photographs" in done.out
    assert "magdr calibrate --data FOLDER" in done.out
    assert "how sure: a guess: " in done.out, "whatever the evidence looks like"
    assert "set on drawn faces, not on photographs" in done.out
    document = own("detect", "a.png", "--json").document
    assert document["calibrated_on"].endswith("never.json")
    assert "no photographs" not in own("detect", "a.png").out


def test_what_is_told_of_a_picture_is_not_looked_for(own, astronaut, tmp_path):
    astronaut.save(tmp_path / "a.png")
    seen = own("detect", "a.png", "--json").document["results"][0]
    (other,) = [name for name in ("Smiling",) if name in seen["target"]]
    opposite = 1 - seen["target"][other]
    told = own("detect", "a.png", "--json", "--has", f"{other}={opposite:g}").document
    assert told["has"] == {other: opposite}
    assert other not in told["kept"]
    assert told["results"][0]["target"][other] == opposite
    assert seen["target"]["Blond_Hair"] == told["results"][0]["target"]["Blond_Hair"] == 1
    assert seen["score"] != told["results"][0]["score"]
