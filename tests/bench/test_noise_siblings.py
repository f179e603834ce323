"""Against which noise a detector's AUROC is taken: that of the attack's own strength."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from magdr_core.results.rows import result_rows

IDS = [f"face-{i}" for i in range(8)]


def cell(attack: str, role: str, eps: float, scores, *, noise: bool = False):
    return {
        "key": f"{attack}@{eps}",
        "ids": IDS,
        "identities": list(range(8)),
        "seconds": 0.0,
        "fpr": 0.01,
        "thresholds": {"fpr": 0.9, "f1": 0.5},
        "forwards": 1.0,
        "values": {"score": [float(s) for s in scores]},
        "facts": {
            "task": "editing",
            "generator": "toy",
            "dataset": "faces",
            "attack": attack,
            "slice_role": role,
            "eps": eps,
            "steps": 0,
            "knowledge": "oblivious",
            "role": "detector",
            "component": "magdr",
            "seed": 0,
            "noise": noise,
            "baseline": False,
        },
    }


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_noise_of_the_attacks_strength_is_what_auroc_noise_is_taken_against(order):
    draw = np.random.default_rng(0)
    clean, weak, equal, strong, attacked = (draw.normal(mean, 1.0, 8) for mean in (0, 0.2, 1.0, 4.0, 1.5))
    noises = [
        cell("noise", "attack", eps, scores, noise=True)
        for eps, scores in ((2 / 255, weak), (6 / 255, equal), (12 / 255, strong))
    ]
    cells = [cell("none", "clean", 0.0, clean), *noises[order], cell("pgd", "attack", 6 / 255, attacked)]
    (row,) = [r for r in result_rows("small", cells) if r["metric"] == "auroc_noise"]
    truth = [0] * 8 + [1] * 8
    assert row["attack"] == "pgd"
    assert row["value"] == pytest.approx(roc_auc_score(truth, np.concatenate([equal, attacked])))
    others = [roc_auc_score(truth, np.concatenate([other, attacked])) for other in (weak, strong)]
    assert all(abs(row["value"] - other) > 0.1 for other in others), "the other strengths would be told apart"


def test_without_noise_of_the_attacks_strength_there_is_no_auroc_noise():
    draw = np.random.default_rng(0)
    cells = [
        cell("none", "clean", 0.0, draw.normal(0, 1, 8)),
        cell("noise", "attack", 2 / 255, draw.normal(0, 1, 8), noise=True),
        cell("pgd", "attack", 6 / 255, draw.normal(1, 1, 8)),
    ]
    assert not [r for r in result_rows("small", cells) if r["metric"] == "auroc_noise"]
