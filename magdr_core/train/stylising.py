"""Training of a stylising network on a classical stylisation: edges kept, tones few, outlines drawn.

Published ones learn from the features of a classifier (Johnson et al., ECCV 2016). Here the result is
computed: total variation denoising keeps edges and takes detail away (Chambolle, J. Math. Imaging Vis. 20,
2004), lightness is posterised with soft steps as in video abstraction (Winnemoeller et al., SIGGRAPH 2006),
and where it changes fast an outline is drawn.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_gradient_magnitude
from skimage.color import lab2rgb, rgb2lab
from skimage.restoration import denoise_tv_chambolle
from torch import Tensor

from magdr_core.components.batch import VectorCondition
from magdr_core.components.rng import SampleRng
from magdr_core.train.replacement import nothing
from magdr_core.train.translating import TranslatingTrainer

SMOOTHING = 0.1
"""Weight of the total variation, for pictures in [0,1]."""

TONES = 5
"""Steps of lightness from black to white."""

STEEP = 5.0
"""How steep a step is: the slope of its tanh over one step's width."""

COLOURS = 1.4
"""By how much colours are stronger."""

OUTLINE = (5.0, 14.0)
"""Change of lightness (of 100) in a pixel from which on an outline is seen, and at which it is whole."""

INK = 0.75
"""How much lightness a whole outline takes away."""


class StylisingTrainer(TranslatingTrainer):
    """Everything counts once, since everything is drawn; `settings` as of an editor."""

    def result(self, images: Tensor) -> Tensor:
        return stylised(images)

    def asked(self, count: int, rng: SampleRng) -> VectorCondition:
        return nothing(torch.zeros(count, 1, device=rng.device))

    def region(self, images: Tensor, c: VectorCondition) -> Tensor:
        return torch.ones_like(images[:, :1])

    def copied(self, images: Tensor, region: Tensor) -> Tensor:
        return images


def stylised(images: Tensor) -> Tensor:
    """Pictures as drawings, `[B,3,H,W]` in [0,1] -> same; each by itself, on the CPU."""
    drawn = [_drawn(image) for image in images.permute(0, 2, 3, 1).cpu().double().numpy()]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float().contiguous().to(images.device)


def _drawn(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A picture `[H,W,3]` in [0,1] as a drawing."""
    lab = rgb2lab(denoise_tv_chambolle(image, weight=SMOOTHING, max_num_iter=60, channel_axis=-1))
    first, whole = OUTLINE
    steep = gaussian_gradient_magnitude(lab[..., 0], sigma=0.8, mode="nearest")
    outline = np.clip((steep - first) / (whole - first), 0, 1)
    lab[..., 0] = posterised(lab[..., 0]) * (1 - INK * outline)
    lab[..., 1:] *= COLOURS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of colours that no screen has: the nearest ones are taken
        drawn: np.ndarray[Any, Any] = np.clip(lab2rgb(lab), 0, 1)
    return drawn


def posterised(lightness: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Lightness in [0,100], any shape -> same, in `TONES` tones with soft steps; 0 and 100 stay."""
    width = 100 / (TONES - 1)
    tone = np.round(lightness / width)
    # From half a step below a tone to half a step above it.
    within = lightness / width - tone
    rise = np.tanh(STEEP * (np.abs(within) - 0.5)) / np.tanh(STEEP / 2)
    found: np.ndarray[Any, Any] = width * (tone + np.sign(within) * 0.5 * (1 + rise))
    return found
