"""Kinds, roles, scenarios, commands and recipes: core's come through the hooks, and so do a plugin's."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from plugin_fakes import COMPONENT, KIND, VALUES, FakeEntry, assert_clean, fault, names

from magdr_core.components.kind import PROFILE_KEYS, RESERVED
from magdr_core.components.specs import SPECS
from magdr_core.errors import BrokenPluginError, PluginError
from magdr_core.hosting.core import core_kinds, core_modules
from magdr_core.hosting.manager import PluginHost
from magdr_core.registry.read import parse_registry
from magdr_core.registry.settings import ProfileTable
from tests.edits import edited

OF_ANOTHER = '''
from magdr_core.api import hookimpl, stateless
MAGDR_API = 1

def brightness(x):
    """Mean."""
    return x.mean((1, 2, 3))

@hookimpl
def magdr_qualities():
    import sys
    module = [m for name, m in sys.modules.items() if name.startswith("magdr_local_kinds_")][-1]
    return [module.QualitySpec(name="brightness", build=stateless(brightness))]
'''


@pytest.fixture
def several(tmp_path):
    """`several(a=text, b=text)`: a host with these local plugins."""

    def make(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
        return PluginHost(local={name: f"{name}.py" for name in texts}, base=tmp_path)

    return make


def test_kinds_of_core_come_through_the_hook_and_specs_lists_the_same():
    host = PluginHost()
    assert dict(host.kinds) == core_kinds()
    assert {name: kind.spec for name, kind in host.kinds.items()} == SPECS
    assert list(host.kinds) == list(SPECS)
    [given] = host.manager.hook.magdr_kinds()
    assert [kind.name for kind in given] == list(SPECS)


def test_core_modules_are_no_plugins_that_a_registry_could_name_or_block():
    host = PluginHost(block=["*"])
    assert dict(host.kinds) == core_kinds()
    assert not [name for name in host.available() if name.startswith("core")]
    assert all(module.MAGDR_API == 1 for module in core_modules().values())


def test_kind_of_a_plugin_stands_beside_core_s_with_components_of_one_module(local):
    host = local(KIND + COMPONENT)
    found = host.find("quality", "acme/contrast")
    assert list(host.kinds) == [*SPECS, "quality"]
    assert found.kind == "quality"
    assert names(host, "quality") == ["quality:acme/contrast"]
    assert names(host)[-1] == "quality:acme/contrast", "core's kinds come first"


def test_kind_of_a_package_has_a_folder_called_by_its_plural(package):
    there = "from acme_pkg.kinds.quality import *\nfrom acme_pkg.kinds.quality import QualitySpec\n"
    package(
        {
            "kinds/quality.py": KIND,
            "attacks/contrast.py": edited(COMPONENT, ("@hookimpl", f"{there}MAGDR_API = 1\n\n@hookimpl")),
            "qualities/contrast.py": f"{there}MAGDR_API = 1\ndel magdr_kinds\n{COMPONENT}",
        }
    )
    host = PluginHost()
    host.load("acme")
    assert host.find("quality", "acme/contrast").origin.plugin == "acme.qualities.contrast"
    [failure] = host.failures
    assert "kind 'quality' is already provided by acme.kinds.quality" in str(failure.error)


def test_kind_components_are_built_inside_its_guard(tmp_path, toolkit_from):
    (tmp_path / "acme.py").write_text(KIND + COMPONENT)
    kit = toolkit_from(f'[plugins]\nlocal = {{ acme = "{tmp_path / "acme.py"}" }}')
    built = kit.build("quality", "acme/contrast")
    assert type(built).__name__ == "GuardedQuality"
    assert built.label == "acme/contrast"
    assert built(torch.rand(3, 3, 8, 8)).shape == (3,)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_kind_of_one_plugin_serves_components_of_another_in_any_order(several, order):
    host = several(kinds=KIND, acme=OF_ANOTHER)
    plugins = {"a": "kinds", "b": "acme"}
    assert host.load_all(plugins[c] for c in order) == {}
    assert names(host, "quality") == ["quality:acme/brightness"]


def test_hook_of_a_kind_that_nobody_brings_is_a_fault(several):
    host = several(acme=OF_ANOTHER)
    [error] = host.load_all(["acme"]).values()
    assert "unknown hook 'magdr_qualities'" in str(error)
    with pytest.raises(PluginError, match="no kind 'quality'"):
        host.kind("quality")


def test_kind_that_is_misspelt_is_told():
    with pytest.raises(PluginError, match=r"no kind 'atack'; did you mean 'attack'\?"):
        PluginHost().find("atack", "pgd")


REFUSED = {
    "taken by core": (
        ('name="quality", plural="qualities"', 'name="metric", plural="qualities"'),
        ('= "quality"', '= "metric"'),
        "kind 'metric' is already provided by core.kinds (magdr ",
    ),
    "a table of registries": (
        ('name="quality"', 'name="profile"'),
        ('= "quality"', '= "profile"'),
        "kind 'profile' is already provided by magdr itself, as a table of registries",
    ),
    "another kind's hook": (
        ('plural="qualities"', 'plural="attacks"'),
        ("", ""),
        "hook 'magdr_attacks' is already provided by core.kinds",
    ),
    "a hook of another sort": (
        ('plural="qualities"', 'plural="roles"'),
        ("", ""),
        "hook 'magdr_roles' is already provided by magdr itself",
    ),
    "a bad name": (('name="quality"', 'name="Quality"'), ("", ""), "'Quality' is no name; use lower-case"),
    "one word for one and for several": (
        ('plural="qualities"', 'plural="quality"'),
        ("", ""),
        "kind 'quality': its plural must be another word, and is the same",
    ),
    "another's spec": (("spec=QualitySpec", "spec=Guard"), ("", ""), "must be a subclass of ComponentSpec"),
    "a spec of another kind": (('= "quality"', '= "metric"'), ("", ""), "its spec says kind = 'metric'"),
    "no list": (("return [QUALITY]", "return QUALITY"), ("", ""), "magdr_kinds must return a list of Kind"),
    "no kind": (
        ("return [QUALITY]", "return [QualitySpec]"),
        ("", ""),
        "magdr_kinds returned the class QualitySpec, expected Kind",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_kind_that_cannot_be_is_refused_whole(local, case):
    first, second, words = REFUSED[case]
    text = edited(KIND + COMPONENT, *(change for change in (first, second) if change[0]))
    host = local(text)
    assert words in fault(host)
    assert_clean(host)
    assert not hasattr(host.manager.hook, "magdr_qualities") or not host.manager.hook.magdr_qualities.spec


def test_kind_of_a_plugin_that_fails_later_is_rolled_back_and_may_come_from_another(several):
    host = several(acme=f"{KIND}{COMPONENT}\n@hookimpl\ndef magdr_metrics():\n    1 / 0\n", beta=KIND)
    with pytest.raises(BrokenPluginError, match="ZeroDivisionError"):
        host.load("acme")
    assert_clean(host)
    host.load("beta")
    assert "quality" in host.kinds


def test_kind_claimed_by_two_plugins_names_both(several):
    host = several(acme=KIND, beta=KIND)
    host.load("acme")
    with pytest.raises(BrokenPluginError) as e:
        host.load("beta")
    assert str(e.value) == "plugin 'beta' (beta.py): kind 'quality' is already provided by acme (acme.py)"


def test_values_of_a_plugin_stand_after_core_s(local):
    host = local(VALUES)
    before = {sort: list(getattr(host, sort)) for sort in ("roles", "scenarios", "commands", "recipes")}
    host.load("acme")
    for sort, name in (
        ("roles", "quality"),
        ("scenarios", "blur"),
        ("commands", "shout"),
        ("recipes", "tiny"),
    ):
        assert list(getattr(host, sort)) == [*before[sort], name]
    assert before["commands"][0] == "demo"
    assert "stargan-faces64" in before["recipes"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            '"quality", "qualities"',
            '"quality", "samples"',
            "profile key 'samples' is already provided by magdr",
        ),
        ('"blur", "blur"', '"blur", "first"', "profile key 'first' is already provided by magdr itself"),
        ('"blur", "blur"', '"blur", "attacks"', "profile key 'attacks' is already provided by core."),
        ('"quality", "qualities"', '"quality", "benign"', "'benign' is already provided by core.scenarios"),
        ('Command("shout")', 'Command("bench")', "command 'bench' is already provided by core.commands"),
        ('name="tiny"', 'name="edsr-faces64"', "recipe 'edsr-faces64' is already provided by core.recipes"),
        ("return [Quality()]", "return [Quality]", "returned the class Quality, expected Role"),
        ("    figures = (", "    other = (", "role 'quality': it has no figures"),
        ("figures = (Figure(", "figures = (3,) or (Figure(", "role 'quality': its figures are no Figures"),
        ("def slices(", "def pieces(", "scenario 'blur': it has no slices"),
        ("def make(", "def draw(", "scenario 'blur': it has no make"),
        ("def measure(", "def look(", "role 'quality': it has no measure"),
        ("    figures = (", "    attackable = True\n    figures = (", "no defended and no attacked_values"),
        ('name, key = "blur", "blur"', 'name, key, settings = "blur", "blur", 3', "settings are no pydantic"),
        ('click.Command("shout")', "click.Command(None)", "magdr_commands returned a command without a name"),
    ],
)
def test_value_whose_name_is_taken_is_refused_whole(local, old, new, words):
    host = local(edited(VALUES, (old, new)))
    assert words in fault(host)
    assert_clean(host)
    assert "quality" not in host.roles


def test_roles_and_scenarios_of_one_plugin_may_look_at_one_key(local):
    host = local(edited(VALUES, ('"blur", "blur"', '"blur", "qualities"')))
    host.load("acme")
    assert host.scenarios["blur"].key == host.roles["quality"].plural


def test_values_claimed_by_two_plugins_name_both(several):
    host = several(acme=VALUES, beta=VALUES)
    host.load("acme")
    with pytest.raises(
        BrokenPluginError, match=r"'beta' \(beta.py\): role 'quality' is already .* by acme \("
    ):
        host.load("beta")


def test_names_that_plugins_must_not_take_are_those_of_the_code():
    host = PluginHost()
    asked = {role.plural for role in host.roles.values()} | {s.key for s in host.scenarios.values()}
    assert set(PROFILE_KEYS) == set(ProfileTable.model_fields) - asked
    text = "".join(f"[{table}]\n" for table in RESERVED)
    parse_registry(text, Path("all.toml"))


def test_core_is_there_in_an_installation_without_entry_points(installed):
    installed(builtin=False)
    assert dict(PluginHost().kinds) == core_kinds()


def test_plugin_that_is_called_core_disturbs_nothing(local, tmp_path):
    (tmp_path / "mine.py").write_text(KIND + COMPONENT)
    host = PluginHost(local={"core": "mine.py"}, base=tmp_path)
    assert host.find("quality", "core/contrast").origin.plugin == "core"


def test_installed_plugins_find_the_kind_of_one_that_is_loaded_after_them(installed, tmp_path, monkeypatch):
    (tmp_path / "aa_first.py").write_text(edited(OF_ANOTHER, ("magdr_local_kinds_", "zz_kinds")))
    (tmp_path / "zz_kinds.py").write_text(KIND)
    monkeypatch.syspath_prepend(tmp_path)
    installed(FakeEntry("aa", "aa_first", "a"), FakeEntry("zz", "zz_kinds", "z"))
    host = PluginHost()
    assert host.load_all(["aa", "zz"]) == {}
    assert names(host, "quality") == ["quality:aa/brightness"]


CORE = Path(__file__).parents[2] / "magdr_core"
ASK_NO_KIND = [
    *sorted((CORE / "hosting").glob("*.py")),
    *(CORE / "runtime" / f"{name}.py" for name in ("wrap", "builder")),
    *(CORE / "registry" / f"{name}.py" for name in ("plugin_tables", "include")),
    *(
        CORE / "testing" / f"{name}.py"
        for name in ("subject", "rules", "kind_rules", "gradient_rules", "checks")
    ),
    *(
        CORE / "testing" / f"{name}.py"
        for name in ("subject", "rules", "checks", "suite", "inputs", "fitting")
    ),
    *sorted((CORE / "cli").glob("plugins*.py")),
]
"""They work with kinds as values; what is particular to one stands in magdr_core/builtin/kinds.py."""


@pytest.mark.parametrize("file", ASK_NO_KIND, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_no_file_that_works_with_kinds_asks_for_one_by_name(file):
    texts = [n.value for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Constant)]
    assert not {text for text in texts if isinstance(text, str)} & set(SPECS)


def test_a_file_that_asks_for_a_kind_by_name_would_be_found():
    asking = 'def f(kind):\n    """Of a metric."""\n    return kind == "metric"\n'
    texts = [n.value for n in ast.walk(ast.parse(asking)) if isinstance(n, ast.Constant)]
    assert set(texts) & set(SPECS) == {"metric"}
