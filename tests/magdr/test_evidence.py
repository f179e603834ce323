"""What the probe measures, and how many passes of the generator it takes."""

import pytest
import torch

from magdr_core.components.batch import Condition
from magdr_core.functional import PARTS
from magdr_core.magdr.evidence import ITSELF, Probe, name_of


@pytest.fixture
def kit(toolkit_from):
    return toolkit_from(
        '[generator.editing]\nuse = "stargan"\n'
        'params = { weights = "random", width = 4, blocks = 1, attributes = ["Smiling", "Male"] }\n'
        "[metric.l1]\n[metric.generator-deep]\n[augmentation.flip]\n[augmentation.jpeg]\n"
    )


@pytest.fixture
def probe(kit):
    def make(*criteria):
        f = [kit.build("augmentation", name) for name in ("flip", "jpeg")]
        return Probe(quarters, [kit.build("metric", m) for m in criteria], f)

    return make


def quarters(x):
    """Four parts, each a quarter of the image."""
    masks = torch.zeros(len(x), len(PARTS), *x.shape[2:])
    half = x.shape[2] // 2
    for i, (rows, columns) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        masks[:, i, rows * half : (rows + 1) * half, columns * half : (columns + 1) * half] = 1.0
    return masks


@pytest.fixture
def received():
    g = torch.Generator().manual_seed(2)
    x = torch.rand(3, 3, 16, 16, generator=g)
    return x, Condition(torch.tensor([[1.0, 0.0]] * 3), torch.tensor([[True, False]] * 3))


def test_each_image_costs_a_pass_and_one_more_for_each_processing(kit, probe, received):
    G = kit.generator("editing")
    probe("l1").measure(*received, G)
    assert G.passes == 3 * 3


def test_known_outputs_cost_nothing_and_change_nothing(kit, probe, received):
    G = kit.generator("editing")
    used = probe("l1")
    evidence, outputs = used.measure(*received, G)
    G.take_passes()
    again, _ = used.measure(*received, G, known=outputs)
    assert G.passes == 0
    assert torch.equal(again.distortion, evidence.distortion)
    assert torch.equal(again.consistency, evidence.consistency)
    flip = used.augmentations[0]
    partly = {k: outputs[k] for k in (ITSELF, name_of(flip))}
    part, _ = used.measure(*received, G, known=partly)
    assert G.take_passes() == 3  # JPEG alone
    assert torch.equal(part.consistency, evidence.consistency)


def test_outputs_of_another_toolkits_processing_of_the_same_label_are_shared(kit, probe, received):
    G = kit.generator("editing")
    outputs = probe("l1").outputs(*received, G, probe("l1").augmentations)
    G.take_passes()
    probe("l1").measure(*received, G, known=outputs)
    assert G.passes == 0


def test_a_flip_is_undone_before_outputs_are_compared(kit, probe, received):
    x, c = received
    G = kit.generator("editing")
    outputs = probe("l1").outputs(x, c, G, probe("l1").augmentations)
    assert torch.allclose(outputs["flip"], G(x.flip(3), c).flip(3), atol=1e-6)


def test_criteria_may_look_through_the_generator(kit, probe, received):
    G = kit.generator("editing")
    evidence, _ = probe("l1", "generator-deep").measure(*received, G)
    assert evidence.distortion.shape == (3, 2, len(PARTS))
    assert (evidence.distortion[:, 1, :4] > 1e-4).all()
    # Three images and two f_k, and two passes more for each of the three comparisons.
    assert G.passes == 3 * 3 + 3 * 2 * 3
    alone, _ = probe("l1").measure(*received, G)
    assert torch.equal(alone.distortion[:, 0], evidence.distortion[:, 0])
    d, d_c, _, d_k = probe("l1", "generator-deep").literal(*received, G)
    assert d.shape == (3, len(PARTS), 2)
    assert d_c.shape == (3, 2)
    assert d_k.shape == (3, 2, 2)


def test_distortion_alone_takes_one_pass_in_every_form(kit, probe, received):
    G = kit.generator("editing")
    evidence, _ = probe("l1").measure(*received, G, augmentations=())
    assert evidence.consistency.shape[1] == 0
    d, _, _, d_k = probe("l1").literal(*received, G, ())
    assert d_k.shape == (3, 0, 1)
    assert G.passes == 3 + 3
    assert torch.equal(d, probe("l1").literal(*received, G)[0])


def test_each_image_is_measured_with_its_own_condition(kit, probe, received):
    x, _ = received
    mixed = Condition(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), torch.ones(3, 2, dtype=torch.bool))
    G = kit.generator("editing")
    for part in ("measure", "literal"):
        together = getattr(probe("generator-deep"), part)(x, mixed, G)
        alone = getattr(probe("generator-deep"), part)(x[1:2], mixed[1:2], G)
        if part == "measure":
            assert torch.equal(together[0].distortion[1:2], alone[0].distortion)
        else:
            assert torch.equal(together[0][1:2], alone[0])


class Copier:
    """Redraws the upper left quarter and copies the rest, as a network with an attention mask does."""

    passes = 0

    def __call__(self, x, c):
        y = x.clone()
        y[:, :, :8, :8] = 1 - y[:, :, :8, :8]
        return y

    def edited(self, c):
        target = torch.zeros(len(c), len(PARTS), dtype=torch.bool)
        target[:, 0] = True
        return target


@pytest.mark.parametrize(("over", "columns"), [("image", 1), ("target", 1), ("both", 2)])
def test_consistency_inside_the_target_does_not_see_what_is_copied(kit, over, columns):
    g = torch.Generator().manual_seed(3)
    x = torch.rand(2, 3, 16, 16, generator=g)
    noisy = x.clone()
    noisy[:, :, 8:] = (noisy[:, :, 8:] + 0.2 * torch.rand(2, 3, 8, 16, generator=g)).clamp(0, 1)
    c = Condition(torch.ones(2, 1), torch.ones(2, 1, dtype=torch.bool))

    def lower(image):  # an f_k that changes the copied half alone
        changed = image.clone()
        changed[:, :, 8:] = changed[:, :, 8:].mean((2, 3), keepdim=True)
        return changed

    lower.undo = lambda y: y
    probe = Probe(quarters, [kit.build("metric", "l1")], [lower], consistency_over=over)
    measured = [probe.measure(images, c, Copier())[0].consistency for images in (x, noisy)]
    assert measured[0].shape == (2, 1, columns)
    if over != "target":
        assert (measured[0][..., 0] > 0.05).all()
        assert (measured[0][..., 0] != measured[1][..., 0]).all()
    if over != "image":
        assert (measured[0][..., -1] == 0).all()
        assert (measured[1][..., -1] == 0).all()


def test_a_target_that_is_not_there_yet_is_compared_over_the_whole_image(kit):
    class Nothing(Copier):
        def edited(self, c):
            return torch.zeros(len(c), len(PARTS), dtype=torch.bool)

    def darker(image):
        return image * 0.5

    darker.undo = lambda y: y
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    c = Condition(torch.ones(2, 1), torch.ones(2, 1, dtype=torch.bool))
    probes = [
        Probe(quarters, [kit.build("metric", "l1")], [darker], consistency_over=over)
        for over in ("image", "target")
    ]
    image, target = (probe.measure(x, c, Nothing())[0].consistency for probe in probes)
    assert torch.equal(image, target)
