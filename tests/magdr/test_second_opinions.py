"""Second opinions: a twin that stands still, a purifier that changes the output, and the score of all."""

import numpy as np
import pytest
import torch

from magdr_core.components.batch import Condition, Samples
from magdr_core.components.protocols import FitData
from magdr_core.errors import CalibrationError
from magdr_core.functional import PARTS
from magdr_core.magdr import MagDRDetector
from magdr_core.magdr.second_opinions import fit_scale, fit_units, folds, in_units, log_rms, on_scales
from tests.magdr.test_target_region import Criterion

FACES = 40
ROUGH = 0.05
"""Spread of pixels from which on the generator fails."""


class Editor:
    """Darkens the left half; a picture whose last column is bright makes it fail everywhere."""

    condition_names = ("edit",)
    size = 8

    def __init__(self, steady=False, label="editor"):
        self.passes = 0
        self.steady = steady
        self.label = label

    def __call__(self, x, c):
        self.passes += len(x)
        y = x.clone()
        y[..., :4] = 0.5 * y[..., :4]
        if self.steady:
            return y + 0.02 * x.mean((1, 2, 3), keepdim=True)
        return y + 4 * (x[..., -1:] - 0.9).clamp_min(0)

    def edited(self, c):
        target = torch.zeros(len(c), len(PARTS), dtype=torch.bool)
        target[:, 0] = True
        return target


class Calm:
    """Takes the bright column away; a little of the rest as well."""

    label = "calm"

    def __call__(self, x):
        return (0.999 * x).clamp_max(0.9)


class Still:
    """An f_k that does nothing, so that consistency says nothing."""

    label = "still"

    def __call__(self, x):
        return x

    def undo(self, y):
        return y


def halves(x):
    masks = torch.zeros(len(x), len(PARTS), *x.shape[2:])
    masks[:, 0, :, :4], masks[:, 1, :, 4:] = 1.0, 1.0
    return masks


def faces(first, *, attacked=False, noise=0.0):
    g = torch.Generator().manual_seed(first)
    x = 0.3 + 0.3 * torch.rand(FACES, 3, 1, 1, generator=g) + 0.02 * torch.rand(FACES, 3, 8, 8, generator=g)
    x = x + noise * torch.randn(FACES, 3, 8, 8, generator=g)
    if attacked:
        x[..., -1] = 0.95
    edit = torch.ones(FACES, 1)
    return Samples(x, Condition(edit, edit.bool()), tuple(f"{first + i}" for i in range(FACES)))


def data():
    return FitData(
        clean=faces(0),
        attacked={"pgd": (faces(1000, attacked=True), faces(2000))},
        harmless={"noise@6": faces(3000, noise=0.01)},
    )


def fitted(G, **options):
    detector = MagDRDetector(halves, [Criterion()], [Still()], **options)
    detector.load(detector.fit(data(), G))
    return detector


def scores(detector, G, samples):
    return detector(samples.images, samples.conditions, G)


@pytest.mark.parametrize(
    "asked", [{"twins": [Editor(steady=True)]}, {"opinion": Calm()}], ids=["twin", "purifier"]
)
def test_the_second_opinion_alone_tells_the_disrupted_from_clean_and_noisy(asked):
    G = Editor()
    detector = fitted(G, evidence="opinions", **asked)
    clean, noisy = scores(detector, G, faces(5000)), scores(detector, G, faces(6000, noise=0.01))
    disrupted = scores(detector, G, faces(7000, attacked=True))
    assert disrupted.min() > max(clean.max(), noisy.max()) + 1
    assert noisy.median() < 2, "in spreads of harmless images"


def test_the_score_is_the_largest_of_what_is_known():
    G, twin = Editor(), Editor(steady=True)
    detector = fitted(G, twins=[twin])
    for samples in (faces(5000), faces(7000, attacked=True)):
        x, c = samples.images, samples.conditions
        evidence, outputs = detector.measure(x, c, G)
        first = detector.second.first(detector.score(detector.standardised(evidence)))
        second = detector.second(x, c, G, outputs[""])
        assert second.shape == (FACES, 1)
        assert torch.equal(detector(x, c, G), torch.maximum(first, second[:, 0]))


