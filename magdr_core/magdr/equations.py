"""Equations 4 to 9 of the paper, to the letter, as functions of plain tensors.

The paper leaves some things open; what is chosen here, so that the printed text can be run at all:
the available image stands in both slots of Eq. 4 (at test time there is no clean one); the entry i = c of
Eq. 5 is left out (it is trivially 1); w of Eq. 6 is uniform and sums to 1; the scalar of Eq. 7 is the mean
over the criteria of the standard deviation over f_k. Similarities (SSIM, PSNR) enter as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from magdr_core.components.protocols import Metric


def region_differences(criteria: Sequence[Metric], a: Tensor, b: Tensor, masks: Tensor) -> Tensor:
    """Eq. 4: `d_i = D(M_i * a, M_i * b) / S_i` with S_i the sum of M_i in pixels.

    Args:
        criteria: J of them; each is evaluated on the masked images as wholes.
        a, b: `[B,3,H,W]`.
        masks: `[B,N,H,W]`.

    Returns:
        `[B,N,J]`; 0 where a region is absent.
    """
    B, N, H, W = masks.shape
    m = masks.reshape(B * N, 1, H, W)
    left = a.repeat_interleave(N, 0) * m
    right = b.repeat_interleave(N, 0) * m
    whole = torch.ones_like(m)
    sums = masks.sum((2, 3))
    values = torch.stack([metric(left, right, whole).reshape(B, N) for metric in criteria], 2)
    return torch.where(sums[:, :, None] > 0, values / sums.clamp_min(1e-6)[:, :, None], 0.0)


def votes(d: Tensor, d_target: Tensor, others: Tensor) -> Tensor:
    """Eq. 5: `V_i = 1` iff `max_j (d_i - d_c)_j >= 0`.

    Args:
        d: `[B,N,J]`, the differences of the regions.
        d_target: `[B,J]`, the difference d_c of the target region.
        others: bool `[B,N]`, the regions that are there and are not the target.

    Returns:
        bool `[B,N]`; the decision compares their count with a threshold.
    """
    return ((d - d_target[:, None]).amax(2) >= 0) & others


def distortion_score(d: Tensor, others: Tensor, w: Tensor | None = None) -> Tensor:
    """Eq. 6: `S_dist = sum_{i != c} w . sigmoid(d_i)`, `[B]`."""
    if w is None:
        w = torch.full((d.shape[2],), 1.0 / d.shape[2], device=d.device)
    return ((torch.sigmoid(d) @ w) * others).sum(1)


def consistency(d_k: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 7: mean and standard deviation over the image processings f_k.

    Args:
        d_k: `[B,K,J]`, `D(G(x,c), G(f_k(x),c))`.

    Returns:
        mu and sigma, `[B,J]` each; the printed S_cons is sigma.
    """
    mu = d_k.mean(1)
    return mu, (d_k - mu[:, None]).square().mean(1).sqrt()


def reconstruction_error(criterion: Metric, clean_output: Tensor, output: Tensor) -> Tensor:
    """Eq. 8: `D(G(x,c), G(T(x_hat),c))` over the whole image, `[B]`; needs the clean output."""
    whole = torch.ones_like(output[:, :1])
    return criterion(clean_output, output, whole)[:, 0]


def final_score(s_dist: Tensor, s_cons: Tensor, weight: float) -> Tensor:
    """Eq. 9: `S_final = lambda S_dist + S_cons`, each `[B]`; lower is cleaner."""
    return weight * s_dist + s_cons
