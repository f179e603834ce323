"""What disruptors are tested on: smooth pictures, a guarded toy generator, and what holds of all of them."""

from __future__ import annotations

import torch

from magdr_core.components.batch import Condition
from magdr_core.components.objective import build_objective
from magdr_core.components.rng import SampleRng
from magdr_core.functional import resize, to_8bit
from magdr_core.guards import GuardedGenerator
from magdr_core.testing.toys import ToyGenerator

SIDE = 16


def faces(batch=4, side=SIDE, seed=0):
    """Smooth pictures with room on both sides, `[B,3,side,side]`, 8-bit."""
    coarse = torch.rand(batch, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return to_8bit(0.2 + 0.6 * torch.cat([resize(one[None], (side, side)) for one in coarse]))


class Picky(ToyGenerator):
    """Passes on the detail of a picture, and of that some directions far more than others."""

    def forward(self, x, c):
        detail = self.features(x, c)[0]
        return torch.sigmoid(0.5 * (x - 0.5) + 3 * detail[:, :3] + 0 * c.values.sum())


def picky():
    return GuardedGenerator(Picky().eval(), "generator picky")


def toy():
    return GuardedGenerator(ToyGenerator().eval(), "generator toy")


def condition(batch):
    values = torch.tensor([[1.0, 0.0]]).expand(batch, -1)
    return Condition(values, values > 0)


def aim(x, kind="untargeted", generator=None):
    return build_objective(kind, generator or toy(), x, condition(len(x)))


def rng_of(count, seed=0, first=0):
    return SampleRng(seed, "attack", [f"face-{i}" for i in range(first, first + count)])


def run(attack, x, seed=0, kind="untargeted", first=0, generator=None):
    """What an attack makes of images whose ids begin at `first`."""
    return attack(x, aim(x, kind, generator), rng=rng_of(len(x), seed, first))


def noise(x, eps):
    return (x + eps * rng_of(len(x)).sign(*x.shape[1:])).clamp(0, 1)


def check_repeatable_and_per_image(attack, x):
    """The same each time, alone, and in another order; another with another seed."""
    whole = run(attack, x)
    assert torch.equal(run(attack, x), whole)
    for i in (0, len(x) - 1):
        assert torch.equal(run(attack, x[i : i + 1], first=i)[0], whole[i])
    order = torch.arange(len(x) - 1, -1, -1)
    back = attack(x[order], aim(x[order]), rng=rng_of(len(x)).select(order))
    assert torch.equal(back[order], whole)
    assert not torch.equal(run(attack, x, seed=1), whole)


def check_inside(x_hat, x, eps):
    assert float((x_hat - x).abs().max()) <= eps + 2e-6
    assert float(x_hat.min()) >= 0
    assert float(x_hat.max()) <= 1
