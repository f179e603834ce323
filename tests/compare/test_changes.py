"""The readable difference of two registries."""

import pytest

from magdr_core.compare.align import Place
from magdr_core.compare.config_diff import causes, changes, tables
from magdr_core.compare.load import load_compared
from magdr_core.registry import read_registry
from tests.compare.conftest import REGISTRY, filled
from tests.edits import edited


@pytest.fixture
def changed(folder):
    """`changed((old, new), ...)`: what is said of a registry with these replacements."""

    def find(*replacements, settings=None, manifest=None):
        text = REGISTRY
        for old, new in replacements:
            assert old in text
            text = edited(text, (old, new))
        more = {"settings": settings} if settings else {}
        folders = filled(folder("a")), filled(folder("b", text=text, manifest=manifest or {}, **more))
        runs = [load_compared(f.write(), f.path / "none") for f in folders]
        return [str(change) for change in changes(*runs)]

    return find


def test_equal_registries_have_no_changes(changed):
    assert changed(("\n[magdr]", "\n# a remark\n\n[magdr]")) == []


def test_changed_parameters_are_named_with_both_values(changed):
    assert changed(('eps = "6/255", steps = 30', 'eps = "8/255", steps = 30, restarts = 2')) == [
        "[attack.pgd] params.eps: 6/255 -> 8/255",
        "[attack.pgd] params.restarts: (default) -> 2",
    ]


def test_tables_come_and_go_whole(changed):
    assert changed(("[detector.magdr]", '[restoration.blur]\nuse = "gaussian"\nparams = { sigma = 2 }')) == [
        "[detector.magdr]: removed (use = magdr)",
        "[restoration.blur]: added (use = gaussian, params.sigma = 2)",
    ]


def test_a_list_tells_what_it_gained_or_lost(changed):
    assert changed(settings={"samples": 24, "defenses": ["blur", "jpeg", "nlm"]}) == [
        "[profile.quick] defenses: added (blur, nlm)"
    ]
    assert changed(settings={"samples": 24, "defenses": []}) == ["[profile.quick] defenses: removed (jpeg)"]
    assert changed(settings={"samples": 24, "defenses": ["blur"]}) == [
        '[profile.quick] defenses: ["jpeg"] -> ["blur"]'
    ]


def test_a_key_that_an_older_version_did_not_have_had_its_default(changed):
    assert changed(settings={"samples": 24, "defenses": ["jpeg"], "noise_l2": []}) == []
    assert changed(settings={"samples": 24, "defenses": ["jpeg"], "noise_l2": ["pgd"]}) == [
        "[profile.quick] noise_l2: added (pgd)"
    ]


def test_a_label_said_twice_is_no_change(changed):
    assert changed(("[detector.magdr]", '[detector.magdr]\nuse = "magdr"')) == []


def test_a_registry_that_includes_the_other_one_from_elsewhere_is_the_same(folder, tmp_path):
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "base.toml").write_text(REGISTRY)
    (tmp_path / "mine.toml").write_text('[registry]\nname = "mine"\ninclude = "common/base.toml"\n')
    text = read_registry(tmp_path / "mine.toml").text
    assert 'base = "common"' in text, "of the attack, whose strength may be a path for all that is known"
    runs = [
        load_compared(filled(folder(name, text=t)).write(), tmp_path / "none")
        for name, t in (("a", REGISTRY), ("b", text))
    ]
    assert changes(*runs) == []


def test_versions_device_and_commit_are_compared(changed):
    manifest = {"versions": {"magdr": "0.1.0", "torch": "2.14.0"}, "device": "H200", "commit": "b" * 40}
    assert changed(manifest=manifest) == [
        "environment torch: 2.13.0 -> 2.14.0",
        "environment device: cpu -> H200",
        "environment commit: aaaaaaaaaaaa -> bbbbbbbbbbbb",
    ]


def test_another_profile_is_said(changed):
    assert changed(manifest={"profile": "full"}) == ["profile name: [profile.quick] -> [profile.full]"]


def test_tables_that_are_named_by_label_count_as_used(folder):
    text = REGISTRY + (
        '[defense.mine]\nuse = "magdr"\nparams = { detector = "strict" }\n'
        '[detector.strict]\nuse = "magdr"\n[detector.unused]\n[restoration.median]\n[restoration.nlm]\n'
    )
    runs = [
        load_compared(filled(folder(name, text=t)).write(), folder().path)
        for name, t in (("a", REGISTRY), ("b", text))
    ]
    place = Place("editing", "pgd", 0.02, 30, "attack", "oblivious", "defense", "mine", 0)
    found = causes(place, "procedural-faces", *map(tables, runs), changes(*runs))
    assert sorted(found) == ["[defense.mine]", "[detector.strict]", "[restoration.median]"]
