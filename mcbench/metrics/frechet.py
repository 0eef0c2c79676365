"""Fréchet distance between two sets of features, each taken for a Gaussian.

    d^2 = ||mu_x - mu_y||^2 + tr S_x + tr S_y - 2 tr sqrt(S_x S_y)

(Dowson and Landau 1982; Heusel et al. 2017 for images.) Means and covariances are float64, covariances have ddof 1.

With A, B the centred features over sqrt(n - 1), S_x = A^T A and S_y = B^T B, and the non-zero eigenvalues of S_x S_y
are the squared singular values of A B^T. So tr sqrt(S_x S_y) is the nuclear norm of A B^T: exact for any rank, with no
matrix square root and no eps on the diagonal. A set with more vectors than dimensions is first reduced to its
triangular factor, A = Q R, which leaves the nuclear norm as it is. (In the code the sqrt(n - 1) come last.)

Where both sets have more vectors than dimensions and both covariances are positive definite, S_x = L L^T, the same
trace is the sum of the roots of the eigenvalues of the symmetric L^T S_y L, in less than half of the time. That was
accurate to 1e-10 of tr S_x + tr S_y on all features that were tried, drawn ones and those of networks, and is taken
where the distance is large enough for it (`LARGE`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["check_features", "frechet_distance", "frechet_leave_one_out"]

Matrix = npt.NDArray[np.float64]
Features = npt.NDArray[Any]

LARGE = 1e-3
"""Part of the traces from which on a distance is taken from covariances: an error of 1e-10 of them is 1e-7 of it."""
DEPENDENT = 1e-12
"""Part of a dimension's variance that the dimensions before it must leave unexplained for covariances to be used."""


def check_features(x: Features, y: Features) -> None:
    """Hold two sets of features against what the distances of sets need.

    Raises:
        ValueError: unless both are finite, of shape (n, d) and (m, d) with the same d.
    """
    for name, features in (("prediction", x), ("truth", y)):
        if features.ndim != 2 or features.shape[1] == 0:
            raise ValueError(f"features of the {name} must have the shape (vectors, dimensions), not {features.shape}")
        if not np.isfinite(features).all():
            raise ValueError(f"features of the {name} hold NaN or infinite values")
    if x.shape[1] != y.shape[1]:
        dimensions = f"{x.shape[1]} and {y.shape[1]}"
        raise ValueError(f"features of prediction and truth must have the same dimensions, not {dimensions}")


def _check_count(n: int, m: int) -> None:
    if n < 2 or m < 2:
        raise ValueError(f"a Fréchet distance needs two feature vectors on each side, there are {n} and {m}")


def frechet_distance(x: Features, y: Features, *, quick: bool = False) -> float:
    """Squared Fréchet distance of two sets of features (the number called FID, FID-VID or FVD).

    Args:
        x: (n, d) features of the prediction, any float type.
        y: (m, d) features of the truth.
        quick: take singular values as roots of eigenvalues wherever that is faster. Accurate to about 1e-8 of the
            traces instead of 1e-14: enough for a spread, not for the value itself.

    Returns:
        A float >= 0, accurate to 1e-7 of itself or 1e-14 of the traces; exactly 0.0 if the sets are equal.

    Raises:
        ValueError: for fewer than two vectors on a side, NaN or infinite values, or shapes that do not fit.
    """
    check_features(x, y)
    _check_count(len(x), len(y))
    if np.array_equal(x, y):
        return 0.0
    mean_x, mean_y = (side.mean(axis=0, dtype=np.float64) for side in (x, y))
    difference = mean_x - mean_y
    traces = _squares(x, mean_x) / (len(x) - 1) + _squares(y, mean_y) / (len(y) - 1)
    scale = np.sqrt((len(x) - 1.0) * (len(y) - 1.0))
    # What is the same in all vectors of one set has no part in the product: an ever silent unit of a network.
    varies = (x != x[0]).any(axis=0) & (y != y[0]).any(axis=0)
    if not varies.all():
        x, y, mean_x, mean_y = x[:, varies], y[:, varies], mean_x[varies], mean_y[varies]
    if min(len(x), len(y)) > x.shape[1] > 0:
        norm = _nuclear_norm_of_covariances(_scatter(x, mean_x), _scatter(y, mean_y))
        if norm is not None:
            distance = _combine(difference, traces, norm / scale)
            if quick or distance >= LARGE * traces:
                return distance
    product = _triangular(_centred(x, mean_x)) @ _triangular(_centred(y, mean_y)).T
    norm = _nuclear_norm_quick(product) if quick else _nuclear_norm(product)
    return _combine(difference, traces, norm / scale)


