"""The kernel (MMD) distance of two sets of videos, unbiased although windows of a video are alike.

Polynomial kernel of Binkowski et al. 2018, k(a, b) = (a.b / d + 1)^3 for features of d dimensions. For two videos u, v

    h[u, v] = mean k(x_u, x_v) + mean k(y_u, y_v) - mean k(x_u, y_v) - mean k(y_u, x_v)

where each mean runs over all pairs of one vector of u and one of v. The distance is the mean of h over pairs of
*different* videos. Different videos are independent, so every term has the expectation that the squared MMD asks for.
The usual U-statistic leaves out only a vector's product with itself: products of two windows of one video, or of a
prediction with its own truth, stay in and bias it.

h[u, v] is the inner product of what prediction and truth differ by in u and in v. So the distance measures what is
wrong in the same way over videos: a fault in one video of a perfect set does not show. It can be negative, as an
unbiased estimate of 0 must be half of the time. It is not torch-fidelity's KID, which is the mean over random subsets
of single images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.metrics.frechet import check_features

__all__ = ["kernel_distance", "pair_matrix"]

Matrix = npt.NDArray[np.float64]


def pair_matrix(x: Sequence[npt.NDArray[Any]], y: Sequence[npt.NDArray[Any]]) -> Matrix:
    """h of every two videos.

    Args:
        x: V arrays (n_u, d), the prediction's features video by video, n_u >= 1.
        y: V arrays (m_u, d), the truth's, in the same order.

    Returns:
        (V, V) float64, symmetric with a zero diagonal; exactly 0 in the row of a video whose prediction equals its
        truth. Cost: 2 n^2 d multiplications for n vectors on a side, memory that of the largest pair of videos.

    Raises:
        ValueError: for unequal numbers of videos, an empty video, NaN or infinite values, or unequal dimensions.
    """
    if len(x) != len(y):
        raise ValueError(f"there are {len(x)} videos of the prediction and {len(y)} of the truth")
    for features in zip(x, y, strict=True):
        check_features(*features)
    pairs = [(x_u.astype(np.float64), y_u.astype(np.float64)) for x_u, y_u in zip(x, y, strict=True)]
    if any(0 in (len(x_u), len(y_u)) for x_u, y_u in pairs):
        raise ValueError("a video without features has no kernel distance; leave it out on both sides")
    if len({x_u.shape[1] for x_u, _ in pairs}) > 1:
        raise ValueError("all videos must have features of one number of dimensions")

    same = [np.array_equal(x_u, y_u) for x_u, y_u in pairs]
    h = np.zeros((len(pairs), len(pairs)))
    for u, (x_u, y_u) in enumerate(pairs):
        for v in range(u):
            # Where a prediction equals its truth the four terms cancel; rounding in them must not show.
            if same[u] or same[v]:
                continue
            x_v, y_v = pairs[v]
            from_x = _mean_kernel(x_u, x_v) - _mean_kernel(x_u, y_v)
            from_y = _mean_kernel(y_u, y_v) - _mean_kernel(y_u, x_v)
            h[u, v] = h[v, u] = from_x + from_y
    return h


def kernel_distance(h: Matrix) -> float:
    """Mean of `pair_matrix` over pairs of different videos; the squared MMD, which may be negative.

    Raises:
        ValueError: if h is not square, or of fewer than two videos.
    """
    if h.ndim != 2 or h.shape[0] != h.shape[1]:
        raise ValueError(f"the pair matrix must be square, not {h.shape}")
    videos = len(h)
    if videos < 2:
        raise ValueError("a kernel distance compares different videos, and needs two of them")
    return float((h.sum() - np.trace(h)) / (videos * (videos - 1)))


def _mean_kernel(a: Matrix, b: Matrix) -> float:
    k = a @ b.T
    k /= a.shape[1]
    k += 1
    return float((k * k * k).mean())
