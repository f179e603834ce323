"""Other toolkits made from one: another calibration, another dataset; the one they are made from stays."""

import ast
from pathlib import Path

import pytest
import torch

from magdr_core.bench.executors.toolkit_snapshot import parcel_of
from magdr_core.components.batch import Batch
from magdr_core.components.specs import DatasetSpec
from magdr_core.errors import MagdrError, PluginError, RegistryError

CORE = Path(__file__).parents[2] / "magdr_core"

TABLES = """
[dataset.faces]
use = "procedural-faces"
params = { size = 32 }

[calibration]
file = "theirs.json"
clean = 40
"""


class Plain:
    """Grey pictures of one level."""

    size = 32

    def __init__(self, level=0.5, count=30):
        self.level, self.count, self.asked = level, count, []

    def split(self, name):
        return self

    def __len__(self):
        return self.count

    def __getitem__(self, indices):
        self.asked.extend(indices)
        images = torch.full((len(indices), 3, self.size, self.size), self.level)
        return Batch(images, tuple(f"plain-{i}" for i in indices))

    def fingerprint(self):
        return f"plain-{self.level}-{self.count}"


@pytest.fixture
def kit(toolkit_from):
    return toolkit_from(TABLES)


# -- calibration -------------------------------------------------------------------------------------------


def test_another_calibration_file_is_meant_from_the_working_folder(kit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = kit.with_calibration("mine.json")
    assert other.registry.calibration.file == str(tmp_path / "mine.json")
    assert other.registry.calibration.clean == 40
    assert kit.registry.calibration.file == "theirs.json"


def test_no_file_means_that_it_is_computed(kit):
    assert kit.with_calibration().registry.calibration.file == "auto"


def test_other_numbers_are_checked_as_the_registry_s_are(kit):
    assert kit.with_calibration(fit=13, fpr=0.05).registry.calibration.fit == 13
    with pytest.raises(RegistryError, match=r"\[calibration\]: .*no key 'fitt'; did you mean 'fit'"):
        kit.with_calibration(fitt=13)
    with pytest.raises(RegistryError, match=r"\[calibration\]: .*'fit'"):
        kit.with_calibration(fit=2)


def test_a_change_stays_when_the_toolkit_is_extended(kit):
    both = kit.with_calibration("mine.json").extended("[attack.weak]\nuse = 'pgd'")
    assert both.registry.calibration.file.endswith("mine.json")
    assert both.registry.labels("attack") == ["weak"]
    again = both.with_calibration("other.json")
    assert again.registry.text.count("changed in Python") == 1


def test_the_registry_s_text_says_what_was_changed(kit):
    assert kit.registry.text == TABLES
    text = kit.with_calibration("/data/mine.json").registry.text
    assert "# changed in Python: [calibration] file = '/data/mine.json'" in text
    assert text.startswith(TABLES)


def test_a_worker_is_given_the_changes(kit, tmp_path):
    other = kit.with_calibration(tmp_path / "mine.json")
    there = parcel_of(other).unpack(tmp_path)
    assert there.registry == other.registry


# -- datasets ----------------------------------------------------------------------------------------------


def images(toolkit, label):
    return toolkit.build("dataset", label).split("test")[[0, 1]].images


def test_a_dataset_in_memory_takes_the_place_of_a_table(kit):
    before = images(kit, "faces")
    other = kit.with_dataset("faces", Plain(0.25))
    assert (images(other, "faces") == 0.25).all()
    assert torch.equal(images(kit, "faces"), before)
    assert kit.resolve("dataset", "faces").entry.name == "procedural-faces"


def test_a_dataset_may_have_a_label_of_its_own(kit):
    other = kit.with_dataset("Grey_1", Plain()).with_dataset("faces", Plain(0.25))
    assert other.registry.labels("dataset") == ["faces", "Grey_1"]
    assert (images(other, "Grey_1") == 0.5).all()
    assert (images(other, "faces") == 0.25).all()


def test_the_last_dataset_of_a_label_is_meant(kit):
    other = kit.with_dataset("faces", Plain(0.25)).with_dataset("faces", Plain(0.75))
    assert (images(other, "faces") == 0.75).all()


def test_a_dataset_is_keyed_by_its_fingerprint(kit):
    def key(dataset):
        return kit.with_dataset("faces", dataset).resolve("dataset", "faces").key

    assert key(Plain()) == key(Plain())
    assert key(Plain()) != key(Plain(0.25))


def test_one_that_a_spec_makes_is_checked_and_built(kit):
    def plain(*, level: float = 0.75):
        """Grey."""
        return Plain(level)

    spec = DatasetSpec(name="plain", build=plain)
    other = kit.with_dataset("a", spec).with_dataset("b", spec)
    assert (images(other, "a") == 0.75).all()
    assert (images(other, "b") == 0.75).all()

    def needing(*, level: float):
        return Plain(level)

    with pytest.raises(PluginError, match="level"):
        kit.with_dataset("a", DatasetSpec(name="needing", build=needing, summary="x"))


def test_what_the_dataset_gives_is_looked_at(kit):
    class Wrong(Plain):
        def __getitem__(self, indices):
            return super().__getitem__([0])

    with pytest.raises(MagdrError, match="gave images"):
        images(kit.with_dataset("faces", Wrong()), "faces")


def test_the_dataset_that_was_handed_over_is_left_alone(kit):
    class Placed(Plain):
        device = torch.device("meta")

    dataset = Placed()
    built = kit.with_dataset("faces", dataset).build("dataset", "faces")
    assert built.component.device == torch.device("cpu")
    assert dataset.device == torch.device("meta")


def test_a_dataset_survives_an_extension(kit):
    other = kit.with_dataset("faces", Plain(0.25)).extended("[attack.weak]\nuse = 'pgd'")
    assert (images(other, "faces") == 0.25).all()


# -- from outside ------------------------------------------------------------------------------------------


def assigned(tree):
    """Attributes that are assigned to, as `a.b.c`."""
    for node in ast.walk(tree):
        targets = {
            ast.Assign: lambda n: n.targets,
            ast.AugAssign: lambda n: [n.target],
            ast.AnnAssign: lambda n: [n.target],
            ast.Delete: lambda n: n.targets,
        }.get(type(node), lambda n: [])(node)
        for target in targets:
            parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
            yield from (ast.unparse(part) for part in parts if isinstance(part, ast.Attribute))


@pytest.mark.parametrize("text", ["toolkit.resolver.registry = x", "self.toolkit._builder, a = x, y"])
def test_an_edit_from_behind_is_seen(text):
    assert [name for name in assigned(ast.parse(text)) if edits_a_toolkit(name)]


def edits_a_toolkit(name):
    """Whether assigning to this edits a toolkit's inside."""
    owner, _, rest = f".{name}".rpartition("toolkit.")
    return bool(owner) and (rest.startswith("_") or rest.startswith("resolver."))


def test_nobody_edits_a_toolkit_from_behind():
    found = [
        f"{file.relative_to(CORE)}: {name}"
        for file in sorted(CORE.rglob("*.py"))
        if file not in (CORE / "toolkit.py", CORE / "runtime" / "live_registry.py")
        for name in assigned(ast.parse(file.read_text(encoding="utf-8")))
        if edits_a_toolkit(name)
    ]
    assert not found
