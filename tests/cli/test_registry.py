"""`magdr init` writes what runs; `magdr registry` shows what runs and finds what does not."""

import tomllib
from pathlib import Path

import pytest

from magdr_core.registry import packaged_registry
from magdr_core.registry.settings import QUICK, Profile
from tests.bench.conftest import DEFENSES, SMALL
from tests.edits import edited

TASK = "[generator.g]\nuse = 'stargan'\nparams = { weights = 'random', width = 8, blocks = 1 }\n"


def test_init_writes_a_registry_that_runs(magdr):
    done = magdr("init", "new")
    assert (done.code, done.err) == (0, "")
    path = Path("new/registry.toml")
    commands = [line.split() for line in done.out.splitlines()[1:]]
    assert commands == [["magdr", "registry", "check", str(path)], ["magdr", "bench", str(path)]]
    assert magdr(*commands[0][1:]).code == 0
    text = path.read_text()
    numbers = ("fit = 24", "fit = 12"), ("clean = 100", "clean = 20"), ("attacked = 12", "attacked = 4")
    # The check has found every component; of those to choose among, a few are enough to run.
    fewer = (
        ('["l1", "ssim", "gradient"]', '["l1"]'),
        ('"gaussian", "median", "nlm", ', ""),
        (', "sharpen"', ""),
    )
    path.write_text(edited(text, *numbers, *fewer, ("steps = 10", "steps = 2")))
    ran = magdr(*commands[1][1:], "--limit", "1", "--out", "run")
    assert ran.code == 0, ran.err
    assert "0 failed" in ran.out
    assert (Path("run") / "report.html").is_file()


def test_init_explains_every_table_and_says_what_to_change_first(magdr):
    magdr("init", "new")
    lines = Path("new/registry.toml").read_text().splitlines()
    headers = [i for i, line in enumerate(lines) if line.startswith("[")]
    assert len(headers) >= 6
    assert all(lines[i - 1].startswith("# ") and lines[i - 2] == "" for i in headers)
    assert "Change first" in lines[0]
    assert len(lines) < 60


def test_init_leaves_a_registry_alone(magdr):
    Path("registry.toml").write_text("mine")
    done = magdr("init")
    assert done.code == 2
    assert done.err == "magdr: registry.toml is there already, and stays as it is; name another folder\n"
    assert Path("registry.toml").read_text() == "mine"


def test_show_prints_a_registry_that_is_the_resolved_one(magdr):
    Path("mine.toml").write_text(
        '[registry]\ninclude = "builtin:faces64"\n'
        '[attack.pgd]\nparams = { steps = 3 }\n[attack.new]\nuse = "pgd"\n'
    )
    shown = magdr("registry", "show", "mine.toml").out
    assert "# from mine.toml\n[attack.pgd]\nparams = { steps = 3 }\n" in shown
    assert "# from builtin:faces64\n[attack.pgd-4]\n" in shown
    expected = tomllib.loads(packaged_registry().read_text())
    expected["registry"] = {}
    expected["attack"] |= {"pgd": {"params": {"steps": 3}}, "new": {"use": "pgd"}}
    assert tomllib.loads(shown) == expected
    Path("shown.toml").write_text(shown)
    assert magdr("registry", "check", "shown.toml").code == 0


def test_show_prints_the_defaults_as_comments(magdr):
    Path("mine.toml").write_text('[generator.g]\nuse = "stargan"\n[magdr]\ncriteria = ["l1"]\n')
    shown = magdr("registry", "show", "mine.toml").out
    assert '# parser = "unet"\n' in shown
    assert "# criteria" not in shown
    assert "layers" not in tomllib.loads(shown)["magdr"], "else an oracle would stand in its tables"