def test_without_anybody_to_ask_everything_is_as_it_was():
    G = Editor()
    alone, unrelated = fitted(G), fitted(G, twins=[Other()])
    assert "opinions" not in alone.fit(data(), G)
    assert alone.processing_names(G) == unrelated.processing_names(G) == ("still",)
    samples = faces(7000, attacked=True)
    assert torch.equal(scores(alone, G, samples), scores(unrelated, G, samples))


class Other(Editor):
    """A twin of another task."""

    condition_names = ("pose",)


def test_a_twin_costs_a_pass_of_its_own_and_a_purifier_one_of_the_generator():
    G, twin = Editor(), Editor(steady=True)
    plain, asking = fitted(G), fitted(G, twins=[twin, Other()], opinion=Calm())
    samples, before = faces(5000), (G.passes, twin.passes)
    scores(plain, G, samples)
    own = G.passes - before[0]
    scores(asking, G, samples)
    assert G.passes - before[0] == 2 * own + FACES
    assert asking.second.passes() == twin.passes == before[1] + FACES


def test_the_gradient_runs_through_both_networks():
    G, twin = Editor(), Editor(steady=True)
    detector = fitted(G, evidence="opinions", twins=[twin])
    samples = faces(7000, attacked=True)
    x = samples.images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(detector(x, samples.conditions, G).sum(), x)
    assert (gradient[..., -1].abs().sum((1, 2)) > 0).all()
    assert gradient.isfinite().all()


def test_agreement_to_the_bit_has_a_finite_score_and_gradient():
    y = torch.rand(2, 3, 8, 8, requires_grad=True)
    logs = log_rms(y, [y.detach().clone()])
    (gradient,) = torch.autograd.grad(logs.sum(), y)
    assert logs.isfinite().all()
    assert gradient.isfinite().all()


def test_verdicts_name_second_opinions_beside_the_processings():
    G = Editor()
    detector = fitted(G, twins=[Editor(steady=True, label="twin-editing")], opinion=Calm())
    samples = faces(7000, attacked=True)
    seen = detector.inspect(samples.images, samples.conditions, G)
    assert detector.processing_names(G) == ("still", "twin-editing", "calm")
    assert seen.z.processings.shape == (FACES, 3)
    assert (seen.z.processings[:, 1] > 3).all()


def test_units_are_those_of_the_narrowest_edit_that_is_known():
    logs = torch.cat([torch.randn(20, 1), 5 + 2 * torch.randn(20, 1), torch.zeros(3, 1)])
    edits = [("hair/Black", "hair")] * 20 + [("hair/Blond", "hair")] * 20 + [("hair/Gray", "hair")] * 3
    units = fit_units(logs, edits)
    assert set(units) == {"any", "hair", "hair/Black", "hair/Blond"}
    z = in_units(units, logs, edits)
    assert z[:20].mean().abs() < 1e-5
    assert z[20:40].std() == pytest.approx(1.0, abs=1e-5)
    pooled = units["hair"]
    assert z[40].item() == pytest.approx(-pooled["mean"][0] / pooled["std"][0], rel=1e-5)
    unknown = in_units(units, logs[:1], [("mouth/Smiling", "mouth")])
    assert unknown.item() == pytest.approx(
        (logs[0].item() - units["any"]["mean"][0]) / units["any"]["std"][0]
    )


def test_an_edit_is_named_by_what_it_sets():
    values, changed = torch.tensor([[1.0], [0.0]]), torch.ones(2, 1, dtype=torch.bool)
    second = fitted(Editor(), opinion=Calm()).second
    edits = second.edits(Condition(values, changed), Editor())
    assert edits == [("background/edit", "background"), ("background/none", "background")]


@pytest.mark.parametrize(("n", "parts"), [(FACES, 4), (23, 1)])
def test_every_face_is_in_one_part_and_not_in_its_rest(n, parts):
    found = list(folds(n, torch.device("cpu")))
    assert len(found) == parts
    assert torch.cat([part for part, _ in found]).sort().values.tolist() == list(range(n))
    if parts > 1:
        assert all(set(part.tolist()).isdisjoint(rest.tolist()) for part, rest in found)
        assert all(len(part) + len(rest) == n for part, rest in found)


