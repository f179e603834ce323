"""`include` of a registry: whose tables stand, where paths start, which file a fault is in."""

import tomllib
from pathlib import Path

import pytest

from magdr_core.bench.executors.toolkit_snapshot import parcel_of
from magdr_core.bench.run import Bench
from magdr_core.components.weights import WeightsError
from magdr_core.errors import RegistryError
from magdr_core.registry import packaged_registry, parse_registry, read_registry
from magdr_core.registry.settings import Profile
from magdr_core.toolkit import Toolkit
from tests.conftest import TOY

OWN = """
[registry]
include = "builtin:faces64"
name = "mine"

[attack.pgd]
params = { steps = 3 }

[attack.new]
use = "pgd"

[profile.quick]
samples = 2
attacks = ["new"]
"""

BASE = """
[registry]
name = "base"
seed = 7

[plugins]
local = { toy = "toy.py", elsewhere = "json" }

[generator.toy]
use = "toy/net"

[generator.trained]
use = "stargan"
params = { weights = "trained.safetensors", width = 8 }

[attack.pgd]

[calibration]
file = "faces.json"
"""


def here(text, name="mine.toml"):
    return parse_registry(text, Path(name))


@pytest.fixture
def folders(tmp_path):
    """`common/base.toml` with its plugin, and `own/mine.toml`, which includes it."""
    (tmp_path / "common").mkdir()
    (tmp_path / "own").mkdir()
    (tmp_path / "common" / "base.toml").write_text(BASE)
    (tmp_path / "common" / "toy.py").write_text(TOY)
    mine = tmp_path / "own" / "mine.toml"
    mine.write_text('[registry]\ninclude = "../common/base.toml"\n[attack.weak]\nuse = "pgd"\n')
    return mine


def test_own_tables_replace_included_ones_whole():
    packaged, r = read_registry(packaged_registry()), here(OWN)
    assert dict(r.instance("attack", "pgd").params) == {"steps": 3}, "not merged with eps of the included one"
    assert r.instance("attack", "pgd-4") == packaged.instance("attack", "pgd-4")
    assert r.profile("quick") == Profile(samples=2, attacks=("new",))
    assert r.profile("full") == packaged.profile("full")
    assert (r.calibration, r.composition) == (packaged.calibration, packaged.composition)
    assert (r.name, r.seed) == ("mine", 0)
    assert here(f"{OWN}\n[magdr]\nlayers = [['nlm']]").composition == {"layers": [["nlm"]]}


def test_included_tables_come_first_and_in_their_order():
    packaged, r = read_registry(packaged_registry()), here(OWN)
    assert r.labels("attack") == [*packaged.labels("attack"), "new"]
    assert r.labels("dataset") == packaged.labels("dataset")


def test_the_text_is_the_resolved_registry_and_needs_no_file():
    r = here(OWN)
    again = parse_registry(r.text, Path("mine.toml"))
    assert "include" not in r.text
    assert (again.instances, again.profiles, again.calibration) == (r.instances, r.profiles, r.calibration)
    assert again.text == r.text


def test_a_registry_without_include_keeps_its_text_to_the_letter():
    text = "[attack.pgd]   # a comment\n\n\n"
    assert here(text).text == text


def test_a_run_keeps_the_resolved_text_and_is_another_one_when_the_included_file_changes(folders):
    text = '[profile.quick]\nsamples = 1\nattacks = ["pgd"]\ngenerators = ["toy"]\n[calibration]\n'
    folders.write_text(folders.read_text() + text)

    def bench():
        return Bench(Toolkit.from_registry(folders, device="cpu"), "quick", cache=folders.parent / "cache")

    first = bench()
    manifest = first._manifest()
    assert tomllib.loads(manifest["registry_text"])["generator"]["toy"] == {"use": "toy/net"}
    assert bench().folder == first.folder
    base = folders.parents[1] / "common" / "base.toml"
    base.write_text(f"{BASE}\n[attack.other]\nuse = 'pgd'\n")
    assert bench().folder != first.folder


def test_paths_of_an_included_file_start_at_its_folder(folders, monkeypatch):
    r = read_registry(folders)
    assert dict(r.local) == {"toy": "../common/toy.py", "elsewhere": "json"}
    assert r.calibration.file == "../common/faces.json"
    toolkit = Toolkit(r, device="cpu")
    assert toolkit.resolve("generator", "toy").entry.name == "toy/net"
    with pytest.raises((RegistryError, WeightsError), match=r"own/\.\./common"):
        toolkit.resolve("generator", "trained")
    assert r.instance("generator", "trained").base == "../common"
    assert r.instance("attack", "weak").base == ""


