"""Components made in Python: a network as a generator, a defense in a benchmark, without a plugin file."""

import pytest
import torch
from torch import nn

from magdr_core import Bench
from magdr_core.api import DefenseSpec, RestorationSpec, stateless
from magdr_core.components.batch import Condition
from magdr_core.errors import DataError, PluginError, RegistryError
from magdr_core.functional import PARTS
from magdr_core.inference import generator_spec
from magdr_core.toolkit import Toolkit


class Tint(nn.Module):
    """Moves colours by the condition; works on [-1,1]."""

    def __init__(self, entries=2):
        super().__init__()
        self.mix = nn.Linear(entries, 3)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x, values):
        return (x + self.mix(values)[:, :, None, None]).clamp(-1, 1)


CONDITIONS = {"Blond_Hair": ["hair"], "Smiling": ["mouth", "skin"]}


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Tint()


@pytest.fixture(scope="session")
def small(workshop):
    return Toolkit.from_registry(workshop / "small.toml", device="cpu")


def spec_of(net, **options):
    return generator_spec(net, **{"name": "tint", "size": 32, "conditions": CONDITIONS} | options)


def test_a_network_is_a_generator(small, net):
    toolkit = small.with_generator(
        "tint", net, size=32, dataset="faces", conditions=CONDITIONS, value_range="symmetric"
    )
    G = toolkit.generator("tint")
    assert G.condition_names == ("Blond_Hair", "Smiling")
    x, c = torch.rand(2, 3, 32, 32), Condition(torch.ones(2, 2), torch.eye(2).bool())
    expected = (net(x * 2 - 1, c.values) + 1) / 2
    assert torch.allclose(G(x, c), expected, atol=1e-6)
    parts = [[p for p, on in zip(PARTS, row, strict=True) if on] for row in G.edited(c)]
    assert parts == [["hair"], ["skin", "mouth"]]
    # Core froze its copy; the network that was handed over is as it was.
    assert net.training
    assert all(p.requires_grad for p in net.parameters())


def test_magdr_stands_before_it_after_a_calibration_of_its_own(small, net, workshop, faces):
    toolkit = small.with_generator(
        "tint", net, size=32, dataset="faces", conditions=CONDITIONS, value_range="symmetric"
    )
    seen = []
    options = {"cache": workshop / "cache", "progress": lambda what, done, total: seen.append(what)}
    magdr = toolkit.magdr("tint", **options)
    assert any("thresholds" in what for what in seen)
    verdicts = magdr.detect(faces, edits={"Smiling": 1})
    assert len(verdicts) == 3
    # It is kept under the network's weights: the same ones find it, others do not.
    seen.clear()
    toolkit.magdr("tint", **options)
    assert seen == []


def test_the_network_is_what_its_results_are_keyed_by(net):
    key = spec_of(net).build.fingerprint
    assert key == spec_of(net).build.fingerprint
    assert key != spec_of(net, size=64).build.fingerprint
    assert key != spec_of(net, conditions=dict(reversed(CONDITIONS.items()))).build.fingerprint
    with torch.no_grad():
        net.mix.weight[0, 0] += 1e-3
    assert key != spec_of(net).build.fingerprint


def test_training_on_does_not_change_the_generator_that_was_made(small, net):
    x, c = torch.zeros(1, 3, 32, 32), Condition(torch.zeros(1, 2), torch.ones(1, 2).bool())
    with torch.no_grad():
        net.mix.bias.fill_(0.25)
        toolkit = small.with_generator("tint", net, size=32, dataset="faces", conditions=CONDITIONS)
        expected = toolkit.generator("tint")(x, c)
        net.mix.bias.fill_(0.5)
        assert torch.equal(toolkit.generator("tint")(x, c), expected)


def test_drawn_edits_change_one_thing_and_hair_has_one_colour(small, faces):
    conditions = {"Black_Hair": ["hair"], "Blond_Hair": ["hair"], "Smiling": ["mouth"]}
    G = small.with_generator("three", Tint(3), size=32, dataset="faces", conditions=conditions).generator(
        "three"
    )
    batch = small.build("dataset", "faces").split("test")[list(range(40))]
    c = G.draw(batch, small.rng("draw", batch.ids))
    assert c.changed.any(1).all()
    assert (c.values[:, :2].sum(1) <= 1).all()
    smiles = batch.attributes["Smiling"]
    unsmiled = c.changed[:, 2]
    assert torch.equal(c.values[unsmiled, 2], 1 - smiles[unsmiled])
    assert 0 < int(unsmiled.sum()) < 40