def frechet_leave_one_out(x_videos: Sequence[Features], y_videos: Sequence[Features]) -> Matrix:
    """The distance of the pooled features, each video left out of both sides in turn.

    The factors of the whole set are computed once and every video is taken out of them (see `_downdate`), so that one
    left-out video costs the eigenvalues of one matrix of side min(n, m, d), not a fresh decomposition of the data.
    Accuracy as with `quick` in `frechet_distance`.

    Args:
        x_videos: V arrays (n_v, d), the prediction's features video by video.
        y_videos: V arrays (m_v, d), the truth's, in the same order. A video may hold no vector.

    Returns:
        (V,) float64.

    Raises:
        ValueError: as `frechet_distance`, also if leaving a video out leaves fewer than two vectors on a side.
    """
    if len(x_videos) != len(y_videos):
        raise ValueError(f"there are {len(x_videos)} videos of the prediction and {len(y_videos)} of the truth")
    x, y = np.concatenate(x_videos), np.concatenate(y_videos)
    check_features(x, y)
    ends_x, ends_y = (np.cumsum([0, *map(len, videos)]) for videos in (x_videos, y_videos))
    remaining = [(len(x) - len(x_v), len(y) - len(y_v)) for x_v, y_v in zip(x_videos, y_videos, strict=True)]
    for n, m in remaining:
        _check_count(n, m)
    distances = np.zeros(len(x_videos))
    if np.array_equal(ends_x, ends_y) and np.array_equal(x, y):
        return distances
    mean_x, mean_y = (side.mean(axis=0, dtype=np.float64) for side in (x, y))
    difference = mean_x - mean_y
    (sums_x, squares_x), (sums_y, squares_y) = _by_video(x, mean_x, ends_x), _by_video(y, mean_y, ends_y)

    wide = min(len(x), len(y)) <= x.shape[1]
    if wide:
        product = _centred(x, mean_x) @ _centred(y, mean_y).T
    else:
        (q_x, r_x), (q_y, r_y) = _centred_factors(x, mean_x), _centred_factors(y, mean_y)
        product = r_x @ r_y.T
        del r_x, r_y
    del x, y

    for v, (n, m) in enumerate(remaining):
        out_x, out_y = slice(ends_x[v], ends_x[v + 1]), slice(ends_y[v], ends_y[v + 1])
        # The features are centred on the mean of all, so the sum over the others is minus the sum over this video.
        sum_x, sum_y = sums_x[v], sums_y[v]
        trace_x = (squares_x.sum() - squares_x[v] - sum_x @ sum_x / n) / (n - 1)
        trace_y = (squares_y.sum() - squares_y[v] - sum_y @ sum_y / m) / (m - 1)
        if wide:
            left = np.delete(np.delete(product, out_x, axis=0), out_y, axis=1)
            left -= left.mean(axis=0)
            left -= left.mean(axis=1, keepdims=True)
        else:
            left = _downdate(_downdate(product, q_x[out_x], n).T, q_y[out_y], m).T
        left /= np.sqrt((n - 1) * (m - 1))
        distances[v] = _combine(difference - sum_x / n + sum_y / m, trace_x + trace_y, _nuclear_norm_quick(left))
    return distances


def _combine(mean_difference: Matrix, traces: float, nuclear_norm: float) -> float:
    # Rounding can leave a distance of nearly equal sets a hair below zero.
    return max(0.0, float(mean_difference @ mean_difference + traces - 2 * nuclear_norm))


# One set is centred at a time and let go again: two of thousands of vectors in float64 would be the most of a run.


def _centred(x: Features, mean: Matrix) -> Matrix:
    return np.subtract(x, mean, dtype=np.float64)


