"""docs/checkpoints.md: its registry lines build the published networks, and its advice works."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from magdr_core.cli import weights
from magdr_core.errors import RegistryError
from magdr_core.registry.read import parse_registry
from magdr_core.toolkit import Toolkit
from tests.edits import edited

BLOCKS = (
    (Path(__file__).parents[1] / "docs" / "checkpoints.md").read_text(encoding="utf-8").split("```")[1::2]
)
REGISTRIES = [b.removeprefix("toml") for b in BLOCKS if b.startswith("toml")]

FACES = '\n[dataset.faces]\nuse = "procedural-faces"\n'

# Trainable numbers of the published networks.
PARAMETERS = {
    **{"stargan": 8_430_528, "cyclegan": 11_378_179, "ganimation": 8_471_296, "bisenet": 13_300_416},
    **{"aggan": 8_433_664, "attentiongan": 11_822_949, "attgan": 43_352_707, "hisd": 19_043_939},
    **{"simswap": 55_051_779, "fomm": 59_790_759, "arcface": 43_590_848},
    **{"xception": 20_811_050, "meso4": 27_898, "meso-inception4": 28_525},
}


@pytest.mark.parametrize("text", REGISTRIES, ids=lambda text: text.split('use = "')[1].split('"')[0])
def test_a_documented_line_builds_the_published_network(tmp_path, text):
    path = tmp_path / "mine.toml"
    registry = parse_registry(text, path)
    (kind, label), instance = next(iter(registry.instances.items()))
    files = [one.params["weights"] for one in registry.instances.values()]
    file = files[0]
    with pytest.raises(RegistryError, match=f"weight file '{file}' does not exist"):
        Toolkit(registry, device="cpu").build(kind, label)
    untrained = parse_registry(edited(text, *((one, "random") for one in files)) + FACES, path)
    built = Toolkit(untrained, device="cpu").build(kind, label).component
    assert sum(p.numel() for p in built.parameters()) == PARAMETERS[instance.use]


def test_all_documented_components_are_covered():
    uses = {text.split('use = "')[1].split('"')[0] for text in REGISTRIES}
    assert uses == set(PARAMETERS)


def test_unwrapping_as_documented(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"module.a": torch.ones(2)}, "optimizer": {}, "epoch": 3}, "model.pth")
    (line,) = (b.strip() for b in BLOCKS if b.strip().startswith("magdr weights convert"))
    weights.command.main(line.split()[2:], standalone_mode=False)
    assert load_file("generator.safetensors")["a"].shape == (2,)
