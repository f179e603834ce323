"""The target region is compared with the others, and is none of them (Eq. 5 and 6)."""

import pytest
import torch

from magdr_core.components.batch import Condition
from magdr_core.magdr import MagDRDetector
from magdr_core.magdr.evidence import Probe
from tests.magdr.test_evidence import Copier, quarters


def l1(a, b, masks):
    return torch.stack([((a - b).abs() * m[:, None]).mean((1, 2, 3)) for m in masks.unbind(1)], 1)


class Criterion:
    """L1, larger is farther, whatever the condition."""

    def given(self, c, G):
        return self

    def __call__(self, a, b, masks):
        return l1(a, b, masks)

    distance = __call__


@pytest.fixture
def received():
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    return x, Condition(torch.ones(2, 1), torch.ones(2, 1, dtype=torch.bool))


def test_evidence_counts_the_parts_that_are_there_but_the_target(received):
    probe = Probe(quarters, [Criterion()], [])
    for others in (probe.measure(*received, Copier())[0].others, probe.literal(*received, Copier())[2]):
        assert others[:, :4].tolist() == [[False, True, True, True]] * 2
        assert not others[:, 4:].any()


def test_the_target_has_no_vote_on_itself(received):
    """The generator redraws the target and copies the rest: no part differs more than the target does."""
    votes = MagDRDetector(quarters, [Criterion()], [], form="literal", evidence="distortion")
    assert votes(*received, Copier()).tolist() == [0.0, 0.0]


def test_similarities_vote_the_other_way_round_when_they_are_read_as_distances(received):
    """The generator copies all but the target: the others are more similar, and less distant."""

    class Similarity(Criterion):
        def __call__(self, a, b, masks):
            return 1.0 - l1(a, b, masks)

        distance = Criterion.distance

    def count(form):
        return MagDRDetector(quarters, [Similarity()], [], form=form, evidence="distortion")(
            *received, Copier()
        )

    assert count("literal").tolist() == [3.0, 3.0], "each of the three other parts is more similar"
    assert count("literal-distances").tolist() == [0.0, 0.0]


def test_read_as_distances_the_consistency_is_that_of_distances(received):
    class Similarity(Criterion):
        def __call__(self, a, b, masks):
            return 1.0 - 0.5 * l1(a, b, masks)

        distance = Criterion.distance

    def score(form):
        options = {"form": form, "evidence": "consistency"}
        return MagDRDetector(quarters, [Similarity()], [flip(), brighter()], **options)(*received, Copier())

    distances, similarities = score("literal-distances"), score("literal")
    assert (distances > 1e-4).all()
    assert torch.allclose(distances, 2 * similarities, rtol=1e-4), (
        "half as large differences, half the spread"
    )


def brighter():
    class Brighter:
        label = "brighter"

        def __call__(self, x):
            return (x + 0.1).clamp(0, 1)

        def undo(self, y):
            return y

    return Brighter()


def test_the_targets_difference_adds_nothing_to_the_distortion_score(received):
    """Three parts that were copied: half a sigmoid each; the redrawn one would be the fourth."""
    literal = MagDRDetector(quarters, [Criterion()], [flip()], form="literal", distortion_weight=1.0)
    x, c = received
    alone = MagDRDetector(quarters, [Criterion()], [flip()], form="literal", evidence="consistency")
    distortion = literal(x, c, Copier()) - alone(x, c, Copier())
    assert torch.allclose(distortion, torch.full((2,), 1.5), atol=1e-5)


def flip():
    class Flip:
        label = "flip"

        def __call__(self, x):
            return x.flip(3)

        def undo(self, y):
            return y.flip(3)

    return Flip()
