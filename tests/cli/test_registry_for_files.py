"""Which registry commands on files use."""

from pathlib import Path

import pytest
from PIL import Image

from magdr_core.cli.common import open_for_files
from magdr_core.errors import RegistryError
from magdr_core.registry import parse_registry, read_registry
from tests.edits import edited

DRAWN = """
[registry]
files = "{files}"

[dataset.faces]
use = "procedural-faces"

[generator.editing]
use = "stargan"

[generator.reenactment]
use = "ganimation"
"""

PHOTOS = """
[registry]
name = "of-photographs"

[dataset.faces]
use = "procedural-faces"

[generator.editing]
use = "photo-editor"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.toml").write_text(PHOTOS)
    (tmp_path / "registry.toml").write_text(DRAWN.format(files="photos.toml"))
    return tmp_path


def opened(registry=None, task=None):
    return open_for_files(registry, "cpu", (), task).registry


def test_the_default_registry_names_another_one_for_files(here):
    assert opened().name == "of-photographs"
    assert opened(task="editing").name == "of-photographs"


def test_a_task_that_only_the_default_registry_knows_is_its_own(here):
    assert opened(task="reenactment").path == Path("registry.toml")


def test_a_task_that_nobody_knows_is_for_the_default_registry_to_refuse(here):
    assert opened(task="editting").path == Path("registry.toml")


def test_a_registry_that_is_asked_for_is_used_as_it_is(here):
    assert opened(Path("registry.toml")).path == Path("registry.toml")


def test_a_registry_without_another_one_for_files_is_used_for_them(here):
    (here / "registry.toml").write_text(DRAWN.format(files=""))
    assert opened().path == Path("registry.toml")


@pytest.mark.parametrize("command", ["detect", "defend", "attack"])
def test_commands_on_files_use_it(magdr, here, command):
    Image.new("RGB", (64, 64)).save(here / "a.png")
    (here / "photos.toml").write_text(PHOTOS + '[generator.another]\nuse = "photo-editor"\n')
    done = magdr(command, "a.png")
    assert done.code == 2
    assert "photos.toml has 2 generators; choose with --task: editing, another" in done.err
    done = magdr(command, "a.png", "--task", "editting")
    assert "registry.toml has no [generator.editting]" in done.err
    done = magdr(command, "a.png", "--registry", "registry.toml")
    assert "registry.toml has 2 generators; choose with --task: editing, reenactment" in done.err


def test_the_packaged_registry_sends_files_to_the_one_of_photographs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert opened().name == "photos"
    assert opened(task="replacement").name == "faces64"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            "builtin:photo",
            r"registry.toml \[registry\]: files = 'builtin:photo': there is no such registry; did you",
        ),
        ("nowhere.toml", "nowhere.toml"),
    ],
)
def test_another_registry_that_there_is_not_is_said_in_one_line(here, files, said):
    (here / "registry.toml").write_text(DRAWN.format(files=files))
    with pytest.raises(RegistryError, match=said) as caught:
        opened()
    assert "\n" not in str(caught.value)


def test_registries_of_the_package_go_by_their_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_registry("builtin:photos").tasks() == ["editing"]
    assert read_registry("builtin:faces64").tasks() == ["editing", "reenactment", "replacement"]
    with pytest.raises(RegistryError, match=r"'builtin:faces': there is no such registry; did you mean"):
        read_registry("builtin:faces")


def test_a_calibration_of_the_package_stays_where_it_is_when_the_registry_is_included(tmp_path):
    (tmp_path / "own").mkdir()
    text = PHOTOS + '\n[calibration]\nfile = "builtin:photos"\n'
    (tmp_path / "own" / "photos.toml").write_text(text)
    including = '[registry]\ninclude = "own/photos.toml"\n'
    shipped = parse_registry(including, tmp_path / "registry.toml").calibration_file
    assert shipped is not None
    assert shipped.name == "photos.calibration.json"
    assert shipped.parent == read_registry("builtin:photos").path.parent
    text = edited(text, ("builtin:photos", "mine.json"))
    (tmp_path / "own" / "photos.toml").write_text(text)
    own = parse_registry(including, tmp_path / "registry.toml").calibration_file
    assert own == tmp_path / "own" / "mine.json"
