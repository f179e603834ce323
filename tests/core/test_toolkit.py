"""Registry plus plugins: resolving, needs, grids, keys, and faults with their place."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from magdr_core.components.params import WeightsFile, marked_parameters
from magdr_core.components.protocols import Family
from magdr_core.errors import RegistryError
from magdr_core.toolkit import Toolkit
from tests.edits import edited

# A defense that needs others, a restoration with every sort of grid value, and things that fail.
MINE = '''
from typing import Annotated
import torch
from magdr_core.api import *

MAGDR_API = 1

class Holder:
    def __init__(self, **parts):
        self.__dict__.update(parts)
    def __call__(self, x, c, G):
        return x.clone()

def takes(*, restorations: object, metric: object, layers: object, strength: float = 1.0):
    return Holder(restorations=restorations, metric=metric, layers=layers, strength=strength)

def looped(*, inner: object):
    return Holder(inner=inner)

def breaks(*, p: int = 1):
    """Fails."""
    raise ZeroDivisionError("no\\nway")

def absent():
    """Needs what is not there."""

def draws(*, weights: Weights = "random", width: int = 3):
    """Draws weights."""
    return torch.nn.Linear(width, 1)

def soften(x, *, eps: Eps = 0.0, scale: float = 1.0, steps: Annotated[int, Field(ge=1)] = 1):
    """Adds eps."""
    return (x * scale + eps).clamp(0, 1)

def helped(*, metric: object, scale: float = 1.0):
    """A restoration with a need."""
    return lambda x: x * scale if callable(metric) else None

@hookimpl
def magdr_defenses():
    needs = {
        "restorations": Need("restoration", depth=1, family=True),
        "metric": Need("metric"),
        "layers": Need("restoration", depth=2),
    }
    return [
        DefenseSpec(name="takes", build=takes, needs=needs, summary="x"),
        DefenseSpec(name="looped", build=looped, needs={"inner": Need("defense")}, summary="x"),
    ]

@hookimpl
def magdr_restorations():
    return [
        RestorationSpec(name="soften", build=stateless(soften),
                        grid={"eps": ["6/255", 0], "scale": [1, 0.5]}),
        RestorationSpec(name="helped", build=helped, needs={"metric": Need("metric")},
                        grid={"scale": [1, 0]}),
        RestorationSpec(name="breaks", build=breaks),
    ]

@hookimpl
def magdr_parsers():
    return [
        ParserSpec(name="absent", build=absent, requires=("no_such_lib",), extra="magdr[absent]"),
        ParserSpec(name="draws", build=draws),
    ]
'''

HEAD = '[plugins]\nlocal = { my = "mine.py" }\n[metric.l1]\n'
TAKES = '[defense.t]\nuse = "my/takes"\n[magdr]\nrestorations = ["r"]\nlayers = [["r"], ["jpeg", "median"]]\n'
SOFTEN = "[restoration.r]\nuse = 'my/soften'\n"


@pytest.fixture
def mine(tmp_path, toolkit_from):
    (tmp_path / "mine.py").write_text(MINE)
    return lambda text="", **options: toolkit_from(HEAD + text, **options)


def fault(action, *args):
    with pytest.raises(RegistryError) as e:
        action(*args)
    assert "\n" not in str(e.value)
    assert str(e.value).count("bad.toml") <= 1, "the place is said once"
    return str(e.value)


# -- unknown things -------------------------------------------------------------------------------------


def test_toolkit_unknown_label_without_table(toolkit_from):
    kit = toolkit_from()
    assert fault(kit.resolve, "attack", "pdg") == "bad.toml: no attack named 'pdg'; did you mean 'pgd'?"
    assert fault(kit.build, "attack", "pdg") == "bad.toml: no attack named 'pdg'; did you mean 'pgd'?"
    assert fault(kit.resolve, "attack", "acme/pgd").startswith("bad.toml: no plugin named 'acme'")


def test_toolkit_suggestions_know_the_registry_s_labels(toolkit_from):
    kit = toolkit_from("[attack.strongest]\nuse = 'pgd'")
    assert "did you mean 'strongest'?" in fault(kit.resolve, "attack", "strogest")
    told = fault(kit.resolve, "attack", "zzz")
    assert told.startswith("bad.toml: no attack named 'zzz'; known: apgd, ")
    known = told.partition("known: ")[2].removesuffix(", ...").split(", ")
    assert known == sorted(["strongest", *(e.name for e in kit.host.entries("attack"))])[: len(known)]


def test_toolkit_unknown_use_names_its_table(toolkit_from):
    kit = toolkit_from("[attack.mine]\nuse = 'pdg'\n[attack.other]\n")
    assert fault(kit.resolve, "attack", "mine") == (
        "bad.toml [attack.mine]: no attack named 'pdg'; did you mean 'pgd'?"
    )
    assert "no attack named 'other'" in fault(kit.resolve, "attack", "other")


def test_toolkit_blocked_component_says_so(toolkit_from):
    kit = toolkit_from("[plugins]\nblock = ['builtin.attacks.pgd']")
    assert fault(kit.resolve, "attack", "pgd") == (
        "bad.toml: no attack named 'pgd': its plugin 'builtin.attacks.pgd' is blocked"
    )
    kit = toolkit_from("[attack.a]\nuse = 'pgd'", block=["builtin.attacks.*"])
    assert fault(kit.resolve, "attack", "a") == (
        "bad.toml [attack.a]: no attack named 'pgd': its plugin 'builtin.attacks.pgd' is blocked"
    )
    assert kit.resolve("metric", "l1")


def test_toolkit_broken_plugin_says_so(tmp_path, toolkit_from):
    (tmp_path / "mine.py").write_text("MAGDR_API = 0")
    kit = toolkit_from(HEAD)
    assert fault(kit.resolve, "attack", "my/x") == (
        "bad.toml: plugin 'my' (mine.py): declares MAGDR_API = 0, this core speaks 1"
    )
    said = fault(toolkit_from, edited(HEAD, ("[metric", "use = ['my']\n[metric")))
    assert said.startswith("bad.toml [plugins] use: plugin 'my' (mine.py): declares")


def test_toolkit_parameter_faults_name_their_table(toolkit_from):
    kit = toolkit_from(
        "[attack.a]\nuse = 'pgd'\nparams = { eps = 3 }\n[attack.b]\nuse = 'pgd'\nparams = {x = 1}"
    )
    said = fault(kit.resolve, "attack", "a")
    assert said.startswith("bad.toml [attack.a]: parameter 'eps' of pgd: 3 is outside")
    assert fault(kit.resolve, "attack", "b") == (
        "bad.toml [attack.b]: pgd has no parameter 'x'; known: eps, step, steps"
    )


def test_toolkit_eps_as_a_fraction(toolkit_from):
    kit = toolkit_from("[attack.a]\nuse = 'pgd'\nparams = { eps = '12/255' }")
    assert kit.resolve("attack", "a").params["eps"] == 12 / 255
    assert kit.build("attack", "a").eps == 12 / 255


def test_toolkit_missing_requirement_names_the_remedy(mine):
    assert fault(mine().resolve, "parser", "my/absent") == (
        "bad.toml parser 'my/absent': my/absent needs no_such_lib, not installed here; "
        "pip install 'magdr[absent]'"
    )


def test_toolkit_missing_weights_are_found_before_building(toolkit_from):
    kit = toolkit_from("[generator.g]\nuse = 'stargan'\nparams = { weights = 'x.safetensors' }")
    said = fault(kit.resolve, "generator", "g")
    assert said.startswith("bad.toml [generator.g]: weight file 'x.safetensors' does not exist (looked in ")


def test_toolkit_factory_that_fails_is_attributed(mine):
    said = fault(mine("[restoration.r]\nuse = 'my/breaks'").build, "restoration", "r")
    assert said == (
        "bad.toml [restoration.r]: restoration my/breaks of my (mine.py): cannot be built: "
        "ZeroDivisionError: no way"
    )


# -- needs and grids ------------------------------------------------------------------------------------


def test_toolkit_injects_needs_from_table_composition_and_declaration(mine):
    kit = mine(TAKES + "[restoration.r]\nuse = 'my/soften'\nparams = { scale = 0.5, eps = 0 }")
    resolved = kit.resolve("defense", "t")
    assert dict(resolved.needs) == {
        "restorations": ["r"],
        "metric": "l1",
        "layers": [["r"], ["jpeg", "median"]],
    }
    built = kit.build("defense", "t").component
    assert isinstance(built.restorations[0], Family)
    assert [len(layer) for layer in built.layers] == [1, 2]
    x = torch.full((1, 3, 4, 4), 0.5)
    assert (built.layers[0][0](x) == 0.25).all()
    replaced = kit.build("defense", "t", metric="ready").component
    assert replaced.metric == "ready"


def test_toolkit_table_s_needs_win_over_the_composition(mine):
    text = edited(TAKES, ('"my/takes"', '"my/takes"\nparams = { layers = [["jpeg"]], metric = "ssim" }'))
    resolved = mine(edited(text, ('["r"]', '["median"]'), first=True)).resolve("defense", "t")
    assert resolved.needs["layers"] == [["jpeg"]]
    assert resolved.needs["metric"] == "ssim"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            edited(TAKES, ("restorations", "#")),
            "[defense.t]: needs restorations: a list of restoration labels",
        ),
        (edited(TAKES, ('["r"]\n', '"r"\n')), "[defense.t]: restorations = 'r': expected a list of labels"),
        (edited(TAKES, ('["r"]\n', "[]\n")), "[defense.t]: restorations = []: expected a list of labels"),
        (
            edited(TAKES, ('[["r"], ["jpeg", "median"]]', '["jpeg"]')) + SOFTEN,
            "[defense.t]: layers = ['jpeg']: expected a list of lists of labels",
        ),
        (TAKES, "[defense.t]: no restoration named 'r'; known: "),
        (
            edited(TAKES, ('["r"]', '["medain"]'), first=True),
            "[defense.t]: no restoration named 'medain'; did you mean 'median'?",
        ),
        (
            TAKES + SOFTEN + "params = { scal = 1 }",
            "[restoration.r]: my/soften has no parameter 'scal'; did you mean 'scale'?",
        ),
        (
            TAKES + SOFTEN + "grid = { steps = [0] }",
            "[restoration.r]: parameter 'steps' of my/soften: ",
        ),
        (
            TAKES + SOFTEN + "grid = { stepz = [1] }",
            "[restoration.r]: my/soften has no parameter 'stepz'; did you mean 'steps'?",
        ),
        (
            TAKES + SOFTEN + "grid = { steps = [] }",
            "[restoration.r]: the grid of my/soften has no setting: an empty list",
        ),
    ],
)
def test_toolkit_faults_in_needs(mine, text, message):
    said = fault(mine(text).resolve, "defense", "t")
    assert said.startswith(f"bad.toml {message}")


def test_toolkit_fault_while_building_a_need_names_the_need_s_table(mine):
    filtered = "[defense.f]\nuse = 'filter'\nparams = { restoration = '%s' }\n"
    kit = mine(filtered % "r" + "[restoration.r]\nuse = 'my/breaks'")
    said = fault(kit.build, "defense", "f")
    assert said.startswith("bad.toml [restoration.r]: restoration my/breaks of my")
    said = fault(mine(filtered % "my/breaks").build, "defense", "f")
    assert said.startswith("bad.toml restoration 'my/breaks': restoration my/breaks of my")


def test_toolkit_need_without_a_declaration(mine, toolkit_from):
    kit = toolkit_from("[defense.f]\nuse = 'filter'")
    assert fault(kit.resolve, "defense", "f") == (
        "bad.toml [defense.f]: needs a restoration (restoration); none is declared"
    )


def test_toolkit_circular_needs(mine):
    kit = mine(
        "[defense.a]\nuse = 'my/looped'\nparams = { inner = 'b' }\n"
        "[defense.b]\nuse = 'my/looped'\nparams = { inner = 'a' }"
    )
    said = fault(kit.resolve, "defense", "a")
    assert said.endswith("needs itself through defense.a -> defense.b -> defense.a")


def settings(kit):
    [family] = kit.build("defense", "t").component.restorations
    return family


def test_toolkit_family_settings_are_validated_values(mine):
    family = settings(mine(TAKES + SOFTEN))
    assert family.label == "r"
    assert [dict(s.params) for s in family.settings] == [
        {"eps": eps, "scale": scale} for eps in (6 / 255, 0.0) for scale in (1.0, 0.5)
    ]
    assert all(isinstance(v, float) for s in family.settings for v in s.params.values())
    x = torch.full((1, 3, 4, 4), 0.5)
    for s in family.settings:
        assert torch.allclose(s.apply(x), x * s.params["scale"] + s.params["eps"])


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("params = { eps = '1/255' }", [{"scale": 1.0}, {"scale": 0.5}]),
        ("params = { eps = 0, scale = 0.5 }", [{}]),
        ("grid = { eps = ['1/255'] }", [{"eps": 1 / 255}]),
        ("grid = {}", [{}]),
        ("params = { scale = 0.5 }\ngrid = { scale = [1] }", [{"scale": 1.0}]),
    ],
)
def test_toolkit_table_narrows_the_grid(mine, table, expected):
    family = settings(mine(TAKES + f"[restoration.r]\nuse = 'my/soften'\n{table}"))
    assert [dict(s.params) for s in family.settings] == expected


def test_toolkit_family_of_a_restoration_with_needs(mine):
    family = settings(mine(TAKES + "[restoration.r]\nuse = 'my/helped'\nparams = { metric = 'ssim' }"))
    x = torch.ones(1, 3, 4, 4)
    assert [float(s.apply(x).mean()) for s in family.settings] == [1.0, 0.0]


# -- keys -----------------------------------------------------------------------------------------------


def test_toolkit_key_holds_what_changes_results_and_nothing_else(mine, tmp_path):
    def key(table="", label="a"):
        return mine(f"[restoration.{label}]\nuse = 'my/soften'\n{table}").resolve("restoration", label).key

    assert key() == key(label="b"), "a label changes nothing"
    assert key() == key("params = { scale = 1 }"), "nor does a default that is written out"
    assert key("params = { eps = '51/255' }") == key("params = { eps = 0.2 }")
    assert key() != key("params = { scale = 2 }")
    before = key()
    (tmp_path / "mine.py").write_text(MINE + "# changed\n")
    edited = Toolkit.from_registry(tmp_path / "bad.toml").resolve("restoration", "a").key
    assert edited != before, "the source of a local file counts"


def test_toolkit_key_includes_needs_weights_and_objective(mine, tmp_path):
    def key(kind, label, text):
        return mine(text).resolve(kind, label).key

    t = TAKES + "[restoration.r]\nuse = 'my/soften'\n"
    assert key("defense", "t", t) != key("defense", "t", t + "params = { steps = 2 }")
    assert key("defense", "t", t) != key("defense", "t", t + "grid = { eps = [0] }")
    a = "[attack.a]\nuse = 'pgd'\n"
    assert key("attack", "a", a) != key("attack", "a", a + "objective = 'towards-input'")
    w = "[parser.p]\nuse = 'my/draws'\nparams = { weights = 'w.pt' }"
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pt")
    first = key("parser", "p", w)
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pt")
    assert first != key("parser", "p", w), "the weights' content, not their name"


# -- building -------------------------------------------------------------------------------------------


def test_toolkit_building_leaves_the_global_random_state(mine):
    kit = mine()
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    first, second = kit.build("parser", "my/draws").component, kit.build("parser", "my/draws").component
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()
    assert states[2] == random.getstate()
    assert torch.equal(first.weight, second.weight), "initial weights come from the registry's seed"
    third = mine("[registry]\nseed = 5").build("parser", "my/draws").component
    assert not torch.equal(first.weight, third.weight)
    assert not any(p.requires_grad for p in first.parameters())


def test_toolkit_device(toolkit_from):
    assert toolkit_from("[registry]\ndevice = 'cpu'", device=None).device == torch.device("cpu")
    with pytest.raises(RegistryError, match="device 'gpu' is not one of auto, cpu, cuda"):
        toolkit_from(device="gpu")
    if not torch.cuda.is_available():
        assert toolkit_from(device="auto").device == torch.device("cpu")
        with pytest.raises(RegistryError, match="CUDA is not available here; use --device cpu"):
            toolkit_from(device="cuda")


def test_toolkit_generator_and_rng(toy):
    kit = toy("[registry]\nseed = 4")
    assert kit.generator("toy").size == 16
    a = kit.rng("pgd", ["x", "y"])
    assert torch.equal(a.bits(3)[1:], kit.rng("pgd", ["y"], seed=4).bits(3))
    assert not torch.equal(kit.rng("pgd", ["y"]).bits(3), kit.rng("pgd", ["y"], seed=5).bits(3))


@pytest.mark.parametrize("kind", ["metric", "augmentation", "restoration", "attack", "parser", "generator"])
def test_toolkit_every_builtin_builds(toolkit_from, kind):
    """With its defaults, or `random` weights; components with needs are tested with a composition."""
    kit = toolkit_from()
    kit.host.load("builtin")
    entries = [e for e in kit.host.entries(kind) if not e.spec.needs and not e.spec.missing]
    assert entries
    for entry in entries:
        random_weights = "".join(
            f"{name} = 'random'\n" for name in marked_parameters(entry.spec.schema, WeightsFile)
        )
        kit = toolkit_from(f"[{kind}.{entry.name}.params]\n{random_weights}")
        assert kit.build(kind, entry.name).where.startswith(f"{kind} {entry.name} of {entry.origin.plugin}")


# -- what would take too much ---------------------------------------------------------------------------


def test_toolkit_grid_of_too_many_settings_is_counted_not_tried(toolkit_from):
    grid = ", ".join(f"{name} = {list(range(1, 100))}" for name in ("sigma_color", "sigma_space", "kernel"))
    kit = toolkit_from(
        f"[restoration.b]\nuse = 'bilateral'\ngrid = {{ {grid} }}\n"
        "[defense.d]\nuse = 'fixed-chain'\nparams = { layers = [['b']] }"
    )
    said = fault(kit.resolve, "defense", "d")
    assert (
        said == "bad.toml [restoration.b]: the grid of bilateral has 970,299 settings, at most 128 are tried"
    )


def test_toolkit_layers_of_too_many_chains_are_counted_not_tried(toolkit_from):
    layers = [["jpeg", "median"]] * 24
    kit = toolkit_from(f"[defense.d]\nuse = 'fixed-chain'\nparams = {{ layers = {layers} }}")
    said = fault(kit.resolve, "defense", "d")
    assert said.startswith("bad.toml [defense.d]: layers: 24 layers make 1.0e+31 chains of restorations")
    assert toolkit_from(f"[defense.d]\nuse = 'fixed-chain'\nparams = {{ layers = {layers[:4]} }}").resolve(
        "defense", "d"
    )


def test_toolkit_components_that_double_with_every_level_are_counted_not_built(toolkit_from):
    tables = ["[defense.d0]\nuse = 'identity'"]
    for i in range(1, 40):
        tables.append(f"[defense.d{i}]\nuse = 'best-of'\nparams = {{ defenses = ['d{i - 1}', 'd{i - 1}'] }}")
    said = fault(toolkit_from("\n".join(tables)).resolve, "defense", "d39")
    assert "needs more than 10,000 components in all" in said


def test_toolkit_untrained_network_is_bounded_while_it_is_built(toolkit_from):
    text = "[generator.g]\nuse = 'stargan'\nparams = {{ weights = 'random', width = {}, blocks = {} }}"
    said = fault(toolkit_from(text.format(256, 16)).build, "generator", "g")
    assert said == (
        "bad.toml [generator.g]: an untrained network may have 134,217,728 weights, this one would have "
        "more; take a smaller width, or fewer blocks"
    )
    assert toolkit_from(text.format(8, 1)).build("generator", "g")


@pytest.mark.parametrize("name", ["mps", "xpu", "meta", "cpu:7", "cuda:99999999999", "", "gpu", "x" * 1000])
def test_toolkit_devices_that_magdr_does_not_run_on_are_refused(toolkit_from, name):
    text = f"[registry]\ndevice = '{name}'"
    with pytest.raises(RegistryError, match="is not one of auto, cpu, cuda, cuda:N") as e:
        toolkit_from(text, device=None)
    assert len(str(e.value)) < 250
