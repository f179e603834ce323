"""The registries beside the benchmark: each can be planned, and each leaves out what its name says."""

import json
from pathlib import Path

import pytest
import torch

from magdr_core.bench.run import Bench
from magdr_core.bench.scenarios.adaptive_cells import suite_of
from magdr_core.functional import PARTS
from magdr_core.registry.read import read_registry
from magdr_core.report.paper import TABLE1, TABLE2, TASKS
from magdr_core.results.store import Store
from magdr_core.toolkit import Toolkit
from tests.bench.conftest import DEFENSES, SMALL
from tests.edits import edited
from tests.portraits import write_portraits

FOLDER = Path(__file__).parents[2] / "benchmarks" / "registries"
WEIGHTS = Path(__file__).parents[2] / "plugins" / "weights"
FILES = sorted(FOLDER.glob("*.toml"))


def toolkit(name):
    return Toolkit.from_registry(FOLDER / f"{name}.toml", device="cpu")


def test_there_is_a_registry_for_every_ablation():
    names = {"smoke", "paper-literal", "no-masks", "no-consistency", "no-distortion"}
    assert {path.stem for path in FILES} >= names
    assert all(read_registry(path).name == path.stem for path in FILES)


def test_the_registry_of_photographs_has_the_parts_of_the_packaged_one():
    own, packaged = read_registry(FOLDER / "photos.toml"), read_registry("builtin:photos")
    assert own.composition == packaged.composition
    assert own.calibration.file == "auto"  # of the portraits that the folder names
    for label in ("editing", "twin-editing"):
        assert own.instance("generator", label).params == packaged.instance("generator", label).params


@pytest.fixture(scope="module", autouse=True)
def portraits(tmp_path_factory):
    """The photographs that `photos.toml` is about are everybody's own."""
    folder = tmp_path_factory.mktemp("portraits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAGDR_PORTRAITS", str(write_portraits(folder, 64, 188, 64)))
        yield


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_profile_can_be_planned(path, tmp_path):
    kit = Toolkit.from_registry(path, device="cpu")
    # Those have no demonstration size: fitting every baseline takes longer than testing it, and so does an
    # attack on the whole of MagDR. Their names say which profile is meant.
    assert ("quick" in kit.registry.profiles) == (path.stem not in ("tables", "adaptive"))
    for name, profile in kit.registry.profiles.items():
        bench = Bench(kit, name, out=tmp_path / "run", cache=tmp_path / "cache")
        roles = {c.role for g in bench.groups for c in g.cells}
        parts = {"detector": profile.detectors, "defense": profile.defenses}
        forensic = {"forensic"} if "forensics" in profile.extra else set()
        attack = {"attack"} if profile.attacks or not forensic else set()
        assert roles == {*forensic, *attack, *(role for role, labels in parts.items() if labels)}
        assert all(c.component != "oracle" or c.role == "defense" for g in bench.groups for c in g.cells)
    assert not list(tmp_path.iterdir()), "planning writes nothing"


def test_the_tables_hold_every_method_of_the_paper():
    """Each row of Tables 1 and 2 has a component, on all three tasks, at both sizes."""
    kit = toolkit("tables")
    for name in ("tables", "tables-gpu"):
        profile = kit.registry.profiles[name]
        assert set(profile.generators) == set(TASKS)
        for methods, chosen in ((TABLE1, profile.detectors), (TABLE2, profile.defenses)):
            missing = [m.name for m in methods if not set(m.components) & set(chosen)]
            assert not missing
    small, large = (kit.registry.profiles[name] for name in ("tables", "tables-gpu"))
    assert (small.samples, large.samples, large.seeds) == (64, 256, (0, 1, 2))
    assert small.first == large.first >= 6000, "beyond every face that was looked at before"


def test_the_tables_are_tested_on_attacks_that_nothing_was_fitted_on():
    kit = toolkit("tables")
    fitted = [kit.resolve("attack", a) for a in kit.registry.calibration.attacks]
    tested = [kit.resolve("attack", a) for a in kit.registry.profiles["tables"].attacks]
    assert {r.entry.name for r in fitted} == {"pgd", "cw", "smooth"}
    assert {str(r.params.get("attack")) for r in tested} >= {"MIFGSM", "PIFGSM"}
    assert not {r.key for r in fitted} & {r.key for r in tested}