def normal(seed, size=20_000):
    return np.random.default_rng(seed).normal(size=size)


def test_a_scale_gives_every_tail_the_same_false_alarms():
    light, heavy = normal(0), np.exp(0.5 * normal(1))
    rates = [float(((v - m) / s > 2.33).mean()) for v in (light, heavy) for m, s in [fit_scale([v])]]
    assert rates == pytest.approx([0.01, 0.01], abs=0.004)
    by_spread = float(((heavy - heavy.mean()) / heavy.std() > 2.33).mean())
    assert by_spread > 1.8 * rates[1]


def test_a_scale_is_set_by_the_harmless_kind_that_lies_furthest_out():
    middle, spread = fit_scale([normal(0), 4 + 2 * normal(1)])
    assert middle == pytest.approx(4.0, abs=0.3)
    assert spread == pytest.approx(2.0, rel=0.1)
    assert on_scales([[4.0, 0.5], [0.0, 1.0]], torch.tensor([[5.0, 2.0]])).tolist() == [[2.0, 2.0]]


def test_an_outlier_of_the_evidence_leaves_the_false_alarms_to_second_opinions():
    G = Editor()
    scores = torch.from_numpy(normal(0, FACES))
    scores[3] = 40.0
    second = fitted(G, twins=[Editor(steady=True)]).second
    middle, spread = second.fit(data(), G, scores)["scales"][0]
    assert (40.0 - middle) / spread <= 2.01
    calm = second.fit(data(), G, torch.from_numpy(normal(0, FACES)))["scales"][0]
    assert calm[1] < spread / 5


@pytest.mark.parametrize(
    ("state", "options"),
    [
        ({"units": {"any": {"mean": [0.0], "std": [1.0]}}, "scales": [[0.0, 1.0]]}, {"twins": [Editor()]}),
        ({"units": {}, "scales": [[0.0, 1.0], [0.0, 1.0]]}, {"twins": [Editor()]}),
        ({"scales": 3}, {"twins": [Editor()]}),
        ({"units": {"any": {"mean": [0.0], "std": [1.0]}}, "scales": [[0.0, 1.0]] * 2}, {"evidence": "both"}),
        (None, {"opinion": Calm()}),
    ],
)
def test_a_state_of_another_composition_is_refused(state, options):
    detector = MagDRDetector(halves, [Criterion()], [Still()], **{"evidence": "opinions", **options})
    with pytest.raises(CalibrationError, match="opinions"):
        detector.load({} if state is None else {"opinions": state})


def test_half_of_the_evidence_and_the_printed_form_ask_nobody():
    for options in ({"evidence": "distortion"}, {"evidence": "consistency"}, {"form": "literal"}):
        detector = MagDRDetector(
            halves, [Criterion()], [Still()], twins=[Editor()], opinion=Calm(), **options
        )
        assert detector.second.names(Editor()) == []


def test_opinions_alone_need_somebody_to_ask():
    with pytest.raises(ValueError, match="twins"):
        MagDRDetector(halves, [Criterion()], [], evidence="opinions")
    other = Editor(steady=True)
    other.condition_names = ("another edit",)
    with pytest.raises(ValueError, match="twins"):
        MagDRDetector(halves, [Criterion()], [], evidence="opinions", twins=[other]).fit(data(), Editor())


def test_a_twin_of_another_size_is_refused():
    twin = Editor(steady=True)
    twin.size = 16
    with pytest.raises(CalibrationError, match="a twin takes 16 px, its generator 8 px"):
        fitted(Editor(), twins=[twin])


@pytest.mark.parametrize("form", ["per-edit", "standardised"])
def test_outputs_are_compared_over_image_and_target_after_calibration_too(form):
    G = Editor()
    detector = fitted(G, form=form, consistency_over="both")
    found = scores(detector, G, faces(5000, attacked=True))
    assert found.isfinite().all()
    with pytest.raises(CalibrationError, match="another composition"):
        fitted(G, form=form).load(detector.fit(data(), G))
