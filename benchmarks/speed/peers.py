"""Our filters and criteria beside those of other packages, on the same images in the same process."""

from __future__ import annotations

import importlib
import importlib.util
import io
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from clock import Clock, rows_of
from PIL import Image, ImageFilter
from torch import Tensor

from magdr_core import functional as ours

Run = Callable[[Tensor], Tensor]
BF = (0.1, 1.5)
"""Colour and distance scale of the bilateral filters."""


def each(function: Callable[[Any], Any]) -> Run:
    """A function of one numpy picture `[H,W,3]`, looped over a batch that may be on a GPU."""

    def run(x: Tensor) -> Tensor:
        pictures = x.permute(0, 2, 3, 1).cpu().numpy()
        done = np.stack([np.asarray(function(p), dtype=np.float32) for p in pictures])
        return torch.from_numpy(done).to(x.device).permute(0, 3, 1, 2)

    return run


def pillow(function: Callable[[Image.Image], Image.Image]) -> Run:
    def one(picture: Any) -> Any:
        done = function(Image.fromarray((picture * 255).round().astype(np.uint8)))
        return np.asarray(done, dtype=np.float32) / 255

    return each(one)


def saved(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return Image.open(buffer).convert("RGB")


def restored_by(name: str, **options: Any) -> Run:
    function = getattr(importlib.import_module("skimage.restoration"), name)
    return each(lambda p: function(p, channel_axis=-1, **options))


@lru_cache(maxsize=1)
def neighbour(x: Tensor) -> Tensor:
    """What criteria compare with: every image with a slightly blurred one."""
    return ours.gaussian_blur(x, 0.8)


def skimage_ssim(x: Tensor) -> Tensor:
    metric = importlib.import_module("skimage.metrics").structural_similarity
    a, b = (t.permute(0, 2, 3, 1).cpu().numpy() for t in (x, neighbour(x)))
    options = {"gaussian_weights": True, "use_sample_covariance": False, "data_range": 1, "channel_axis": -1}
    return torch.tensor([metric(p, q, **options) for p, q in zip(a, b, strict=True)])


def kornia(module: str, name: str) -> Callable[..., Any]:
    return getattr(importlib.import_module(f"kornia.{module}"), name)  # type: ignore[no-any-return]


def with_gradient(function: Run) -> Run:
    def run(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_(True)
        return torch.autograd.grad(function(x).square().sum(), x)[0]

    return run


@lru_cache(maxsize=1)
def torchmetrics_images() -> Any:
    """`torchmetrics.functional.image`, as it is where there is no torchvision.

    It imports torchvision where that is installed, and a torchvision of another build of torch (torchattacks
    asks for one) does not import. Its SSIM needs none.
    """
    requirements = importlib.import_module("lightning_utilities.core.imports")
    found = requirements._version

    def version_of(name: str) -> str:
        if name == "torchvision":
            raise PackageNotFoundError(name)
        return str(found(name))

    with patch.object(requirements, "_version", version_of), ExitStack() as after:
        if "torchvision" not in sys.modules:
            sys.modules["torchvision"] = None  # type: ignore[assignment]
            after.callback(sys.modules.pop, "torchvision")
        return importlib.import_module("torchmetrics.functional.image")


def torchmetrics_ssim(x: Tensor) -> Tensor:
    ssim = torchmetrics_images().structural_similarity_index_measure
    return ssim(x, neighbour(x), data_range=1.0, reduction="none")  # type: ignore[no-any-return]


def contests() -> dict[str, dict[str, tuple[str, Callable[[], Run]]]]:
    """By what is computed: contestant, the package it needs, and how to get it. Ours comes first."""

    def own(run: Run) -> tuple[str, Callable[[], Run]]:
        return "torch", lambda: run

    def k(module: str, name: str, call: Callable[[Any, Tensor], Tensor]) -> tuple[str, Callable[[], Run]]:
        return "kornia", lambda: lambda x: call(kornia(module, name), x)

    def sk(name: str, **options: Any) -> tuple[str, Callable[[], Run]]:
        return "skimage", lambda: restored_by(name, **options)

    def codec(f: Any, x: Tensor) -> Tensor:
        return f(x, torch.full((len(x),), 75.0, device=x.device))  # type: ignore[no-any-return]

    return {
        "SSIM": {
            "ours": own(lambda x: ours.ssim(x, neighbour(x))),
            "kornia": k("metrics", "ssim", lambda f, x: f(x, neighbour(x), 11).flatten(1).mean(1)),
            "torchmetrics": ("torchmetrics", lambda: torchmetrics_ssim),
            "scikit-image loop": ("skimage", lambda: skimage_ssim),
        },
        "JPEG 75": {
            "ours": own(lambda x: ours.jpeg(x, 75)),
            "kornia": k("enhance", "jpeg_codec_differentiable", codec),
            "PIL loop": ("PIL", lambda: pillow(saved)),
        },
        "JPEG 75 and its gradient": {
            "ours": own(with_gradient(lambda x: ours.jpeg(x, 75))),
            "kornia": (
                "kornia",
                lambda: with_gradient(lambda x: codec(kornia("enhance", "jpeg_codec_differentiable"), x)),
            ),
        },
        "median 3x3": {
            "ours": own(lambda x: ours.median_blur(x, 3)),
            "kornia": k("filters", "median_blur", lambda f, x: f(x, 3)),
            "PIL loop": ("PIL", lambda: pillow(lambda p: p.filter(ImageFilter.MedianFilter(3)))),
        },
        "Gaussian, sigma 1": {
            "ours": own(lambda x: ours.gaussian_blur(x, 1.0)),
            "kornia": k("filters", "gaussian_blur2d", lambda f, x: f(x, (9, 9), (1.0, 1.0))),
            "scikit-image loop": (
                "skimage",
                lambda: each(
                    lambda p: importlib.import_module("skimage.filters").gaussian(p, 1.0, channel_axis=-1)
                ),
            ),
        },
        "bilateral 5x5": {
            "ours": own(lambda x: ours.bilateral(x, 5, *BF)),
            "kornia": k("filters", "bilateral_blur", lambda f, x: f(x, 5, BF[0], (BF[1], BF[1]))),
            "scikit-image loop": sk("denoise_bilateral", win_size=5, sigma_color=BF[0], sigma_spatial=BF[1]),
        },
        "non-local means 3/7": {
            "ours": own(lambda x: ours.nlm(x, 0.1, 3, 7)),
            "scikit-image loop": sk("denoise_nl_means", patch_size=3, patch_distance=3, h=0.1),
        },
        "total variation, 20 steps": {
            "ours": own(lambda x: ours.tv_denoise(x, 0.05, 20)),
            "scikit-image loop": sk("denoise_tv_chambolle", weight=0.05, max_num_iter=20, eps=0.0),
        },
        "wavelet, BayesShrink": {
            "ours": own(lambda x: ours.wavelet_denoise(x)),
            "scikit-image loop": ("pywt", sk("denoise_wavelet", rescale_sigma=True)[1]),
        },
        "Wiener 3x3": {
            "ours": own(lambda x: ours.wiener(x, 3)),
            "SciPy loop": (
                "scipy",
                lambda: each(
                    lambda p: np.stack(
                        [importlib.import_module("scipy.signal").wiener(p[..., i], 3) for i in range(3)], -1
                    )
                ),
            ),
        },
    }


def pictures(images: int, size: int, device: torch.device) -> Tensor:
    """Smooth shapes with grain, `[B,3,S,S]` 8-bit."""
    g = torch.Generator().manual_seed(0)
    coarse = torch.rand(images, 3, size // 8, size // 8, generator=g)
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    return ours.to_8bit(smooth + 0.02 * torch.randn(smooth.shape, generator=g)).to(device)


@torch.no_grad()
def table(clock: Clock, images: int = 32, size: int = 128) -> list[dict[str, Any]]:
    """Each peer's time over ours, and how far apart the results are on average."""
    x, rows = pictures(images, size, clock.device), []
    for what, entries in contests().items():
        runs: dict[str, Callable[[], Tensor]] = {}
        missing = []
        for name, (package, make) in entries.items():
            if importlib.util.find_spec(package) is None:
                missing.append({"what": what, "contestant": name, "note": "not installed"})
                continue
            run = make()
            runs[name] = lambda run=run, what=what: _graded(run, x, what)
        reference = runs["ours"]()
        apart = {name: float((run().to(reference) - reference).abs().mean()) for name, run in runs.items()}
        for row in rows_of(clock.in_turn(runs, warm=True), "ours", what=what):
            # The ratio of interest is how much longer the peer takes.
            slower = {"ratio": 1 / row["ratio"], "low": 1 / row["high"], "high": 1 / row["low"]}
            rows.append({**row, **slower, "apart": apart[row["contestant"]]})
        rows += missing
    return rows


def _graded(run: Run, x: Tensor, what: str) -> Tensor:
    with torch.set_grad_enabled("gradient" in what):
        return run(x)