def _squares(x: Features, mean: Matrix) -> float:
    a = _centred(x, mean)
    return float(np.vdot(a, a))


def _scatter(x: Features, mean: Matrix) -> Matrix:
    """The covariance times n - 1."""
    a = _centred(x, mean)
    scatter: Matrix = a.T @ a
    return scatter


def _triangular(a: Matrix) -> Matrix:
    if a.shape[0] <= a.shape[1]:
        return a
    triangular: Matrix = np.asarray(np.linalg.qr(a, mode="r"))
    return triangular


def _by_video(x: Features, mean: Matrix, ends: npt.NDArray[np.intp]) -> tuple[Matrix, Matrix]:
    """Of each video's centred features the sum (V, d), and the sum of all squares (V,)."""
    videos = [_centred(x[start:end], mean) for start, end in pairwise(ends)]
    return np.array([video.sum(axis=0) for video in videos]), np.array([np.vdot(video, video) for video in videos])


def _centred_factors(x: Features, mean: Matrix) -> tuple[Matrix, Matrix]:
    """Q and R of centred features, every column of Q orthogonal to 1.

    Of features without full rank some columns of Q are arbitrary, and `_downdate` needs them orthogonal to 1 as well;
    so 1 goes through the decomposition as a first column.
    """
    with_ones = np.ones((len(x), x.shape[1] + 1))
    np.subtract(x, mean, out=with_ones[:, 1:])
    q, r = np.linalg.qr(with_ones)
    return q[:, 1:], r[1:, 1:]


def _nuclear_norm(matrix: Matrix) -> float:
    return float(np.linalg.svd(matrix, compute_uv=False).sum())


def _nuclear_norm_quick(matrix: Matrix) -> float:
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    return float(np.sqrt(np.clip(np.linalg.eigvalsh(gram), 0, None)).sum())


def _nuclear_norm_of_covariances(s_x: Matrix, s_y: Matrix) -> float | None:
    """tr sqrt(S_x S_y) of positive definite covariances or their multiples; None where one of them is not, to rounding.

    Both must be: of a set of lower rank the many eigenvalues that should be 0 would count with the roots of what
    rounding made of them.
    """
    # The largest variance first: L^T S_y L is then graded downwards, and its small eigenvalues keep their digits.
    order = np.argsort(-np.diag(s_x), kind="stable")
    trace_x, trace_y = np.trace(s_x), np.trace(s_y)
    s_x, s_y = (s[np.ix_(order, order)] / trace for s, trace in ((s_x, trace_x), (s_y, trace_y)))
    try:
        lower_y, lower = np.linalg.cholesky(s_y), np.linalg.cholesky(s_x)
        for factor, s in ((lower_y, s_y), (lower, s_x)):
            # A square on the diagonal is what a dimension has beside those before it, and may be rounding alone.
            if (np.diag(factor) ** 2 < DEPENDENT * np.diag(s)).any():
                return None
        values = np.linalg.eigvalsh(lower.T @ s_y @ lower)
    except np.linalg.LinAlgError:
        return None
    return float(np.sqrt(np.clip(values, 0, None)).sum() * np.sqrt(trace_x) * np.sqrt(trace_y))


def _downdate(product: Matrix, q: Matrix, remaining: int) -> Matrix:
    """T `product`, where T turns the triangular factor of all centred features into one of those without a video.

    With X = Q R of `_centred_factors`, q the video's rows of Q and 1 a column of ones, the scatter without the video,
    about the mean of the others, is R^T (I - P^T P) R with P = (I + 1 1^T / remaining)^(1/2) q. Its factor is T R with
    T = (I - P^T P)^(1/2) = I - P^T F P, F = (I + (I - P P^T)^(1/2))^-1.
    """
    rows = len(q)
    if rows == 0:
        return product
    p = q + (np.sqrt(1 + rows / remaining) - 1) * q.mean(axis=0)
    values, vectors = np.linalg.eigh(p @ p.T)
    f = (vectors / (1 + np.sqrt(np.clip(1 - values, 0, None)))) @ vectors.T
    change: Matrix = p.T @ (f @ (p @ product))
    return np.subtract(product, change, out=change)