def test_the_adaptive_registry_has_the_sizes_and_the_strengths_that_are_shown():
    kit = toolkit("adaptive")
    profiles = kit.registry.profiles
    sizes = {name: (p.samples, p.adaptive.steps) for name, p in profiles.items()}
    both = {"quick-adaptive": (8, 30), "adaptive-gpu": (256, 500)}
    own = {"adaptive": (16, 150), "adaptive-editor": (16, 150)}
    steps = {f"convergence-{steps}": (8, steps) for steps in (50, 150, 400)}
    assert sizes == {**both, **own, **steps, "adaptive-12": (8, 30)}
    assert {profiles[name].first for name in steps} == {profiles["adaptive"].first}
    assert all("other settings" not in suite_of(kit, profiles[name].adaptive) for name in own)
    assert profiles["adaptive-editor"].first == profiles["adaptive"].first, "the same faces"
    assert profiles["adaptive-editor"].generators == ("hardened",)

    def strengths(labels):
        return {round(255 * kit.resolve("attack", label).params["eps"]) for label in labels}

    for name, profile in profiles.items():
        if name == "adaptive-editor":
            continue
        assert set(profile.generators) == set(TASKS)
        assert set(profile.adaptive.detectors) <= set(profile.detectors), "oblivious figures stand beside"
        assert set(profile.adaptive.defenses) <= set(profile.defenses)
        if name not in steps:
            assert {"jpeg", "nlm", "purifier", "magdr"} <= set(profile.defenses)
        assert strengths(profile.adaptive.attacks) == (
            {6, 12} if name in both else {12 if "12" in name else 6}
        )
        assert strengths(profile.adaptive.others) <= strengths(profile.adaptive.attacks)
        assert (profile.checked is None) == (name in {"adaptive-12", *steps}), "checked once"


@pytest.mark.parametrize("task", TASKS)
def test_the_adaptive_registry_is_calibrated_by_what_is_shipped(task, tmp_path):
    kit = toolkit("adaptive")
    calibrator = kit.calibrator(task, kit.registry.dataset_of(task), Store(tmp_path))
    known = set()
    for path in WEIGHTS.glob("*.calibration.json"):
        known |= set(json.loads(path.read_text())["entries"])
    for kind, label in (
        *(("detector", d) for d in ("magdr", "distortion", "consistency")),
        *(("defense", d) for d in ("magdr", "jpeg", "nlm")),
    ):
        assert calibrator.key(kind, label) in known, f"{kind} {label}"


def test_defenses_restore_in_the_forensic_registry_as_they_were_shipped(tmp_path):
    kit = toolkit("forensics")
    profile = kit.registry.profiles["both-worlds"]
    [task] = profile.generators
    calibrator = kit.calibrator(task, kit.registry.dataset_of(task), Store(tmp_path))
    known = json.loads((WEIGHTS / f"{task}64.calibration.json").read_text())["entries"]
    defenses = set(profile.extra["restored_by"]) & set(kit.registry.labels("defense"))
    assert {"magdr", "jpeg"} <= defenses
    for label in defenses:
        assert calibrator.key("defense", label) in known, label
    assert calibrator.key("detector", "magdr") in known


def test_no_masks_sees_one_region_and_it_is_never_the_target():
    kit = toolkit("no-masks")
    detector = kit.build("detector", "magdr").component
    masks = detector.probe.parser(torch.rand(2, 3, 64, 64))
    areas = masks.mean((2, 3))
    assert areas.amax(1).tolist() == [1.0, 1.0]
    region = int(areas[0].argmax())
    G = kit.generator("editing")
    assert PARTS[region] == "background"
    assert not G.component.targets[:, region].any()


@pytest.mark.parametrize(
    ("name", "half"), [("no-consistency", "distortion"), ("no-distortion", "consistency")]
)
def test_half_the_evidence_is_left_out_everywhere(name, half):
    kit = toolkit(name)
    used = {kit.resolve("detector", d).params["evidence"] for d in kit.registry.labels("detector")}
    assert used == {half}


def test_paper_literal_is_literal_throughout():
    kit = toolkit("paper-literal")
    for kind in ("detector", "defense"):
        for label in kit.registry.labels(kind):
            resolved = kit.resolve(kind, label)
            assert resolved.params.get("form", "literal") in ("literal", "literal-distances"), label
    assert kit.resolve("attack", "pgd").params["eps"] == pytest.approx(0.05 / 2)


@pytest.mark.parametrize("half", ["distortion", "consistency"])
def test_half_the_evidence_can_reconstruct(fresh_shop, half):
    text = edited(SMALL, ('criteria = ["l1"]', f'criteria = ["l1"]\nevidence = "{half}"'))
    text = edited(text, ('params = { evidence = "distortion" }', ""), ("= 40", "= 20"))
    text = edited(text, ('detectors = ["magdr", "distortion"]', 'detectors = ["magdr"]'))
    text = edited(text, ('ensemble = ["flip"]', ""), (DEFENSES, 'defenses = ["magdr"]'))
    run = fresh_shop.run(text, limit=2)
    assert not run.failures
    kept = (fresh_shop.folder / "cache" / "calibrations").rglob("*.json")
    states = [json.loads(path.read_text())["data"] for path in kept]
    (ranker,) = (s["state"]["ranker"] for s in states if s["kind"] == "defense")
    distortion, consistency = ranker["weights"][:2] if "weights" in ranker else (0.0, 0.0)
    assert (distortion if half == "consistency" else consistency) == 0.0
