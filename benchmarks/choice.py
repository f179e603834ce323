"""How well Rec-Net chooses: its scores against the true errors, and against an exhaustive search.

    python benchmarks/choice.py [SAMPLES] [ATTACK ...]

For each attack: output MSE (0 to 255 squared) after one pass of Rec-Net, whatever the detector says; the
same when every chain that pre-training tried is judged in full (`magdr-exhaustive`); of the per-image
oracle over those chains; and of MagDR as a whole. Generator passes per image; the share of the gap between
undefended and oracle that is closed; and the rank correlation (Spearman, mean over images) between the
scores that choose and the true errors of Eq. 8. Intervals are over images. The exhaustive
search is calibrated first, which takes some minutes on a CPU.
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
import torch
from scipy.stats import spearmanr

from magdr_core import Toolkit
from magdr_core.functional import mse
from magdr_core.measures.intervals import interval
from magdr_core.measures.statistics import MEAN
from magdr_core.runtime.samples import attack_samples, draw_samples

TASK = "editing"
FIRST = 1000
BATCH = 8
ATTACKS = ("mixed", "pgd", "cw")
SEARCHES = ("magdr", "magdr-exhaustive")


def correlation(scores, errors):
    """Spearman of one image's candidates; those that were screened out have no score."""
    judged = np.isfinite(scores)
    return spearmanr(scores[judged], errors[judged]).statistic


def told(values):
    known = values[~np.isnan(values)]
    mean, low, high = interval(MEAN, [known], np.arange(len(known)), 0)
    return f"{mean:8.2f} [{low:.2f}, {high:.2f}]"


def main(samples: int, attacks: list[str]) -> None:
    toolkit = Toolkit.from_registry()
    pipelines = {name: toolkit.magdr(TASK, defense=name) for name in SEARCHES}
    G = pipelines["magdr"].generator
    split = toolkit.build("dataset", toolkit.registry.labels("dataset")[0]).split("test")
    clean = draw_samples(split, G, first=FIRST, count=samples, seed=0)[0]
    for label in attacks:
        attack = toolkit.build("attack", label)
        found = defaultdict(list)
        for batch in clean.batches(BATCH):
            c = batch.conditions
            x = attack_samples(batch, attack, G, name=label, seed=0)
            with torch.no_grad():
                wanted = G(batch.images, c)

                def error(images, c=c, wanted=wanted):
                    return (255**2 * mse(G(images, c), wanted)).double().cpu().numpy()

                found["undefended"].append(error(x))
                outcome = pipelines["magdr"].defend(x, c)
                found["magdr, all of it"].append(error(outcome.restored))
                found["magdr, all of it: passes"].append(np.full(len(x), outcome.forwards))
                for name, pipeline in pipelines.items():
                    G.take_passes()
                    made = pipeline.magdr.reconstruct(x, c, G)
                    found[f"{name}: passes"].append(np.full(len(x), G.take_passes() / len(x)))
                    found[name].append(error(made.images))
                    scores = made.scores.double().cpu().numpy()
                    true = np.stack([error(chain(x)) for chain in pipeline.magdr.candidates.values()], 1)
                    pairs = zip(scores, true, strict=True)
                    found[f"{name}: rank correlation"].append(np.array([correlation(*p) for p in pairs]))
                found["oracle"].append(true.min(1))
        values = {name: np.concatenate(parts) for name, parts in found.items()}
        print(f"\n{label}, n = {samples}, seed 0, test faces from {FIRST} on")
        for name, column in values.items():
            print(f"  {name:36} {told(column)}")
        print(f"  {'magdr - magdr-exhaustive':36} {told(values['magdr'] - values['magdr-exhaustive'])}")
        for name in SEARCHES:
            gap = values["undefended"].mean() - values["oracle"].mean()
            closed = (values["undefended"].mean() - values[name].mean()) / gap
            print(f"  {name + ': share of the gap closed':36} {closed:8.4f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 96, sys.argv[2:] or list(ATTACKS))
