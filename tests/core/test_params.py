"""Signatures as parameter schemas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field
from torch import nn

from magdr_core.components.params import (
    Eps,
    ParameterError,
    Weights,
    WeightsFile,
    describe,
    factory_parameters,
    marked_parameters,
    schema_of,
    validate,
)
from magdr_core.errors import DataError
from magdr_core.files.user_files import user_path


def build(
    *,
    radius: Annotated[int, Field(ge=1, le=5)] = 1,
    sigma: Annotated[float, Field(gt=0)] = 0.5,
    eps: Eps = 6 / 255,
    names: tuple[str, ...] = ("a",),
    weights: Weights = "random",
    other=None,
):
    """Annotations are strings here."""


SCHEMA = schema_of(build, frozenset({"other"}), "restoration x")


def check(**values):
    return validate(SCHEMA, values, "acme/x")


def fault(**values):
    with pytest.raises(ParameterError) as e:
        check(**values)
    assert "\n" not in str(e.value)
    return str(e.value)


def test_params_defaults_are_filled_in_and_injected_names_left_out():
    assert check() == {"radius": 1, "sigma": 0.5, "eps": 6 / 255, "names": ("a",), "weights": "random"}


def test_params_values_are_converted():
    given = check(eps="6/255", names=["x", "y"], sigma=2)
    assert given["eps"] == 6 / 255
    assert given["names"] == ("x", "y")
    assert isinstance(given["sigma"], float)


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), (" 12 / 255 ", 12 / 255), ("0.1", 0.1), (1, 1.0)])
def test_params_eps_forms(text, value):
    assert check(eps=text)["eps"] == value


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"radious": 3}, "acme/x has no parameter 'radious'; did you mean 'radius'?"),
        ({"zzz": 3}, "acme/x has no parameter 'zzz'; known: eps, names, radius, sigma, weights"),
        ({"other": 3}, "acme/x has no parameter 'other'"),
        ({"radius": 9}, "parameter 'radius' of acme/x: input should be less than or equal to 5, got 9"),
        ({"radius": "3"}, "parameter 'radius' of acme/x: expected an integer, got '3'"),
        ({"radius": True}, "parameter 'radius' of acme/x: expected a number, got True"),
        ({"radius": 1.5}, "parameter 'radius' of acme/x"),
        ({"sigma": "0.5"}, "parameter 'sigma' of acme/x: expected a number, got '0.5'"),
        ({"sigma": float("nan")}, "parameter 'sigma' of acme/x: input should be greater than 0"),
        ({"sigma": [1]}, "parameter 'sigma' of acme/x: input should be a valid number, got [1]"),
        ({"names": "ab"}, "parameter 'names' of acme/x: input should be a valid tuple, got 'ab'"),
        ({"names": ["a", 3]}, "parameter 'names.1' of acme/x: input should be a valid string, got 3"),
        ({"eps": True}, "parameter 'eps' of acme/x: expected a number, got True"),
        ({"eps": "six"}, "parameter 'eps' of acme/x: 'six' is not a number or a fraction such as \"6/255\""),
        ({"eps": "1/0"}, "'1/0' is not a number"),
        ({"eps": -0.1}, "parameter 'eps' of acme/x: -0.1 is outside [0, 1]"),
        ({"eps": float("nan")}, "nan is outside [0, 1]"),
        ({"eps": "300/255"}, "parameter 'eps' of acme/x: '300/255' is outside [0, 1]"),
    ],
)
def test_params_faults_are_one_clear_line(values, text):
    assert fault(**values).startswith(text) or text in fault(**values)


def test_params_eps_in_8bit_steps_is_told_how_to_write_it():
    assert fault(eps=3) == (
        "parameter 'eps' of acme/x: 3 is outside [0, 1]; strengths are in [0,1] units, write 8-bit steps as "
        '"3/255"'
    )
    assert "/255" not in fault(eps=-1)
    assert "/255" not in fault(eps=1000)


def test_params_a_bad_default_is_found():
    def wrong(*, radius: Annotated[int, Field(ge=3)] = 1):
        pass

    schema = schema_of(wrong, frozenset(), "x")
    with pytest.raises(ParameterError, match="radius"):
        validate(schema, {}, "x")


def test_params_signature_faults():
    def positional(radius: int = 1):
        pass

    def untyped(*, radius=1):
        pass

    def required(*, radius: int):
        pass

    def many(**kwargs: int):
        pass

    for factory, text in [
        (positional, "must be keyword-only"),
        (many, "must be keyword-only"),
        (untyped, "has no annotation"),
        (required, "has no default"),
    ]:
        with pytest.raises(TypeError, match=text):
            schema_of(factory, frozenset(), "x")


class Blur:
    radius: str  # of the live component; no parameter's type

    def __init__(self, *, radius: Annotated[int, Field(ge=1, le=5)] = 1, eps: Eps = 6 / 255):
        self.radius = str(radius)


class StrongBlur(Blur):
    """Has its parameters from above."""


@dataclass(frozen=True, kw_only=True)
class Record:
    radius: Annotated[int, Field(ge=1, le=5)] = 1
    eps: Eps = 6 / 255


@pytest.mark.parametrize("made", [Blur, StrongBlur, Record])
def test_params_a_class_s_signature_is_its_schema(made):
    schema = schema_of(made, frozenset(), "x")
    assert validate(schema, {"eps": "12/255"}, "x") == {"radius": 1, "eps": 12 / 255}
    assert [row[:2] for row in describe(schema)] == [("radius", "int >= 1 <= 5"), ("eps", "float")]
    with pytest.raises(ParameterError, match="parameter 'radius' of x: input should be less than"):
        validate(schema, {"radius": 6}, "x")


def test_params_a_class_s_faults_name_it():
    class Positional:
        def __init__(self, radius: int = 1):
            pass

    class Untyped:
        def __init__(self, *, radius=1):
            pass

    with pytest.raises(TypeError, match=r"parameter 'radius' of .*Positional must be keyword-only"):
        schema_of(Positional, frozenset(), "x")
    with pytest.raises(TypeError, match=r"parameter 'radius' of .*Untyped has no annotation"):
        schema_of(Untyped, frozenset(), "x")


@pytest.mark.parametrize("base", [object, nn.Module])
def test_params_a_class_without_init_takes_none(base):
    made = type("Plain", (base,), {})
    assert schema_of(made, frozenset(), "x").model_fields == {}


def test_params_what_core_injects_may_stand_before_the_star():
    class Loop:
        def __init__(self, detector: object, *, rounds: int = 2):
            pass

    assert list(schema_of(Loop, frozenset({"detector"}), "x").model_fields) == ["rounds"]
    with pytest.raises(TypeError, match=r"'detector' of .* must be keyword-only"):
        factory_parameters(Loop)


def test_params_weights_are_recognised():
    assert marked_parameters(SCHEMA, WeightsFile) == ["weights"]


def test_params_describe_shows_type_limits_and_default():
    rows = {name: (kind, default) for name, kind, default in describe(SCHEMA)}
    assert rows["radius"] == ("int >= 1 <= 5", "1")
    assert rows["sigma"] == ("float > 0", "0.5")
    assert rows["names"] == ("tuple[str, ...]", "('a',)")


def test_params_describe_shows_a_path_as_text():
    def factory(*, file: Path = Path("a/b")):
        pass

    assert describe(schema_of(factory, frozenset(), "x")) == [("file", "Path", "a/b")]


def test_data_paths_start_from_the_registry(tmp_path, monkeypatch):
    monkeypatch.setenv("PICTURES", "mine")
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    assert user_path("faces", tmp_path, error=DataError) == (tmp_path / "faces")
    assert user_path("$PICTURES/faces", tmp_path, error=DataError) == (tmp_path / "mine" / "faces")
    assert user_path("~/faces", tmp_path, error=DataError) == (home / "faces")
    assert user_path("/data/faces", tmp_path, error=DataError) == Path("/data/faces")


@pytest.mark.parametrize(
    "text", ["1e999999999", "1e999999999/255", "9" * 400, "1/0", "6/255; x", "nan", "inf"]
)
def test_params_fraction_that_is_none_or_too_large_is_told_at_once(text):
    with pytest.raises(ParameterError, match="parameter 'eps' of x"):
        validate(SCHEMA, {"eps": text}, "x")


FRACTIONS = [("6/255", 6 / 255), (" 1 / 4", 0.25), ("0.05", 0.05), ("1e-3", 0.001)]


@pytest.mark.parametrize(("text", "value"), FRACTIONS)
def test_params_fractions_are_numbers(text, value):
    assert validate(SCHEMA, {"eps": text}, "x")["eps"] == value