def test_show_prints_the_profile_of_a_registry_without_any(magdr):
    Path("mine.toml").write_text(TASK)
    shown = magdr("registry", "show", "mine.toml").out
    _, head, lines = shown.partition("# [profile.quick]\n")
    assert head
    assert Profile(**tomllib.loads("".join(line[2:] for line in lines.splitlines(keepends=True)))) == QUICK
    Path("mine.toml").write_text(f"{TASK}[profile.mine]\n")
    assert "profile.quick" not in magdr("registry", "show", "mine.toml").out


def test_show_without_a_file_shows_the_packaged_registry_and_says_whose_it_is(magdr):
    shown = magdr("registry", "show").out
    assert tomllib.loads(shown) == tomllib.loads(packaged_registry().read_text())
    assert shown.startswith("# The registry that comes with magdr, builtin:faces64.\n")
    assert "# from builtin:faces64\n[attack.pgd]\n" in shown
    assert "registry.toml" not in shown
    Path("registry.toml").write_text(TASK)
    assert magdr("registry", "show").out.startswith("# from registry.toml\n[generator.g]\n")


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ("[attack.x]\nuse = 'pdg'", "mine.toml [attack.x]: no attack named 'pdg'; did you mean 'pgd'?"),
        (
            "[profile.p]\nattacks = ['pdg']",
            "mine.toml [profile.p] attacks: no attack named 'pdg'; did you mean 'pgd'?",
        ),
        (
            "[calibration]\nattacks = ['pdg']",
            "mine.toml [calibration] attacks: no attack named 'pdg'; did you mean 'pgd'?",
        ),
        (
            "[generator.g]\nuse = 'stargan'\nattacks = { pgd = 'pdg' }\n"
            "params = { weights = 'random', width = 8, blocks = 1 }",
            "mine.toml [generator.g] attacks, pgd: no attack named 'pdg'; did you mean 'pgd'?",
        ),
        (
            "[magdr]\nlayer = [['nlm']]",
            "mine.toml [magdr]: this table has no key 'layer'; did you mean 'lay",
        ),
        ("[magdr]\ncriteria = ['l9']", "mine.toml detector 'magdr': no metric named 'l9'"),
        (
            "[generator.g]\nuse = 'stargan'\nparams = { weights = 'no.safetensors' }",
            "mine.toml [generator.g]: weight file 'no.safetensors' does not exist",
        ),
    ],
)
def test_check_finds_a_fault(magdr, tables, said):
    Path("mine.toml").write_text(tables if "[generator" in tables else TASK + tables)
    done = magdr("registry", "check", "mine.toml")
    assert done.code == 2
    (line,) = done.out.splitlines()
    assert line.startswith(said)


def test_check_prints_one_line_for_each_fault(magdr):
    Path("mine.toml").write_text(
        f"{TASK}[attack.x]\nuse = 'pdg'\n[attack.y]\nparams = {{ a = 1 }}\n"
        "[profile.p]\nattacks = ['x', 'y', 'z']\ndefenses = ['jpeg']\n"
        "[restoration.jpeg]\n[attack.fine]\nuse = 'pgd'\n"
    )
    done = magdr("registry", "check", "mine.toml")
    places = [line.partition(":")[0] for line in done.out.splitlines()]
    assert places == ["mine.toml [attack.x]", "mine.toml [attack.y]", "mine.toml [profile.p] attacks"]


