"""One attack per image, drawn by the image's own stream."""

import pytest
import torch

from magdr_core.components.batch import Condition
from magdr_core.components.objective import build_objective
from magdr_core.errors import MagdrError
from tests.edits import edited

TABLES = """
[attack.weak]
use = "pgd"
params = { eps = "2/255", steps = 2 }
[attack.strong]
use = "pgd"
params = { eps = "8/255", steps = 2 }
[attack.mixed]
params = { attacks = ["weak", "strong"], eps = "8/255" }
"""


def attacked(kit, ids, label="mixed"):
    generator = torch.Generator().manual_seed(0)
    everyone = torch.randint(40, 200, (12, 3, 16, 16), generator=generator).float() / 255
    rows = [int(i) for i in ids]
    x = everyone[rows]
    c = Condition(
        torch.tensor([[1.0, 0.0]]).expand(len(x), -1), torch.tensor([[True, False]]).expand(len(x), -1)
    )
    objective = build_objective("untargeted", kit.generator("toy"), x, c)
    return kit.build("attack", label)(x, objective, rng=kit.rng(label, ids)), x


def test_every_image_gets_one_of_the_attacks_and_all_attacks_occur(toy):
    x_hat, x = attacked(toy(TABLES), [str(i) for i in range(12)])
    moved = ((x_hat - x).abs().flatten(1).amax(1) * 255).round().int().tolist()
    assert set(moved) == {2, 8}


def test_an_image_gets_the_same_attack_alone_and_in_any_batch(toy):
    kit = toy(TABLES)
    together, _ = attacked(kit, [str(i) for i in range(12)])
    alone, _ = attacked(kit, ["7"])
    assert torch.equal(together[7:8], alone)


def test_eps_must_cover_the_strongest_of_them(toy):
    kit = toy(edited(TABLES, ('"strong"], eps = "8/255"', '"strong"], eps = "4/255"')))
    with pytest.raises(MagdrError, match="goes up to"):
        kit.build("attack", "mixed")
