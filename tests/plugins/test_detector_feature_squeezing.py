"""Feature squeezing against SciPy and by hand."""

import numpy as np
import pytest
import torch
from detector_fakes import faces, generator
from magdr_plugins.detectors.feature_squeezing import FeatureSqueezing
from scipy.ndimage import median_filter


class Same:
    def __call__(self, x, c):
        return x


def moved(x, squeezed):
    return np.abs(squeezed - x).mean((1, 2, 3))


@pytest.fixture
def face():
    clean = faces(5)
    noise = torch.randint(-9, 10, clean.images.shape, generator=torch.Generator().manual_seed(0)) / 255
    return clean.with_images((clean.images + noise).clamp(0, 1))


def test_each_squeezer_is_the_published_one_and_the_largest_distance_counts(face):
    x = face.images.numpy()
    bits = moved(x, np.round(x * 31) / 31)
    median = moved(x, np.stack([[median_filter(p, 2) for p in image] for image in x]))

    def score(**squeezers):
        detector = FeatureSqueezing(nlm_strengths=(), **squeezers)
        return detector(face.images, face.conditions, Same()).numpy()

    assert score(medians=()) == pytest.approx(bits, abs=1e-6)
    assert score(bits=()) == pytest.approx(median, abs=1e-6)
    assert score() == pytest.approx(np.maximum(bits, median), abs=1e-6)


def test_the_distance_is_of_outputs_not_of_inputs(face):
    G = generator()
    squeezed = torch.round(face.images * 31) / 31
    outputs = [G(x, face.conditions).numpy() for x in (face.images, squeezed)]
    detector = FeatureSqueezing(medians=(), nlm_strengths=())
    assert detector(face.images, face.conditions, G).numpy() == pytest.approx(moved(*outputs), abs=1e-6)


def test_no_squeezer_is_refused():
    with pytest.raises(ValueError, match="at least one squeezer"):
        FeatureSqueezing(bits=(), medians=(), nlm_strengths=())
