"""The networks inside detectors, and the faces they learn from."""

import numpy as np
import pytest
import torch
from detector_fakes import attacked, faces, fit_data, striped
from magdr_plugins.detectors._faces import choosing_faces, learning_faces
from magdr_plugins.detectors._networks import balanced, compact, frozen
from magdr_plugins.detectors._resnet import BinaryResNet, ResNet
from magdr_plugins.detectors.magnet import AutoEncoder, divergence
from magdr_plugins.detectors.metzen import DetectorNet
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import roc_auc_score


def count(net):
    return sum(p.numel() for p in net.parameters())


def test_the_residual_network_is_resnet_18_at_its_published_width():
    assert count(ResNet(64, 1000, 224)) == 11_689_512


def test_the_residual_networks_logits_are_the_heads_on_the_last_activations():
    net = BinaryResNet(4, 1, 32).eval()
    x = torch.rand(3, 3, 32, 32)
    last = net.activations(x)[-1]
    assert torch.allclose(net(x), net.head(last)[:, 0], atol=1e-6)


@pytest.mark.parametrize(("side", "left"), [(64, 16), (32, 8), (16, 8), (8, 8), (4, 4)])
def test_metzen_pools_twice_once_or_not_by_the_size_of_the_map(side, left):
    net = DetectorNet(5, 4).eval()
    sides = []
    net.layers[2].register_forward_hook(lambda m, i, o: sides.append(o.shape[-1]))
    assert net(torch.rand(2, 5, side, side)).shape == (2,)
    assert sides == [left]


def test_metzen_has_the_published_convolutions():
    convolutions = [m for m in DetectorNet(16, 96).modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convolutions] == [
        (16, 96, 3), (96, 192, 3), (192, 192, 3), (192, 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("pooled", "parameters"), [(True, 5 * 84), (False, 3 * 84)])
def test_magnet_auto_encoder_has_the_published_structure(pooled, parameters):
    net = AutoEncoder(3, pooled)
    assert count(net) == parameters  # 3x3 convolutions from 3 to 3 channels
    assert net(torch.rand(2, 3, 10, 12)).shape == (2, 3, 10, 12)


def test_magnet_auto_encoder_starts_near_the_identity():
    x = 0.15 + 0.7 * torch.rand(2, 3, 16, 16)
    y = AutoEncoder(6, False)(x)
    assert np.corrcoef(x.flatten(), y.detach().flatten())[0, 1] > 0.95


def test_magnet_divergence_is_scipys():
    draw = torch.Generator().manual_seed(0)
    a, b = (8 * torch.randn(4, 3, generator=draw) for _ in range(2))
    p, q = (torch.sigmoid(t.double() / 10) for t in (a, b))
    pairs = [torch.stack([t, 1 - t]).numpy() for t in (p, q)]
    expected = (jensenshannon(*pairs, axis=0) ** 2).mean(1)
    assert divergence(a, b, 10.0).numpy() == pytest.approx(expected, rel=1e-6)


def test_magnet_divergence_of_the_same_is_nothing_even_where_a_probability_is_one():
    a = torch.tensor([[1e5, -1e5, 0.0]])
    assert divergence(a, a, 10.0).item() == pytest.approx(0, abs=1e-12)


def test_learning_faces_hold_each_clean_face_once_and_every_attack():
    found = learning_faces(fit_data(n=6))
    assert found.kinds.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert found.samples.ids[:6] == found.samples.ids[6:12] == found.samples.ids[12:]


def test_what_is_left_out_is_not_there():
    found = learning_faces(fit_data(n=6), ("strong",))
    weak = attacked(faces(6, 2000), 9)
    assert found.kinds.tolist() == [0] * 6 + [1] * 6
    assert torch.equal(found.samples.images[6:], weak.images)
    with pytest.raises(ValueError, match="every one left out"):
        choosing_faces(fit_data(n=6), ("strong", "weak"))


def test_noise_is_as_strong_as_each_attack_and_counts_as_harmless():
    plain, found = (learning_faces(fit_data(n=6), noise=noise) for noise in (False, True))
    assert found.kinds.tolist() == [0] * 18 + [1] * 6 + [2] * 6
    moved = (found.samples.images[6:18] - plain.samples.images[:6].repeat(2, 1, 1, 1)).abs()
    assert moved[:6].amax((1, 2, 3)).tolist() == pytest.approx([12 / 255] * 6, abs=1e-5)
    assert moved[6:].amax((1, 2, 3)).tolist() == pytest.approx([9 / 255] * 6, abs=1e-5)
    assert moved[:6].mean().item() > 11 / 255  # every pixel, but where an end of the range is near


def test_benign_edits_count_as_harmless_on_the_faces_to_learn_from_and_to_choose_on():
    found = learning_faces(fit_data(n=6), noise=True, edits=True)
    assert found.kinds.tolist() == [0] * 24 + [1] * 6 + [2] * 6
    assert torch.equal(found.samples.images[18:24], striped(faces(6, 2000)).images)
    held = choosing_faces(fit_data(n=6), ("strong",), edits=True)
    assert held.kinds.tolist() == [0] * 24 + [1] * 12
    assert torch.equal(held.samples.images[12:24], striped(faces(12, 1000)).images), (
        "noise is asked for apart"
    )


def test_quality_is_the_auroc_averaged_over_attacks_and_then_the_margin():
    found = learning_faces(fit_data(n=10))
    scores = np.random.default_rng(0).normal(found.kinds, 1.0)
    labels = found.kinds > 0
    expected = np.mean([roc_auc_score(labels[m], scores[m]) for m in (found.kinds != 2, found.kinds != 1)])
    assert found.quality(scores)[0] == pytest.approx(expected, abs=5e-4)
    near, far = found.quality(labels + scores * 1e-2), found.quality(labels + scores * 1e-3)
    assert near[0] == far[0] == 1
    assert far > near


def test_batches_are_half_attacked_and_show_all_faces_before_any_again():
    found = learning_faces(fit_data(n=6))
    batches = balanced(found, 8, torch.Generator().manual_seed(0))
    shown = []
    for _ in range(3):
        index, target = next(batches)
        assert target.sum() == 4
        assert np.array_equal(found.attacked[index], target.numpy() > 0)
        shown += index.tolist()
    assert sorted(i for i in shown if i >= 6) == list(range(6, 18))
    assert sorted(i for i in shown if i < 6) == sorted([*range(6)] * 2)


def test_kept_weights_are_half_as_large_and_load_as_they_were_rounded():
    net = BinaryResNet(4, 1, 32)
    kept = compact(net.state_dict())
    assert kept["head.weight"].dtype == torch.float16
    assert kept["stem.1.running_var"].dtype == torch.float32
    loaded = frozen(BinaryResNet(4, 1, 32), kept)
    assert torch.equal(loaded.head.weight, net.head.weight.half().float())
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
