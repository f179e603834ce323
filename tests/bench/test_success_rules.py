"""What it means that an attack succeeds: over the image, inside the region, over what the edit changes."""

import numpy as np
import pytest
import torch

from magdr_core.bench.evaluate import attack_values, changed
from magdr_core.components.batch import Condition, Samples
from magdr_core.measures.definitions import DEFINITIONS
from magdr_core.results.rows import result_rows
from tests.bench.test_measured import cell

SIDE = 8


class Edit:
    """Paints the upper left quarter white, wrongly where the picture's corner is not black."""

    objective = "untargeted"

    def __init__(self, painted=True):
        self.painted = painted

    def __call__(self, x, c):
        y = x.clone()
        if self.painted:
            y[:, :, :4, :4] = (1 - x[:, :, :1, :1]).expand(-1, -1, 4, 4)
        return y


class Nobody:
    objective = None


def measured(attacked, G, clean):
    conditions = Condition(torch.zeros(len(clean), 1), torch.ones(len(clean), 1, dtype=torch.bool))
    samples = Samples(clean, conditions, tuple(str(i) for i in range(len(clean))))
    return attack_values(samples, attacked, G, Nobody(), G(clean, conditions))


def test_an_edit_of_a_quarter_that_fails_altogether_succeeds_where_it_edits():
    """The output falls from 1 to .7: an error of .36 in [-1,1] units squared, on a quarter of the image."""
    clean = torch.zeros(2, 3, SIDE, SIDE)
    attacked = clean.clone()
    attacked[1, :, 0, 0] = 0.3
    found = measured(attacked, Edit(), clean)
    assert found["mse_o"] == pytest.approx([0, 0.36 / 4])
    assert found["mse_o_changed"] == pytest.approx([0, 0.36])
    psnr = 10 * np.log10(1 / (0.09 / SIDE**2))
    assert found["psnr_i"] == pytest.approx([100, psnr], rel=1e-5)


def test_what_a_pixel_must_change_by_is_summed_over_colours():
    clean = torch.full((1, 3, 1, 4), 0.5)
    reference = (
        clean + torch.tensor([[0.24, 0.26, 0.05, -0.1]]) * torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    )
    assert changed(clean, reference).flatten().tolist() == [0, 1, 0, 0]
    spread = clean + 0.09
    assert changed(clean, spread).flatten().tolist() == [1, 1, 1, 1], "3 * .09 * 2 is more than .5"


def test_an_edit_that_changes_nothing_has_no_error_there():
    clean = torch.zeros(1, 3, SIDE, SIDE)
    assert measured(clean + 0.1, Edit(painted=False), clean)["mse_o_changed"] == [0.0]


def test_the_shares_count_images_over_the_line():
    errors = np.array([0.01, 0.049, 0.051, 0.9] * 10)
    rows = result_rows("mine", [cell("attack", {"mse_o_target": errors, "mse_o_changed": errors[::-1] / 10})])
    found = {row["metric"]: row["value"] for row in rows}
    assert found["success_target"] == 0.5
    assert found["success_changed"] == 0.25
    assert all(DEFINITIONS["attack", f"success_{name}"].higher_is_better for name in ("target", "changed"))
