"""PGD that knows the purifier and nothing else: what is left of the purifier, and of MagDR that may pick it.

    python benchmarks/through_purifier.py [SAMPLES]

Prints output MSE (0 to 255 squared): undefended, through the purifier alone, and through MagDR, with
95% intervals. This is no adaptive attack on MagDR: its detector and its choice are not attacked.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from magdr_core import Toolkit
from magdr_core.components.batch import Condition
from magdr_core.components.objective import DisruptionObjective
from magdr_core.functional import mse
from magdr_core.measures.intervals import interval
from magdr_core.measures.statistics import MEAN
from magdr_core.runtime.samples import draw_samples

PURIFIER = "purifier-editing"
FIRST = 1000
BATCH = 16


class Purified:
    """G behind a purifier, for the attacker."""

    def __init__(self, G, purify) -> None:
        self.G, self.purify = G, purify
        self.passes = 0
        self.size, self.condition_names = G.size, G.condition_names

    def __call__(self, x: Tensor, c: Condition) -> Tensor:
        return self.G(self.purify(x), c)


def main(samples: int) -> None:
    toolkit = Toolkit.from_registry()
    magdr = toolkit.magdr("editing")
    G, purify = magdr.generator, toolkit.build("restoration", PURIFIER)
    split = toolkit.build("dataset", toolkit.registry.labels("dataset")[0]).split("test")
    clean = draw_samples(split, G, first=FIRST, count=samples, seed=0)[0]
    attack = toolkit.build("attack", "pgd")
    values: dict[str, list[Tensor]] = {}
    flagged = 0
    for batch in clean.batches(BATCH):
        objective = DisruptionObjective(Purified(G, purify), batch.images, batch.conditions)
        x = attack(batch.images, objective, rng=toolkit.rng("through-purifier", batch.ids))
        with torch.no_grad():
            reference = G(batch.images, batch.conditions)
            outcome = magdr.defend(x, batch.conditions)
            flagged += int(outcome.flagged.sum())
            seen = {"undefended": x, PURIFIER: purify(x), "magdr": outcome.restored}
            for name, image in seen.items():
                values.setdefault(name, []).append(255**2 * mse(G(image, batch.conditions), reference))
    for name, parts in values.items():
        errors = torch.cat(parts).double().cpu().numpy()
        mean, low, high = interval(MEAN, [errors], np.arange(samples), 0)
        print(f"{name:18} {mean:7.1f} [{low:.1f}, {high:.1f}]  median {np.median(errors):.1f}")
    print(f"n = {samples}, seed 0, test faces from {FIRST} on; MagDR flagged {flagged / samples:.0%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64)
