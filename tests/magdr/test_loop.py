"""The loop of Fig. 2 with a detector whose score is the image's distance from grey."""

import pytest
import torch

from magdr_core.components.batch import Condition
from magdr_core.components.protocols import CalibratedDetector, Family, Setting
from magdr_core.functional import PARTS
from magdr_core.magdr import MagDR, MagDRDetector
from magdr_core.magdr.detector import Inspection


class Generator:
    passes = 0

    def __call__(self, x, c):
        self.passes += len(x)
        return x

    def edited(self, c):
        return torch.zeros(len(c), len(PARTS), dtype=torch.bool)


class GreyDetector(MagDRDetector):
    """Score |x - 0.5|; candidates are scored alike."""

    def __init__(self):
        super().__init__(self.parse, [], [])

    @staticmethod
    def parse(x):
        masks = torch.zeros(len(x), len(PARTS), *x.shape[2:])
        masks[:, 0] = 1.0
        return masks

    def inspect(self, x, c, G, known=None):
        if not known:
            known = {"": G(x, c)}
        return Inspection((x - 0.5).abs().mean((1, 2, 3)), None, known)


def towards_grey(share):
    return Family("grey", (Setting({}, lambda x: x + share * (0.5 - x)),))


def loop(*layers, threshold=0.1, rounds=3, min_gain=0.0, **options):
    detector = CalibratedDetector(GreyDetector(), {"fpr": threshold, "f1": threshold / 2})
    magdr = MagDR(detector, layers, [], form="standardised", rounds=rounds, min_gain=min_gain, **options)

    def score(c, G, masks, received):
        return lambda images, rows: (images - 0.5).abs().mean((1, 2, 3))[:, None]

    magdr.reconstructor._score = score
    return magdr


def images(*values):
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 4, 4).clone()


def condition(n):
    return Condition(torch.zeros(n, 1), torch.ones(n, 1, dtype=torch.bool))


def run(magdr, *values):
    return magdr.run(images(*values), condition(len(values)), Generator())


def test_an_image_under_the_threshold_is_returned_as_it_came():
    outcome = run(loop([towards_grey(0.5)]), 0.55, 0.9)
    assert outcome.flagged.tolist() == [False, True]
    assert torch.equal(outcome.restored[:1], images(0.55))
    assert outcome.rounds.tolist()[0] == 0
    assert outcome.plans[0] == []


def test_rounds_repeat_until_the_image_is_clean():
    outcome = run(loop([towards_grey(0.5)]), 0.9)
    # .4 -> .2 -> .1 or just below after rounding to 8 bits: two or three rounds, then clean.
    assert outcome.rounds.item() in (2, 3)
    assert outcome.plans[0] == ["grey"] * outcome.rounds.item()
    assert (outcome.restored - 0.5).abs().max() <= 0.1 + 1 / 255


def test_rounds_stop_at_the_limit():
    outcome = run(loop([towards_grey(0.1)], rounds=2), 0.9)
    assert outcome.rounds.item() == 2
    assert outcome.round_scores.shape == (3, 1)


def test_the_round_with_the_lowest_score_is_kept():
    away = Family("away", (Setting({}, lambda x: (x + 0.2).clamp(0, 1)),))
    magdr = loop([away], min_gain=-torch.inf)
    outcome = run(magdr, 0.7)
    assert outcome.flagged.item()
    assert outcome.rounds.item() == 0
    assert torch.allclose(outcome.restored, images(0.7))


def test_a_round_that_changes_nothing_ends_the_loop():
    outcome = run(loop([towards_grey(0.5)], min_gain=1.0), 0.9)
    assert outcome.rounds.item() == 0
    assert outcome.round_scores.shape == (2, 1)


def test_an_image_has_the_same_outcome_alone_and_in_a_batch():
    magdr = loop([towards_grey(0.3)], [towards_grey(0.2)])
    together, alone = run(magdr, 0.9, 0.52, 0.1), run(magdr, 0.1)
    assert torch.equal(together.restored[2:], alone.restored)
    assert together.plans[2] == alone.plans[0]


def test_restored_images_are_8_bit():
    restored = run(loop([towards_grey(0.37)]), 0.93).restored * 255
    assert torch.allclose(restored, restored.round(), atol=1e-4)


def test_forwards_are_counted_per_image():
    outcome = run(loop([towards_grey(0.5)], rounds=1), 0.9, 0.5)
    # Both are detected once, the flagged one again after its round.
    assert outcome.forwards == pytest.approx((2 + 1) / 2)


def test_another_kind_of_detector_is_refused():
    with pytest.raises(TypeError, match="magdr"):
        MagDR(CalibratedDetector(lambda x, c, G: x, {"fpr": 0.0}), [[towards_grey(0.5)]], [])


def test_the_explanation_names_the_decision():
    told = run(loop([towards_grey(0.5)]), 0.9).explain(0)
    assert told["flagged"] is True
    assert told["plan"]
    assert told["score"] > told["threshold"]


def test_a_lower_gate_reconstructs_what_the_verdict_leaves_open():
    strict, open_ = loop([towards_grey(0.5)]), loop([towards_grey(0.5)], gate="f1")
    assert run(strict, 0.57).rounds.item() == 0
    outcome = run(open_, 0.57)
    assert not outcome.flagged.item()
    assert outcome.rounds.item() == 1
    assert outcome.gate == 0.05
    # A second round is for what still counts as disrupted.
    assert outcome.round_scores.shape == (2, 1)


def test_any_number_of_images_is_worked_through_in_parts():
    values = [0.5 + 0.4 * i / 69 for i in range(70)]
    magdr = loop([towards_grey(0.5)])
    together = run(magdr, *values)
    assert together.score.shape == (70,)
    assert together.flagged.tolist() == [v > 0.6 for v in values]
    assert len(together.plans) == 70
    alone = run(magdr, values[-1])
    assert torch.equal(together.restored[-1:], alone.restored)
    assert torch.equal(together.round_scores[: len(alone.round_scores), -1:], alone.round_scores)