def test_a_worker_gets_a_toolkit_without_the_included_file(folders, tmp_path):
    parcel = parcel_of(Toolkit.from_registry(folders, device="cpu"))
    (tmp_path / "common" / "base.toml").unlink()
    unpacked = parcel.unpack(tmp_path / "worker")
    assert unpacked.resolve("generator", "toy").entry.name == "toy/net"
    assert unpacked.registry.origins == {"generator.toy": "../common/base.toml", **unpacked.registry.origins}


def test_an_extended_toolkit_knows_which_file_a_table_is_from(folders):
    toolkit = Toolkit.from_registry(folders, device="cpu")
    more = toolkit.extended("[attack.mine]\nuse = 'pgd'").extended("[attack.bad]\nuse = 'pdg'")
    assert dict(more.registry.origins) == dict(toolkit.registry.origins)
    assert more.registry.file_of("[generator.toy]") == "../common/base.toml"
    with pytest.raises(RegistryError, match=r"^mine\.toml \[attack\.bad\]: no attack named 'pdg'"):
        more.resolve("attack", "bad")


def test_a_packaged_registry_names_no_relative_path():
    """Its folder is another one on every machine, and would become part of a run's identity."""
    r = read_registry(packaged_registry())
    weights = [i.params["weights"] for i in r.instances.values() if "weights" in i.params]
    assert weights
    assert all(name.startswith("builtin:") for name in weights)
    assert not r.local
    assert r.calibration.file == "auto"
    assert not [i for i in here(OWN).instances.values() if i.base]


@pytest.mark.parametrize(
    ("include", "said"),
    [
        (
            "builtin:face64",
            "mine.toml [registry]: include = 'builtin:face64': there is no such registry; did you me",
        ),
        ("nowhere.toml", "mine.toml [registry]: include = 'nowhere.toml': does not exist"),
        ("", None),
    ],
)
def test_an_include_that_is_none_is_one_line(include, said):
    text = f'[registry]\ninclude = "{include}"\n'
    if said is None:
        assert here(text).text == text
        return
    with pytest.raises(RegistryError) as error:
        here(text)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_included_files_include_nothing(folders):
    (folders.parent / "deep.toml").write_text('[registry]\ninclude = "mine.toml"\n')
    with pytest.raises(RegistryError) as error:
        read_registry(folders.parent / "deep.toml")
    assert str(error.value) == (
        "mine.toml [registry]: include: a file that is included (deep.toml does it) includes no other"
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("[attack.x]\neps = 1", "../common/base.toml [attack.x]: this table has no key 'eps'"),
        ("[attack", "../common/base.toml: is not valid TOML"),
        ("[profile.p]\nsamples = 0", "../common/base.toml [profile.p]: key 'samples'"),
    ],
)
def test_a_fault_names_the_file_that_it_is_in(folders, fault, said):
    (folders.parents[1] / "common" / "base.toml").write_text(BASE + fault)
    with pytest.raises(RegistryError) as error:
        read_registry(folders)
    assert str(error.value).startswith(said)


def test_a_table_that_no_plugin_knows_names_the_file_that_it_is_in(folders):
    (folders.parents[1] / "common" / "base.toml").write_text(f"{BASE}\n[atack.x]\n")
    with pytest.raises(RegistryError) as error:
        Toolkit.from_registry(folders, device="cpu")
    assert str(error.value).startswith(
        "../common/base.toml: unknown table [atack]; did you mean 'attack'?; not loaded: plugin 'elsewhere' ("
    )


def test_a_fault_that_a_component_finds_names_the_file_that_it_is_in(folders):
    base = folders.parents[1] / "common" / "base.toml"
    base.write_text(f"{BASE}\n[attack.x]\nuse = 'pgd'\nparams = {{ stepz = 1 }}")
    folders.write_text(folders.read_text() + "[attack.y]\nuse = 'pgd'\nparams = { stepz = 1 }")
    toolkit = Toolkit.from_registry(folders, device="cpu")
    for label, file in (("x", "../common/base.toml"), ("y", "mine.toml")):
        with pytest.raises(RegistryError) as error:
            toolkit.resolve("attack", label)
        assert str(error.value).startswith(f"{file} [attack.{label}]: pgd has no parameter 'stepz'")
