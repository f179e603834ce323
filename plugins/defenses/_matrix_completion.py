"""Filling the gaps of low-rank matrices, a batch at a time, each matrix on its own.

A matrix is `[B,m,n]`, its mask 1 where an entry was observed and 0 where it is missing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def usvt(matrix: Tensor, mask: Tensor, rank: int) -> Tensor:
    """The best approximation of that rank to the matrix with zeros in its gaps, over the observed share.

    Universal singular value thresholding (Chatterjee, Annals of Statistics 43(1), 2015, arXiv 1212.1247),
    with a fixed rank in the place of the threshold, as ME-Net has it.

    Args:
        matrix, mask: `[B,m,n]`.
        rank: singular values that are kept, the largest ones.

    Returns:
        `[B,m,n]`; zeros where nothing was observed.
    """
    u, s, vh = torch.linalg.svd(matrix * mask, full_matrices=False)
    kept = (u[..., :rank] * s[:, None, :rank]) @ vh[:, :rank]
    observed = mask.mean((1, 2), keepdim=True)
    return torch.where(observed > 0, kept / observed, 0.0)


def soft_impute(
    matrix: Tensor, mask: Tensor, *, shrink: float = 50.0, tol: float = 1e-3, most: int = 100
) -> Tensor:
    """Missing entries from repeated soft thresholding of the singular values; observed ones stay.

    Mazumder, Hastie and Tibshirani, JMLR 11, 2010. The threshold is the largest singular value (gaps zero)
    over `shrink`; a matrix is done when its missing entries move by less than `tol` of their norm.

    Args:
        matrix, mask: `[B,m,n]`.
        most: steps.
    """
    filled = matrix * mask
    threshold = torch.linalg.matrix_norm(filled, ord=2)[:, None, None] / shrink

    def step(x: Tensor) -> Tensor:
        return torch.where(mask > 0, matrix, soft_threshold(x, threshold))

    return _until_still(step, filled, 1 - mask, tol, most)


def nuclear(matrix: Tensor, mask: Tensor, *, mu: float = 1.0, tol: float = 1e-5, most: int = 300) -> Tensor:
    """The minimiser of `mu |X|_* + |mask (X - matrix)|_F^2` (Candes and Recht, 2009), by proximal steps.

    The squares have a gradient of Lipschitz constant 2: a step is half the gradient and soft thresholding
    of the singular values by mu / 2.

    Args:
        matrix, mask: `[B,m,n]`.
        tol: a matrix is done when it moves by less than this share of its norm.
        most: steps.
    """
    threshold = matrix.new_full((len(matrix), 1, 1), mu / 2)

    def step(x: Tensor) -> Tensor:
        return soft_threshold(torch.where(mask > 0, matrix, x), threshold)

    return _until_still(step, matrix * mask, torch.ones_like(mask), tol, most)


def soft_threshold(x: Tensor, threshold: Tensor) -> Tensor:
    """Every singular value less `threshold` `[B,1,1]`, at least zero: the proximal map of the nuclear norm.

    Through the eigenvectors of `x x^T`, which for the short, wide matrices of images takes half the time of
    their singular value decomposition; in double precision nothing is lost above the threshold.
    """
    squares, u = torch.linalg.eigh(x @ x.mT)
    kept = (1 - threshold / squares.clamp_min(1e-12).sqrt()[..., None]).clamp_min(0)
    return u @ (kept * (u.mT @ x))


def _until_still(
    step: Callable[[Tensor], Tensor], x: Tensor, watched: Tensor, tol: float, most: int
) -> Tensor:
    """Repeat `step` until the `watched` entries move by less than `tol` of their norm before.

    Each matrix stops on its own and then stays, so that a batch changes nothing.
    """
    moving = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for _ in range(most):
        after = torch.where(moving[:, None, None], step(x), x)
        moved = torch.linalg.matrix_norm((after - x) * watched)
        still = moved <= tol * torch.linalg.matrix_norm(x * watched)
        x, moving = after, moving & ~still
        if not moving.any():
            break
    return x
