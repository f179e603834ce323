"""What a registry says that only its plugins know: tables of their kinds, keys of profiles."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugin_fakes import COMPONENT, KIND, VALUES

from magdr_core.errors import RegistryError
from magdr_core.registry.read import parse_registry
from magdr_core.registry.resolve import Resolver
from tests.edits import edited

TABLE = """
from pydantic import BaseModel

class QualityTable(BaseModel):
    shown_as: str = ""

"""


@pytest.fixture
def resolver(tmp_path):
    """`resolver(text, acme=..., beta=...)`: of a registry that names these local plugins."""

    def make(text: str, **plugins: str) -> Resolver:
        for name, source in plugins.items():
            (tmp_path / f"{name}.py").write_text(source)
        local = ", ".join(f'{name} = "{name}.py"' for name in plugins)
        return Resolver(parse_registry(f"[plugins]\nlocal = {{ {local} }}\n{text}", tmp_path / "mine.toml"))

    return make


def test_tables_of_a_plugin_s_kind_are_instances_like_any_other(resolver):
    found = resolver('[quality.sharp]\nuse = "acme/contrast"', acme=KIND + COMPONENT)
    assert found.registry.labels("quality") == ["sharp"]
    assert found.registry.unread == {}
    resolved = found.resolve("quality", "sharp")
    assert resolved.entry.name == "acme/contrast"
    assert resolved.identity["kind"] == "quality"


def test_tables_of_a_plugin_s_kind_are_kept_until_it_is_loaded(tmp_path):
    text = '[plugins]\nlocal = { acme = "acme.py" }\n[quality.sharp]\nuse = "acme/contrast"\n'
    read = parse_registry(text, tmp_path / "mine.toml")
    assert dict(read.unread) == {"quality": {"sharp": {"use": "acme/contrast"}}}
    assert read.labels("quality") == []


def test_tables_may_have_keys_of_their_kind_which_tell_results_apart(resolver):
    kind = edited(
        KIND,
        ("@dataclass", f"{TABLE}@dataclass"),
        (
            'plural="qualities",',
            'plural="qualities", table=QualityTable, '
            "identity=lambda spec, instance: {'shown': instance.keys['shown_as']},",
        ),
    )
    text = '[quality.sharp]\nuse = "acme/contrast"\nshown_as = "x"\n[quality.plain]\nuse = "acme/contrast"'
    found = resolver(text, acme=kind + COMPONENT)
    sharp, plain = (found.resolve("quality", label) for label in ("sharp", "plain"))
    assert sharp.instance.keys == {"shown_as": "x"}
    assert (sharp.identity["shown"], plain.identity["shown"]) == ("x", "")
    assert sharp.key != plain.key


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[qualty.x]", "mine.toml: unknown table [qualty]; did you mean 'quality'?"),
        ("[atack.x]", "mine.toml: unknown table [atack]; did you mean 'attack'?"),
        ("[quality.x]\nshow = 1", "mine.toml [quality.x]: this table has no key 'show'; known: base, "),
        ("[profile.q]\natacks = []", "mine.toml [profile.q]: this table has no key 'atacks'; did you "),
        ("[profile.q]\nqualties = []", "mine.toml [profile.q]: this table has no key 'qualties'; did you "),
    ],
)
def test_what_no_plugin_knows_is_the_error_that_it_always_was(resolver, text, words):
    with pytest.raises(RegistryError) as e:
        resolver(text, acme=KIND + COMPONENT, beta=VALUES)
    assert str(e.value).startswith(words)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[quality.'a/b']", "a label takes letters"),
        ("[quality]\nx = 3", "mine.toml [quality.x]: must be a table, got 3"),
        ("[quality.x]\n[profile.q]\nsamples = 0", "mine.toml [profile.q]: key 'samples'"),
    ],
)
def test_what_no_plugin_could_mean_is_an_error_at_once(tmp_path, text, words):
    with pytest.raises(RegistryError) as e:
        parse_registry(f'[plugins]\nuse = ["acme"]\n{text}', tmp_path / "mine.toml")
    assert words in str(e.value)


@pytest.mark.parametrize("text", ["[quality.x]", "[profile.q]\nqualities = []", "[plugins]\n[quality.x]"])
def test_without_a_plugin_it_is_an_error_at_once(text):
    with pytest.raises(RegistryError, match=r"unknown table \[quality\]|no key 'qualities'"):
        parse_registry(text, Path("mine.toml"))


def test_keys_of_profiles_are_a_plugin_s(resolver):
    found = resolver('[profile.q]\nqualities = ["x"]\nblur = {}', acme=KIND + COMPONENT, beta=VALUES)
    assert found.registry.profile("q").extra == {"qualities": ["x"], "blur": {}}


def test_plugins_that_nothing_asks_for_are_not_imported(resolver, tmp_path):
    loud = f"open({str(tmp_path / 'mark')!r}, 'w')\n{KIND}"
    resolver("[attack.pgd]\n[profile.q]\nattacks = ['pgd']", acme=loud)
    assert not (tmp_path / "mark").exists()
    resolver("[quality.x]", acme=loud)
    assert (tmp_path / "mark").exists()


def test_broken_plugin_that_is_not_needed_hurts_nobody_else_it_is_told(resolver):
    found = resolver("[quality.x]", acme=KIND + COMPONENT, beta="1 / 0")
    assert found.registry.labels("quality") == ["x"]
    with pytest.raises(RegistryError) as e:
        resolver("[quality.x]", beta="1 / 0")
    assert "unknown table [quality]" in str(e.value)
    assert "not loaded: plugin 'beta' (beta.py): cannot be imported: ZeroDivisionError" in str(e.value)


def test_included_tables_of_a_plugin_s_kind_stand_below_one_s_own(resolver, tmp_path):
    (tmp_path / "base.toml").write_text(
        '[registry]\nname = "base"\n[quality.x]\nuse = "acme/contrast"\n[quality.y]\nuse = "acme/contrast"\n'
        '[plugins]\nlocal = { acme = "acme.py" }\n'
    )
    (tmp_path / "acme.py").write_text(KIND + COMPONENT)
    text = '[registry]\ninclude = "base.toml"\nname = "mine"\n[quality.y]\nuse = "acme/other"\n'
    found = Resolver(parse_registry(text, tmp_path / "mine.toml"))
    assert found.registry.instance("quality", "x").use == "acme/contrast"
    assert found.registry.instance("quality", "y").use == "acme/other"


def test_toolkit_with_further_tables_reads_them_too(resolver, tmp_path, toolkit_from):
    (tmp_path / "acme.py").write_text(KIND + COMPONENT)
    kit = toolkit_from(f'[plugins]\nlocal = {{ acme = "{tmp_path / "acme.py"}" }}')
    more = kit.extended('[quality.sharp]\nuse = "acme/contrast"\n')
    assert more.registry.labels("quality") == ["sharp"]
    assert more.resolve("quality", "sharp").entry.name == "acme/contrast"
