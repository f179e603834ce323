"""Component specs: what is checked when one is written, and `stateless`."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import torch
from pydantic import Field

from magdr_core.components.fingerprints import source_of
from magdr_core.components.params import validate
from magdr_core.components.rng import SampleRng
from magdr_core.components.specs import (
    SPECS,
    AttackSpec,
    AugmentationSpec,
    DefenseSpec,
    MetricSpec,
    Need,
    RestorationSpec,
    stateless,
)


def add(x, *, amount: Annotated[float, Field(ge=0)] = 0.25, rng: SampleRng | None = None):
    """Add a number.

    More text.
    """
    return x + amount


def sub(x, *, amount: float = 0.25):
    return x - amount


def spec(**fields):
    return RestorationSpec(**{"name": "add", "build": stateless(add), **fields})


def test_specs_kinds_are_the_design_s():
    kinds = "metric augmentation restoration generator parser attack detector defense dataset"
    assert list(SPECS) == [*kinds.split(), "forgery", "forensic", "finder", "channel", "identity_encoder"]
    assert all(SPECS[kind].kind == kind for kind in SPECS)


@pytest.mark.parametrize("name", ["", "Add", "a_b", "-a", "a-", "a--b", "a/b", "a b", "ä"])
def test_specs_reject_bad_names(name):
    with pytest.raises(ValueError, match="lower-case letters"):
        spec(name=name)


@pytest.mark.parametrize("name", ["a", "bit-depth", "l1", "3d-x-9"])
def test_specs_accept_good_names(name):
    assert spec(name=name).name == name


def test_specs_are_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec().name = "other"
    with pytest.raises(TypeError):
        RestorationSpec("add", stateless(add))


def test_specs_reject_what_the_factory_does_not_have():
    with pytest.raises(TypeError, match=r"needs \['parser'\] are not parameters"):
        DefenseSpec(name="x", build=stateless(add), needs={"parser": Need("parser")})
    with pytest.raises(TypeError, match=r"grid names \['radius'\] are not parameters"):
        spec(grid={"radius": [1]})
    with pytest.raises(TypeError, match="needs a parameter eps"):
        AttackSpec(name="x", build=stateless(add))
    with pytest.raises(TypeError, match="needs to_distance"):
        MetricSpec(name="x", build=stateless(add), higher_is_better=True)
    with pytest.raises(TypeError, match="must be a factory, got int"):
        spec(build=3)
    with pytest.raises(TypeError, match="must be keyword-only"):
        spec(build=lambda x: x)


def test_specs_summary_is_the_docstring_s_first_line_unless_given():
    assert spec().summary == "Add a number."
    assert spec(summary="mine").summary == "mine"
    assert AugmentationSpec(name="sub", build=stateless(sub)).summary == ""


def test_specs_take_a_class_for_its_own_factory():
    class Add:
        """Adds a number.

        More text.
        """

        def __init__(self, *, parser: object, amount: float = 0.25):
            self.amount = amount

    made = DefenseSpec(name="add", build=Add, needs={"parser": Need("parser")})
    assert made.summary == "Adds a number."
    assert list(made.schema.model_fields) == ["amount"]
    with pytest.raises(TypeError, match=r"needs \['scorer'\] are not parameters"):
        DefenseSpec(name="add", build=Add, needs={"scorer": Need("parser")})
    with pytest.raises(TypeError, match="needs a parameter eps"):
        AttackSpec(name="add", build=Add)


def test_specs_of_a_dataclass_without_words_have_no_summary():
    @dataclasses.dataclass(kw_only=True)
    class Add:
        amount: float = 0.25

    assert Add.__doc__.startswith("Add("), "what dataclasses writes"
    assert DefenseSpec(name="add", build=Add).summary == ""


def test_source_of_a_class_is_its_file_whatever_its_methods_are_called():
    class Data:
        def fingerprint(self):
            return "the pictures'"

    class Keyed:
        fingerprint = "v1"

    file, digest = source_of(Data)
    assert Path(file) == Path(__file__)
    assert digest == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    assert source_of(Keyed) == (file, "v1")


def test_source_of_a_class_from_a_shell_is_by_chance():
    program = "from magdr_core.components.fingerprints import source_of\nclass T: pass\nprint(*source_of(T))"
    once, again = (
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    )
    assert once != again
    assert len(once.strip()) == 64


def test_specs_missing_lists_what_cannot_be_imported():
    names = ("torch", "no_such_thing", "no_such_thing.inner", "torch.nn", "torch.no_such_thing")
    assert spec(requires=names).missing == ["no_such_thing", "no_such_thing.inner", "torch.no_such_thing"]


def test_specs_schema_leaves_out_needs():
    def build(*, parser: object, strength: float = 1.0):
        return None

    schema = DefenseSpec(name="x", build=build, needs={"parser": Need("parser")}).schema
    assert list(schema.model_fields) == ["strength"]


def test_stateless_parameters_are_the_keyword_only_ones_without_rng():
    assert list(spec().schema.model_fields) == ["amount"]
    assert validate(spec().schema, {"amount": 1}, "add") == {"amount": 1.0}


def test_stateless_binds_parameters_and_undo():
    factory = stateless(add, undo=sub)
    x = torch.zeros(1, 3, 2, 2)
    component = factory(amount=0.5)
    assert (component(x) == 0.5).all()
    assert torch.equal(component.undo(component(x)), x)
    assert (component(x, rng=None) == 0.5).all()
    assert not hasattr(stateless(add)(), "undo")
    assert (factory(amount=0.1)(x) == 0.1).all(), "components of one factory are independent"
    assert (component(x) == 0.5).all()
