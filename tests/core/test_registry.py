"""registry.toml: what it may say, and one clear line for everything else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from magdr_core.errors import RegistryError
from magdr_core.registry.read import default_registry, parse_registry, read_registry

FULL = """
[registry]
api = 1
name = "mine"
seed = 3
device = "cpu"

[plugins]
local = { acme = "./acme_median.py" }
block = ["builtin.attacks.cw"]

[generator.editing]
use = "stargan"
params = { weights = "random" }

[attack.strong]
use = "pgd"
params = { eps = "6/255", steps = 100 }
objective = "towards-black"

[attack.pgd]

[restoration.median]
use = "acme/median"
grid = { radius = [1, 2] }

[magdr]
criteria = ["l1", "ssim"]
layers = [["nlm"], ["jpeg", "resize"]]

[calibration]
fpr = 0.05

[profile.quick]
samples = 4
attacks = ["pgd", "strong"]
seeds = [0, 1]
"""


def parse(text):
    return parse_registry(text, Path("somewhere/bad.toml"))


def test_registry_reads_everything():
    r = parse(FULL)
    assert (r.name, r.seed, r.device, r.text) == ("mine", 3, "cpu", FULL)
    assert dict(r.local) == {"acme": "./acme_median.py"}
    assert r.block == ("builtin.attacks.cw",)
    assert r.labels("attack") == ["strong", "pgd"], "in the order of the file"
    strong = r.instance("attack", "strong")
    assert (strong.use, strong.objective) == ("pgd", "towards-black")
    assert dict(strong.params) == {"eps": "6/255", "steps": 100}
    assert strong.table == "[attack.strong]"
    assert r.instance("attack", "pgd").use == "pgd", "`use` defaults to the label"
    assert r.instance("restoration", "median").grid == {"radius": [1, 2]}
    assert r.composition["layers"] == [["nlm"], ["jpeg", "resize"]]
    assert (r.calibration.fpr, r.calibration.clean) == (0.05, 1000)
    assert r.profile("quick").attacks == ("pgd", "strong")
    assert r.profile("quick").seeds == (0, 1)
    assert r.profile("quick").dataset is None


def test_a_generator_that_is_only_a_surrogate_is_no_task():
    head = "[generator.editing]\n[generator.spare]\n[generator.other]\n[profile.quick]\n"
    transfer = '[[profile.full.transfer]]\nattack = "pgd"\nsurrogate = "{}"\n'
    r = parse(head + transfer.format("spare"))
    assert r.tasks() == r.tasks(r.profile("quick")) == r.tasks(r.profile("full")) == ["editing", "other"]
    r = parse(head + 'generators = ["spare", "editing"]\n' + transfer.format("spare"))
    assert r.tasks() == ["editing", "spare", "other"], "some profile defends it"
    assert r.tasks(r.profile("quick")) == ["spare", "editing"]
    assert r.tasks(r.profile("full")) == ["editing", "other"]
    r = parse(head + transfer.format("spare") + 'generators = ["other"]\n' + transfer.format("other"))
    assert r.tasks(r.profile("full")) == ["editing", "other"]


def test_a_generator_that_is_only_a_twin_is_no_task():
    head = "[generator.editing]\n[generator.second]\n[generator.third]\n[profile.quick]\n"
    twins = '[magdr]\ntwins = ["second"]\n[detector.asking]\nuse = "magdr"\nparams = { twins = ["third"] }\n'
    r = parse(head + twins)
    assert r.tasks() == r.tasks(r.profile("quick")) == ["editing"]
    r = parse(head + 'generators = ["second"]\n' + twins)
    assert r.tasks() == ["editing", "second"], "some profile defends it"


@pytest.mark.parametrize(
    ("twins", "message"),
    [
        ('["editing"]', "bad.toml: no [generator.TASK] table; those that `twins` list are none"),
        ('["second", "second"]', "bad.toml [magdr] twins: 'second' is listed twice"),
        (
            '["second", "third"]',
            "bad.toml [magdr] twins: 'third' is cyclegan, which no task is (editing is stargan)",
        ),
    ],
)
def test_a_list_of_twins_that_cannot_be_meant_is_refused(twins, message):
    tables = {"editing": "stargan", "second": "stargan", "third": "cyclegan"}
    heads = [f"[generator.{label}]\nuse = '{use}'\n" for label, use in tables.items() if label in twins]
    own = "" if "editing" in twins else "[generator.editing]\nuse = 'stargan'\n"
    registry = parse(own + "".join(heads) + f"[magdr]\ntwins = {twins}")
    with pytest.raises(RegistryError) as e:
        registry.defended()
    assert str(e.value) == message


def test_the_tasks_that_are_defended_have_no_twins_among_them():
    head = "[generator.editing]\nuse = 'stargan'\n[generator.second]\nuse = 'stargan'\n"
    r = parse(head + '[magdr]\ntwins = ["second"]\n[profile.q]\ngenerators = ["editing"]')
    assert r.defended() == r.defended(r.profile("q")) == ["editing"]


def test_registry_empty_file_is_a_registry():
    r = parse("")
    assert (r.name, r.seed, r.device) == ("bad", 0, "auto")
    assert r.labels("attack") == []
    assert dict(r.profiles) == {}


def test_registry_label_without_table_means_the_component_of_that_name():
    instance = parse("").instance("attack", "pgd")
    assert (instance.use, dict(instance.params), instance.grid) == ("pgd", {}, None)


def test_registry_is_frozen():
    r = parse(FULL)
    with pytest.raises(FrozenInstanceError):
        r.seed = 1
    with pytest.raises(TypeError):
        r.instances["attack", "x"] = None
    with pytest.raises(TypeError):
        r.local["x"] = "y"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[registry", "bad.toml: is not valid TOML: "),
        ("[atack.pgd]", "bad.toml: unknown table [atack]; did you mean 'attack'?"),
        ("[xyz]", "bad.toml: unknown table [xyz]; known: attack, augmentation, calibration, "),
        ("year = 3", "bad.toml: unknown table [year]; known: "),
        (
            "include = 'builtin:faces64'",
            "bad.toml: 'include' is a key of [registry]: write it below that line",
        ),
        ("seed = 3\n[registry]", "bad.toml: 'seed' is a key of [registry]"),
        ("attack = 3", "bad.toml: 'attack' must be a table, got 3"),
        ("[attack]\neps = 3", "bad.toml [attack.eps]: must be a table, got 3"),
        ("[[attack.pgd]]", "bad.toml [attack.pgd]: must be a table, got [{}]"),
        ("[registry]\nsede = 3", "bad.toml [registry]: this table has no key 'sede'; did you mean 'seed'?"),
        ("[registry]\nseed = -1", "bad.toml [registry]: key 'seed'"),
        ("[registry]\nseed = true", "key 'seed' of this table: expected a number, got True"),
        ("[registry]\nseed = '3'", "key 'seed' of this table: expected an integer, got '3'"),
        ("[registry]\nname = 3", "bad.toml [registry]: key 'name'"),
        ("[registry]\napi = 2", "bad.toml [registry]: api = 2, this magdr speaks 1"),
        ("[plugins]\nlocal = 'x.py'", "bad.toml [plugins]: key 'local'"),
        ("[plugins]\nblock = 'x'", "bad.toml [plugins]: key 'block'"),
        ("[attack.pgd]\nparms = {}", "bad.toml [attack.pgd]: this table has no key 'parms'; did"),
        ("[attack.pgd]\neps = 1", "bad.toml [attack.pgd]: this table has no key 'eps'; known: "),
        ("[attack.pgd]\nuse = 3", "bad.toml [attack.pgd]: key 'use'"),
        ("[attack.pgd]\nobjective = 'up'", "bad.toml [attack.pgd]: key 'objective'"),
        ("[metric.l1]\nobjective = 'untargeted'", "bad.toml [metric.l1]: this table has no key 'objective'"),
        ("[metric.l1]\ngrid = {}", "bad.toml [metric.l1]: this table has no key 'grid'"),
        ("[restoration.x]\ngrid = {q = 1}", "bad.toml [restoration.x]: key 'grid.q'"),
        ("[attack.'a b']", "bad.toml [attack.a b]: a label takes letters, digits and single . _ -"),
        ("[attack.'a/b']", "bad.toml [attack.a/b]: a label takes letters"),
        ("[attack.'']", "bad.toml [attack.]: a label takes letters"),
        ("[attack.a--b]", "bad.toml [attack.a--b]: a label takes letters"),
        ("[calibration]\nfpr = 0", "bad.toml [calibration]: key 'fpr'"),
        ("[profile.q]\nsamples = 0", "bad.toml [profile.q]: key 'samples'"),
        ("[profile.q]\nsplit = 'train'", "bad.toml [profile.q]: key 'split'"),
        ("[profile.q]\natacks = []", "bad.toml [profile.q]: this table has no key 'atacks'; did you mean"),
        ("[profile.q]\nseeds = []", "bad.toml [profile.q]: key 'seeds' of this table: "),
        ("[profile]\nq = 1", "bad.toml [profile.q]: must be a table, got 1"),
        ("[registry]\nname = '../x'", "bad.toml [registry]: name = '../x' holds '/'"),
        ("[registry]\nname = '/x'", "bad.toml [registry]: name = '/x' holds '/'"),
        ("[registry]\nname = '.'", "bad.toml [registry]: name = '.' begins or ends with a blank or a dot"),
        (
            '[registry]\nname = "\\u001b[31m"',
            "bad.toml [registry]: name = '\\x1b[31m' holds a character",
        ),
        ("[profile.'../x']", "bad.toml [profile.../x]: the profile's name holds '/'"),
        ("[plugins]\nlocal = { '../x' = 'x.py' }", "bad.toml [plugins] local: '../x': a label takes letters"),
        (f"[attack.{'a' * 200}]", "a label takes letters, digits and single . _ -, at most 100 of them"),
        ("[profile.q]\nseeds = [1, 2, 1]", "key 'seeds' of this table: 1 is listed twice"),
        ("[profile.q]\nseeds = [-1]", "key 'seeds.0' of this table: "),
        ("[profile.q]\ndetectors = ['a', 'a']", "key 'detectors' of this table: 'a' is listed twice"),
        ("[profile.q.adaptive]\nattacks = ['a', 'a']", "key 'adaptive.attacks' of this table: 'a' is listed"),
        ("[calibration]\nbenign = ['a', 'a']", "key 'benign' of this table: 'a' is listed twice"),
        ("[calibration]\nclean = 10_000_000", "bad.toml [calibration]: key 'clean'"),
        (
            "[profile.q]\nsamples = 1" + "0" * 30,
            "bad.toml: profile.q.samples: is a whole number beyond",
        ),
        (
            f"[profile.q]\nsamples = '{'x' * 10**5}'",
            "key 'samples' of this table: expected an integer, got",
        ),
        ("attack = " + "[" * 3000, "bad.toml: is nested too deeply"),
    ],
)
def test_registry_faults_name_the_place(text, message):
    with pytest.raises(RegistryError) as e:
        parse(text)
    assert str(e.value).startswith(message) or message in str(e.value)
    assert str(e.value).startswith("bad.toml")
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 400


@pytest.mark.parametrize("label", ["pgd", "PGD-30", "a.b_c-d", "0"])
def test_registry_labels(label):
    assert parse(f"[attack.'{label}']\nuse = 'pgd'").labels("attack") == [label]


def test_registry_profile_lookup():
    with pytest.raises(RegistryError) as e:
        parse(FULL).profile("quik")
    assert str(e.value) == "bad.toml: no profile 'quik'; did you mean 'quick'?"
    with pytest.raises(RegistryError, match=r"no profile 'full'; known: quick$"):
        parse("").profile("full")


def test_registry_files(tmp_path):
    with pytest.raises(
        RegistryError, match=r"registry '.*nope.toml' does not exist; `magdr init` writes one"
    ):
        read_registry(tmp_path / "nope.toml")
    with pytest.raises(RegistryError, match="is a folder"):
        read_registry(tmp_path)
    (tmp_path / "latin.toml").write_bytes("[registry]\nname = 'ä'".encode("latin-1"))
    with pytest.raises(RegistryError, match=r"is not UTF-8 text: byte 0xe4 at 19, line 2"):
        read_registry(tmp_path / "latin.toml")


@pytest.mark.parametrize("form", ["utf-8-sig", "crlf"])
def test_registry_windows_files_are_read(tmp_path, form):
    text = "[registry]\nname = 'Ä'\n"
    data = text.encode("utf-8-sig") if form == "utf-8-sig" else text.replace("\n", "\r\n").encode()
    (tmp_path / "w.toml").write_bytes(data)
    assert read_registry(tmp_path / "w.toml").name == "Ä"


def test_registry_default_is_the_one_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_registry().parts[-2:] == ("data", "registry.toml")
    (tmp_path / "registry.toml").touch()
    assert read_registry(default_registry()).path == Path("registry.toml")


def test_registry_import_imports_no_plugin():
    code = (
        "import sys, magdr_core.registry.read as r; from pathlib import Path\n"
        "r.parse_registry('[attack.pgd]', Path('x.toml'))\n"
        "print([m for m in sys.modules if m.startswith('magdr_plugins')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_registry_file_that_cannot_name_a_folder_must_say_a_name(tmp_path):
    (tmp_path / "a:b.toml").write_text("")
    with pytest.raises(RegistryError, match=r"a:b.toml \[registry\]: the file's name holds ':'"):
        read_registry(tmp_path / "a:b.toml")
    (tmp_path / "a:b.toml").write_text("[registry]\nname = 'ab'")
    assert read_registry(tmp_path / "a:b.toml").name == "ab"
