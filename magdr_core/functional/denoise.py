"""Edge-preserving denoisers: bilateral, non-local means, total variation.

All are loops over shifts or steps, never over images, and every image is filtered on its own. Borders are
mirrored (`c b a | a b c`, SciPy's `reflect`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from magdr_core.functional._common import check_images, check_odd, check_positive, clamp_fuzz, symmetric_pad
from magdr_core.functional.cache_blocked import in_cache


def _squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """Sum over the channels of the squared difference, `[B,C,H,W] x 2 -> [B,1,H,W]`."""
    return (a - b).square().sum(1, keepdim=True)


@in_cache
def bilateral(x: Tensor, kernel: int, sigma_color: float, sigma_space: float) -> Tensor:
    """Bilateral filter: a Gaussian blur that ignores neighbours of another colour.

    A neighbour at distance d and colour difference c weighs `exp(-d^2 / 2 sigma_space^2 - c^2 / 2
    sigma_color^2)`, where c is the Euclidean distance in RGB (one weight for the three channels).

    Args:
        x: `[B,3,H,W]` in [0,1].
        kernel: side of the square neighbourhood, odd.
        sigma_color: colour scale in [0,1] units.
        sigma_space: distance scale in pixels.

    Returns:
        `[B,3,H,W]` in [0,1]. Differentiable.

    Raises:
        ValueError: wrong shape, or a parameter out of range.

    Source: Tomasi and Manduchi, ICCV 1998.
    """
    check_images(x, channels=3)
    check_odd(kernel, "kernel")
    check_positive(sigma_color, "sigma_color")
    check_positive(sigma_space, "sigma_space")
    radius = kernel // 2
    height, width = x.shape[-2:]
    padded = symmetric_pad(x, radius, radius, radius, radius)
    # The centre has weight 1; starting from it saves one pass and keeps the sum of weights away from 0.
    total, weights = x.clone(), torch.ones_like(x[:, :1])
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx == dy == 0:
                continue
            top, left = radius + dy, radius + dx
            other = padded[..., top : top + height, left : left + width]
            exponent = _squared_distance(other, x) * (-0.5 / sigma_color**2)
            weight = torch.exp(exponent - 0.5 * (dx * dx + dy * dy) / sigma_space**2)
            total = total + weight * other
            weights = weights + weight
    return clamp_fuzz(total / weights)


def _box_sum(x: Tensor, size: int) -> Tensor:
    """Sum over size x size pixels, where the square fits."""
    rows = x.shape[-2] - size + 1
    columns = x.shape[-1] - size + 1
    total = x[..., :rows, :]
    for k in range(1, size):
        total = total + x[..., k : k + rows, :]
    out = total[..., :columns]
    for k in range(1, size):
        out = out + total[..., k : k + columns]
    return out


def nlm(x: Tensor, strength: float, patch: int = 3, search: int = 7) -> Tensor:
    """Non-local means: average the pixels whose surroundings look alike.

    A pixel q weighs `exp(-d / strength^2)`, where d is the mean over channels and over a patch of the squared
    difference between the surroundings of q and of the pixel at hand (uniform patch weights, the pixel
    itself included with weight 1).

    Args:
        x: `[B,C,H,W]` in [0,1].
        strength: the decay in [0,1] units, about the noise to remove (0.05 to 0.2).
        patch: side of the compared squares, odd.
        search: side of the square of candidates, odd.

    Returns:
        `[B,C,H,W]` in [0,1]. Differentiable.

    Raises:
        ValueError: wrong shape, or a parameter out of range.

    Implementations differ in how they weigh the patch and in dropping small weights: on noisy photos
    scikit-image's is 0.01 to 0.02 away on average.

    Source: Buades, Coll, Morel, CVPR 2005; one pass per shift as in Darbon et al., ISBI 2008.
    """
    check_images(x)
    check_positive(strength, "strength")
    check_odd(patch, "patch")
    check_odd(search, "search")
    reach = search // 2
    height, width = x.shape[-2:]
    margin = reach + patch // 2
    padded = symmetric_pad(x, margin, margin, margin, margin)
    rows, columns = height + patch - 1, width + patch - 1
    centre = padded[..., reach : reach + rows, reach : reach + columns]
    scale = -1.0 / (x.shape[1] * patch * patch * strength**2)
    total, weights = x.clone(), torch.ones_like(x[:, :1])
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if dx == dy == 0:
                continue
            top, left = reach + dy, reach + dx
            moved = padded[..., top : top + rows, left : left + columns]
            weight = torch.exp(_box_sum(_squared_distance(moved, centre), patch) * scale)
            top, left = margin + dy, margin + dx
            total = total + weight * padded[..., top : top + height, left : left + width]
            weights = weights + weight
    return clamp_fuzz(total / weights)


@in_cache
def tv_denoise(x: Tensor, weight: float, steps: int = 50) -> Tensor:
    """Total-variation denoising of every channel, by a fixed number of steps of Chambolle's dual projection.

    Minimises `|u - x|^2 / 2 + weight * TV(u)`. The count of steps is fixed, since stopping on a batch's
    energy would make an image depend on its neighbours; it equals scikit-image's `denoise_tv_chambolle` with
    `max_num_iter=steps, eps=0, channel_axis`.

    Args:
        x: `[B,C,H,W]` in [0,1].
        weight: strength in [0,1] units, > 0.
        steps: >= 1 (1 changes nothing, the first step only sets up the dual).

    Returns:
        `[B,C,H,W]` in [0,1]. Differentiable (except where the image is flat, where the gradient of the norm
        is taken as 0).

    Raises:
        ValueError: wrong shape, or a parameter out of range.

    Source: Chambolle, JMIV 20, 2004.
    """
    check_images(x)
    check_positive(weight, "weight")
    if steps != int(steps) or steps < 1:
        raise ValueError(f"steps must be a positive integer, got {steps}")
    tau = 0.25  # Chambolle's bound for two dimensions
    tiny = torch.finfo(x.dtype).tiny
    across, down = torch.zeros_like(x[..., :-1]), torch.zeros_like(x[..., :-1, :])
    out = x
    for _ in range(steps - 1):
        right = out[..., 1:] - out[..., :-1]
        below = out[..., 1:, :] - out[..., :-1, :]
        square = _last_zero(right, -1).square() + _last_zero(below, -2).square()
        # sqrt(0) has an infinite derivative; the smallest normal number is as good a zero.
        damping = 1.0 + (tau / weight) * square.clamp_min(tiny).sqrt()
        across = (across - tau * right) / damping[..., :-1]
        down = (down - tau * below) / damping[..., :-1, :]
        out = x + _difference(across, -1) + _difference(down, -2)
    return clamp_fuzz(out)


def _last_zero(x: Tensor, dim: int) -> Tensor:
    return torch.cat([x, torch.zeros_like(x.narrow(dim, 0, 1))], dim)


def _difference(p: Tensor, dim: int) -> Tensor:
    """The negative divergence: p[i-1] - p[i], with zeros beyond both ends; one longer than `p`."""
    edge_shape = list(p.shape)
    edge_shape[dim] = 1
    edge = p.new_zeros(edge_shape)
    padded = torch.cat([edge, p, edge], dim)
    return -padded.diff(dim=dim)
