"""The output behind MagDR where the generator and its twin still disagree about what was restored."""

import pytest
import torch

from magdr_core.components.protocols import CalibratedDetector, Family, FitData, Setting
from magdr_core.errors import CalibrationError
from magdr_core.magdr import MagDR, MagDRDetector
from tests.magdr.test_second_opinions import Criterion, Editor, Still, data, faces, fitted, halves


def useless():
    return Family("useless", (Setting({}, lambda x: (0.999 * x).clamp(0, 1)),))


def defense(detector, **options):
    calibrated = CalibratedDetector(detector, {"fpr": 6.0, "f1": 6.0})
    return MagDR(calibrated, [[useless()]], [Still()], candidates=1, finalists=1, **options)


@pytest.fixture(scope="module")
def made():
    G, twin = Editor(), Editor(steady=True)
    magdr = defense(fitted(G, twins=[twin]))
    held_out = {"pgd": (faces(8000, attacked=True), faces(8000))}
    given = data()
    state = magdr.fit(FitData(given.clean, given.attacked, held_out, given.harmless), G)
    return G, twin, state


def test_the_twins_output_is_taken_where_the_restored_image_still_disrupts(made):
    G, twin, state = made
    magdr = defense(fitted(G, twins=[twin]))
    magdr.load(state)
    clean, attacked = faces(9000), faces(9000, attacked=True)
    for samples, expected in ((clean, G), (attacked, twin)):
        x, c = samples.images, samples.conditions
        restored = magdr(x, c, G)
        assert torch.equal(magdr.output_on(restored, x, c, G), expected(restored, c))


def test_without_a_twin_the_output_is_the_generators(made):
    G, _, _ = made
    magdr = defense(fitted(G))
    given = data()
    state = magdr.fit(FitData(given.clean, given.attacked, given.attacked, given.harmless), G)
    assert "output_above" not in state
    magdr.load(state)
    x, c = faces(9000, attacked=True).images, faces(9000).conditions
    before = G.passes
    assert torch.equal(magdr.output_on(x, x, c, G), G(x, c))
    assert G.passes == before + 2 * len(x)


def test_passes_of_the_twin_are_among_the_forwards(made):
    G, twin, state = made
    magdr = defense(fitted(G, twins=[twin]), rounds=1)
    magdr.load(state)
    samples = faces(9000)
    before = G.passes + twin.passes
    outcome = magdr.run(samples.images, samples.conditions, G)
    assert outcome.forwards * len(samples) == G.passes + twin.passes - before


def test_a_twin_that_was_not_calibrated_gives_no_output(made):
    G, _twin, state = made
    plain = MagDRDetector(halves, [Criterion()], [Still()])
    plain.load(fitted(G).fit(data(), G))
    magdr = defense(plain)
    magdr.load(state)
    x, c = faces(9000).images, faces(9000).conditions
    with pytest.raises(CalibrationError, match="no twin"):
        magdr.output_on(x, x, c, G)


def test_a_broken_state_is_refused(made):
    G, twin, state = made
    magdr = defense(fitted(G, twins=[twin]))
    with pytest.raises(CalibrationError, match="output_above: expected a number"):
        magdr.load({**state, "output_above": "high"})