UNKNOWN = '{ attack = "pgd", condition = "unknown" }'
PLANNED = {
    "no task": [
        ("[generator.editing]", "[attack.editing]"),
        ('use = "stargan"\nparams', 'use = "pgd"\n# params'),
    ],
    "no calibration file": [("fit = 40", 'file = "gone.json"\nfit = 40')],
    "no calibration in the file": [("fit = 40", 'file = "bad.toml"\nfit = 40')],
    "no such kind of device": [('name = "small"', 'name = "small"\ndevice = "tpu"')],
    "no such device": [('name = "small"', 'name = "small"\ndevice = "cuda:99"')],
    "no folder of the dataset": [
        ('use = "procedural-faces"\nparams = { size = 32 }', 'use = "folder"\nparams = { path = "gone" }')
    ],
    "too few faces": [("samples = 5", "samples = 5\nfirst = 99999999")],
    "no such attack": [('attacks = ["pgd", "noise"]', 'attacks = ["pdg"]')],
    "no such defense": [(DEFENSES, 'defenses = ["magdr", "jpge"]')],
    "no such dataset": [("samples = 5", 'samples = 5\ndataset = "face"')],
    "no such attack to calibrate with": [("fit = 40", 'attacks = ["pdg"]\nfit = 40')],
    "an attack that stands there twice": [
        ("pictures = 2", f"pictures = 2\ntransfer = [{UNKNOWN}, {UNKNOWN}]"),
    ],
    "nothing is ours": [("samples = 5", 'samples = 5\nours = ["magd"]')],
    "no checkpoints": [("pictures = 2", 'pictures = 2\nsweep = { attacks = ["noise"], steps = [1] }')],
}


@pytest.mark.parametrize("case", PLANNED)
def test_check_says_what_bench_refuses_in_its_words(magdr, case):
    Path("bad.toml").write_text(edited(SMALL, *PLANNED[case]))
    refused = magdr("bench", "bad.toml")
    done = magdr("registry", "check", "bad.toml")
    assert (refused.code, done.code, done.err) == (2, 2, "")
    (line,) = refused.err.splitlines()
    assert done.out.splitlines() == [line.removeprefix("magdr: ")]
    assert [path.name for path in Path().iterdir()] == ["bad.toml"]


def test_a_label_that_bench_does_not_find_is_told_with_its_place(magdr):
    Path("bad.toml").write_text(edited(SMALL, ('attacks = ["pgd", "noise"]', 'attacks = ["pdg"]')))
    said = magdr("bench", "bad.toml").err
    assert said == "magdr: bad.toml [profile.quick] attacks: no attack named 'pdg'; did you mean 'pgd'?\n"


def test_check_looks_at_every_profile_or_at_the_one_that_is_named(magdr):
    path = Path("two.toml")
    path.write_text(f"{SMALL}\n[profile.full]\nattacks = ['pgd']\nsamples = 99999999\n")
    done = magdr("registry", "check", "two.toml")
    assert done.code == 2
    (line,) = done.out.splitlines()
    assert "the profile takes 99999999" in line
    sound = magdr("registry", "check", "two.toml", "--profile", "quick")
    assert (sound.code, sound.out) == (0, "two.toml: 10 components, 1 profile, no fault\n")
    unknown = magdr("registry", "check", "two.toml", "--profile", "quik")
    assert (unknown.code, unknown.err) == (2, "magdr: two.toml: no profile 'quik'; did you mean 'quick'?\n")


def test_check_finds_other_faults_beside_a_device_that_is_not_there(magdr):
    text = edited(
        SMALL, ('name = "small"', 'name = "small"\ndevice = "tpu"'), (DEFENSES, 'defenses = ["jpge"]')
    )
    Path("bad.toml").write_text(text)
    done = magdr("registry", "check", "bad.toml")
    places = [line.partition(":")[0] for line in done.out.splitlines()]
    assert places == ["bad.toml [registry]", "bad.toml [profile.quick] defenses"]
    there = magdr("registry", "check", "bad.toml", "--device", "cpu")
    assert [line.partition(":")[0] for line in there.out.splitlines()] == places[1:]


def test_check_computes_and_writes_nothing(magdr, monkeypatch):
    def computed(*args, **options):
        raise AssertionError("computed")

    monkeypatch.setattr("magdr_core.guards.generator.GuardedGenerator._compute", computed)
    monkeypatch.setattr("magdr_core.guards.attack.GuardedAttack.__call__", computed)
    monkeypatch.setattr("socket.socket.connect", computed)
    done = magdr("registry", "check")
    assert (done.code, done.err) == (0, "")
    assert "3 profiles, no fault" in done.out
    assert list(Path().iterdir()) == []