def test_a_network_without_conditions_names_its_region(small, faces):
    toolkit = small.with_generator("plain", nn.Identity(), size=32, dataset="faces", region=["mouth", "nose"])
    G = toolkit.generator("plain")
    c = Condition(torch.zeros(3, 0), torch.zeros(3, 0).bool())
    assert torch.equal(G(faces, c), faces)
    assert [p for p, on in zip(PARTS, G.edited(c)[0], strict=True) if on] == ["nose", "mouth"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"conditions": {"Blond_Hair": ["hiar"]}}, "unknown part 'hiar'"),
        ({"conditions": {}, "region": []}, "say which face parts"),
        ({"value_range": "bytes"}, "value_range = 'bytes'"),
    ],
)
def test_a_wrong_description_is_refused(net, options, words):
    with pytest.raises(DataError, match=words):
        spec_of(net, **options)


@pytest.mark.parametrize(
    ("net", "words"), [(lambda x, c: x, "got a function"), (torch.nn.Identity, "got the class")]
)
def test_what_is_no_network_is_refused(net, words):
    with pytest.raises(DataError, match=rf"a generator is a torch\.nn\.Module, {words}"):
        spec_of(net)


def test_a_missing_dataset_is_named(small, net):
    with pytest.raises(RegistryError, match=r"no \[dataset.face\]; did you mean 'faces'"):
        small.with_generator("tint", net, size=32, dataset="face", conditions=CONDITIONS)


# -- further tables --------------------------------------------------------------------------------------


def grey(x, c, G, *, level: float = 0.5):
    """Everything grey."""
    return torch.full_like(x, level)


GREY = DefenseSpec(name="grey", build=stateless(grey))
TABLES = """
[defense.greyed]
use = "mine/grey"
params = { level = 0.25 }

[profile.mine]
samples = 2
attacks = ["noise"]
defenses = ["identity", "greyed"]
"""


def test_a_defense_from_python_is_benchmarked_beside_the_others(small, workshop, tmp_path):
    toolkit = small.extended(TABLES, plugins={"mine": [GREY]})
    bench = Bench(toolkit, "mine", out=tmp_path / "run", cache=workshop / "cache", report=pytest.fail)
    rows = {
        row["component"]: row["value"]
        for row in bench.run().rows
        if row["metric"] == "mse_i" and row["attack"] == "none"
    }
    assert rows["identity"] == 0
    clean = toolkit.build("dataset", "faces").split("test")[[0, 1]].images
    level = round(0.25 * 255) / 255
    assert rows["greyed"] == pytest.approx(float((clean - level).square().mean()) * 255**2, rel=1e-4)
    assert "mine/grey" in (tmp_path / "run" / "manifest.json").read_text()


def test_the_toolkit_that_was_extended_stays_as_it_is(small):
    small.extended(TABLES, plugins={"mine": [GREY]})
    assert "mine" not in small.registry.profiles
    with pytest.raises(RegistryError, match="no defense named 'greyed'"):
        small.resolve("defense", "greyed")


def test_extensions_add_up(small):
    first = small.extended(TABLES, plugins={"mine": [GREY]})
    other = RestorationSpec(name="same", build=stateless(lambda x: x.clone()))
    both = first.extended('[restoration.same]\nuse = "mine/same"', plugins={"mine": [other]})
    assert both.resolve("defense", "greyed").entry.name == "mine/grey"
    assert both.resolve("restoration", "same").entry.name == "mine/same"


@pytest.mark.parametrize(
    ("text", "plugins", "error", "words"),
    [
        ("[defense.magdr]\n", {}, RegistryError, "not valid TOML"),
        ('[defense.x]\nuse = "mine/gray"', {"mine": [GREY]}, RegistryError, "did you mean 'mine/grey'"),
        ("", {"builtin": [GREY]}, PluginError, "a plugin is called 'builtin' already"),
        ("", {"mine": [grey]}, PluginError, "expected component specs"),
        ("", {"mine": [GREY, GREY]}, PluginError, "registered already"),
    ],
)
def test_wrong_extensions_are_refused(small, text, plugins, error, words):
    with pytest.raises(error, match=words):
        small.extended(text, plugins=plugins).resolve("defense", "x")


def test_what_was_written_in_a_file_is_keyed_by_it_and_what_was_typed_by_nothing(small):
    def key(spec):
        return small.extended('[defense.x]\nuse = "mine/typed"', {"mine": [spec]}).resolve("defense", "x").key

    here = DefenseSpec(name="typed", build=stateless(grey))
    assert key(here) == key(here)
    names = {}
    exec("def typed(x, c, G):\n    return x", names)
    shell = DefenseSpec(name="typed", build=stateless(names["typed"]))
    assert key(shell) != key(shell)
