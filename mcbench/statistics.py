"""Intervals and paired tests. The video is the unit of all of them: frames of one video are not independent.

Pairwise metrics have Student's t over the videos' means, or a delete-one-video jackknife where frames are pooled.
Feature metrics have the jackknife too, never a bootstrap over videos: a video drawn twice biases the kernel sums, and
the interval would exclude its own point. Jackknife (Quenouille, Tukey): with d_v the statistic without video v,

    std_error^2 = (V - 1) / V * sum (d_v - mean d)^2,    interval = value -+ t(V - 1, 0.975) * std_error

Everything here is arithmetic on measurements, and deterministic: random splits and signs come from PCG64's raw output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special

from mcbench.metrics.frechet import frechet_distance, frechet_leave_one_out
from mcbench.metrics.kernel_distance import kernel_distance

__all__ = [
    "FRECHET_NOTE",
    "Comparison",
    "Estimate",
    "frechet_estimate",
    "holm",
    "inconclusive",
    "jackknife_difference",
    "kernel_estimate",
    "kernel_leave_one_out",
    "mean_over_videos",
    "paired_difference",
    "pooled_mean",
    "sign_flip_kernel_test",
    "sign_flip_test",
    "smallest_p",
    "split_half",
]

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Features = npt.NDArray[Any]

LEVEL = 0.95
PAIRWISE_VIDEOS = 3
"""Fewest videos with an interval for a pairwise metric."""
FEATURE_VIDEOS = 8
"""Fewest videos with an interval for a feature metric."""
COMPARISON_VIDEOS = 6
"""Fewest videos with a comparison: the signs of five videos cannot give a p below 2 / 2^5 = 0.0625."""
EXACT_VIDEOS = 14
"""Most videos for which a sign-flip test goes through all 2^V signs; beyond, it draws `DRAWS` of them."""
DRAWS = 20_000
SEED = 20_231_016

FRECHET_NOTE = "the spread of this distance at this number of videos; it does not cover the distance of the populations"


@dataclass(frozen=True)
class Estimate:
    """A value and how sure it is.

    Attributes:
        value: the number, None where it cannot be given.
        reason: why there is no value.
        std_error: standard error over videos, None where there is no interval.
        interval: 95% interval, low and high.
        interval_reason: why there is a value and no interval.
        interval_note: what the interval does not cover, where that is not plain.
    """

    value: float | None
    reason: str | None = None
    std_error: float | None = None
    interval: tuple[float, float] | None = None
    interval_reason: str | None = None
    interval_note: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Method a minus method b on the same videos.

    Attributes:
        difference: of the two values, None where one is missing.
        interval: 95% interval of the difference over videos.
        p_value: two-sided, of no difference; before Holm's correction.
        reason: why interval and p_value are None: nothing can be concluded.
    """

    difference: float | None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    reason: str | None = None


def mean_over_videos(means: npt.ArrayLike) -> Estimate:
    """Mean of the videos' means, with Student's t.

    Args:
        means: (V,) finite.
    """
    values = _vector(means)
    videos = len(values)
    if videos == 0:
        return Estimate(None, reason="no video has a value")
    value = float(values.mean())
    if videos < PAIRWISE_VIDEOS:
        return Estimate(value, interval_reason=_too_few(videos, PAIRWISE_VIDEOS))
    return _with_interval(value, float(values.std(ddof=1)) / videos**0.5, videos)


def pooled_mean(sums: npt.ArrayLike, counts: npt.ArrayLike) -> Estimate:
    """Mean over all frames of all videos, with the delete-one-video jackknife of the ratio.

    Args:
        sums: (V,) sum over the frames of each video.
        counts: (V,) number of frames of each; videos without frames do not count.
    """
    totals, weights = _sums_and_counts(sums, counts)
    videos = len(totals)
    if videos == 0:
        return Estimate(None, reason="no video has a value")
    value = float(totals.sum() / weights.sum())
    if videos < PAIRWISE_VIDEOS:
        return Estimate(value, interval_reason=_too_few(videos, PAIRWISE_VIDEOS))
    return _with_interval(value, _jackknife_error(_pooled_leave_one_out(totals, weights)), videos)


def frechet_estimate(x_videos: Sequence[Features], y_videos: Sequence[Features]) -> Estimate:
    """Fréchet distance of the pooled features, with a jackknife that describes its spread (`FRECHET_NOTE`).

    Args:
        x_videos: V arrays (n_v, d), the prediction's features video by video.
        y_videos: V arrays (m_v, d), the truth's, in the same order. Videos without features do not count.
    """
    pairs = [(x, y) for x, y in zip(x_videos, y_videos, strict=True) if len(x) or len(y)]
    if not pairs:
        return Estimate(None, reason="no video has features")
    x_kept, y_kept = [x for x, _ in pairs], [y for _, y in pairs]
    try:
        value = frechet_distance(np.concatenate(x_kept), np.concatenate(y_kept))
    except ValueError as error:
        return Estimate(None, reason=str(error))
    videos = len(pairs)
    if videos < FEATURE_VIDEOS:
        return Estimate(value, interval_reason=_too_few(videos, FEATURE_VIDEOS))
    try:
        left_out = frechet_leave_one_out(x_kept, y_kept)
    except ValueError as error:
        return Estimate(value, interval_reason=f"without one of the videos, {error}")
    return _with_interval(value, _jackknife_error(left_out), videos, FRECHET_NOTE)


def kernel_estimate(h: Matrix) -> Estimate:
    """Kernel distance, with the delete-one-video jackknife.

    Args:
        h: (V, V), from `mcbench.metrics.kernel_distance.pair_matrix`.
    """
    videos = len(h)
    if videos < 2:
        return Estimate(None, reason=f"a kernel distance compares different videos, there are {videos} with features")
    value = kernel_distance(h)
    if videos < FEATURE_VIDEOS:
        return Estimate(value, interval_reason=_too_few(videos, FEATURE_VIDEOS))
    return _with_interval(value, _jackknife_error(kernel_leave_one_out(h)), videos)


def kernel_leave_one_out(h: Matrix) -> Vector:
    """(V,) kernel distances, each without one video; V >= 3."""
    off_diagonal = h - np.diag(np.diag(h))
    left = len(h) - 1
    without: Vector = (off_diagonal.sum() - 2 * off_diagonal.sum(axis=1)) / (left * (left - 1))
    return without


def split_half(y_videos: Sequence[Features], splits: int = 20, seed: int = SEED) -> float | None:
    """Mean Fréchet distance between two halves of the truth, split at random *by video*.

    It tells how unlike unrelated videos are on this set. With an odd number of videos the second half has one more.

    Args:
        y_videos: arrays (m_v, d), the truth's features video by video.
        splits: how many splits to draw.
        seed: of the splits; the same on every machine.

    Returns:
        None if a half has fewer than two feature vectors, as with a single video.
    """
    videos = [y for y in y_videos if len(y)]
    random = np.random.PCG64(seed)
    distances: dict[frozenset[int], float] = {}
    drawn = []
    for _ in range(splits):
        order = np.argsort(random.random_raw(len(videos)), kind="stable") if videos else np.empty(0, dtype=np.intp)
        halves = order[: len(videos) // 2], order[len(videos) // 2 :]
        first, second = ([videos[v] for v in sorted(half)] for half in halves)
        if min(sum(map(len, first)), sum(map(len, second))) < 2:
            return None
        split = frozenset(map(int, halves[0]))
        if split not in distances:
            distances[split] = frechet_distance(np.concatenate(first), np.concatenate(second), quick=True)
        drawn.append(distances[split])
    return float(np.mean(drawn))


def sign_flip_test(differences: npt.ArrayLike, seed: int = SEED) -> float:
    """Two-sided p of no difference between two methods: flips the sign of each video's difference.

    The statistic is the absolute sum. All signs are gone through up to `EXACT_VIDEOS` videos; beyond, `DRAWS` are
    drawn and the observed signs counted among them (Phipson and Smyth 2010), so that p is never 0.

    Args:
        differences: (V,) one number a video, V >= 1.
        seed: of the drawn signs.
    """
    values = _vector(differences)
    signs = _signs(len(values), seed)
    observed = abs(values.sum())
    # Sums of the same numbers in another order must count as ties.
    extreme = np.abs(signs @ values) >= observed - 1e-12 * np.abs(values).sum()
    return _p_value(extreme, len(values))


def sign_flip_kernel_test(h: Matrix, seed: int = SEED) -> float:
    """One-sided p that prediction and truth are alike: exchanges them in single videos.

    Exchanging them in video u changes the sign of h[u, v] for every v. Small p: the kernel distance is larger than
    such exchanges make it.

    Args:
        h: (V, V), from `mcbench.metrics.kernel_distance.pair_matrix`, V >= 1.
        seed: of the drawn signs.
    """
    off_diagonal = h - np.diag(np.diag(h))
    signs = _signs(len(h), seed)
    sums = np.einsum("su,su->s", signs @ off_diagonal, signs)
    return _p_value(sums >= off_diagonal.sum() - 1e-12 * np.abs(off_diagonal).sum(), len(h))


def paired_difference(a: npt.ArrayLike, b: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> Comparison:
    """Pairwise metric of two methods on the same videos: sign-flip test, and an interval as for the metric itself.

    Args:
        a: (V,) the videos' means of the first method; with `counts`, their sums over frames.
        b: (V,) the same of the second.
        counts: (V,) frames of each video, for a metric pooled over frames; None for the mean over videos.
    """
    first, second = _vector(a), _vector(b)
    if first.shape != second.shape:
        raise ValueError(f"a paired comparison needs the same videos, there are {len(first)} and {len(second)}")
    differences = first - second
    estimate = mean_over_videos(differences) if counts is None else pooled_mean(differences, counts)
    videos = len(differences) if counts is None else int(np.count_nonzero(_vector(counts)))
    if estimate.value is None or videos < COMPARISON_VIDEOS:
        return Comparison(estimate.value, reason=inconclusive(videos, COMPARISON_VIDEOS))
    if counts is not None:
        differences, _ = _sums_and_counts(differences, counts)
    return Comparison(estimate.value, estimate.interval, sign_flip_test(differences))


def jackknife_difference(
    value_a: float, left_out_a: npt.ArrayLike, value_b: float, left_out_b: npt.ArrayLike
) -> Comparison:
    """Feature metric of two methods against one truth: jackknife t of the difference.

    Args:
        value_a: distance of the first method.
        left_out_a: (V,) its distances with one video left out (`frechet_leave_one_out`, `kernel_leave_one_out`).
        value_b: distance of the second.
        left_out_b: (V,) the same, videos in the same order.
    """
    first, second = _vector(left_out_a), _vector(left_out_b)
    if first.shape != second.shape:
        raise ValueError(f"a paired comparison needs the same videos, there are {len(first)} and {len(second)}")
    difference = value_a - value_b
    videos = len(first)
    if videos < FEATURE_VIDEOS:
        return Comparison(difference, reason=inconclusive(videos, FEATURE_VIDEOS))
    std_error = _jackknife_error(first - second)
    estimate = _with_interval(difference, std_error, videos)
    if std_error == 0:
        return Comparison(difference, estimate.interval, 1.0 if difference == 0 else 0.0)
    p_value = 2 * float(scipy.special.stdtr(videos - 1, -abs(difference) / std_error))
    return Comparison(difference, estimate.interval, p_value)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (1979) over one family of tests.

    Args:
        p_values: in any order; None for a comparison that says nothing, which does not count in the family.

    Returns:
        Adjusted values in the same order, at most 1, None where None was given.
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[i] = largest
    return adjusted


def smallest_p(videos: int) -> float:
    """The p of `sign_flip_test` where all videos agree: 2 / 2^V, or near it where signs are drawn."""
    return sign_flip_test(np.ones(videos))


def inconclusive(videos: int, needed: int) -> str:
    """Why a comparison on so few videos has no p."""
    return f"nothing can be concluded from {videos} videos, a comparison needs {needed}"


def _vector(values: npt.ArrayLike) -> Vector:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError("there must be one finite number a video")
    return vector


def _sums_and_counts(sums: npt.ArrayLike, counts: npt.ArrayLike) -> tuple[Vector, Vector]:
    totals, weights = _vector(sums), _vector(counts)
    if totals.shape != weights.shape or (weights < 0).any():
        raise ValueError("sums and counts must be given for the same videos, and no count be negative")
    return totals[weights > 0], weights[weights > 0]


def _pooled_leave_one_out(totals: Vector, weights: Vector) -> Vector:
    without: Vector = (totals.sum() - totals) / (weights.sum() - weights)
    return without


def _jackknife_error(left_out: Vector) -> float:
    videos = len(left_out)
    return float(np.sqrt((videos - 1) / videos * np.sum((left_out - left_out.mean()) ** 2)))


def _with_interval(value: float, std_error: float, videos: int, note: str | None = None) -> Estimate:
    reach = float(scipy.special.stdtrit(videos - 1, (1 + LEVEL) / 2)) * std_error
    return Estimate(value, std_error=std_error, interval=(value - reach, value + reach), interval_note=note)


@lru_cache(maxsize=1)  # a comparison asks for the same ones again and again
def _signs(videos: int, seed: int) -> Matrix:
    """Signs to try, the first video's always +1: flipping all signs at once changes neither statistic."""
    if videos == 0:
        raise ValueError("a sign-flip test needs a video")
    if videos <= EXACT_VIDEOS:
        codes = np.arange(2 ** (videos - 1), dtype=np.uint64)
        bits = (codes[:, None] >> np.arange(videos - 1, dtype=np.uint64)) & np.uint64(1)
    else:
        words = np.random.PCG64(seed).random_raw(DRAWS * (videos - 1)).reshape(DRAWS, videos - 1)
        bits = words >> np.uint64(63)
    return np.hstack([np.ones((len(bits), 1)), 1 - 2 * bits.astype(np.float64)])


def _p_value(extreme: npt.NDArray[np.bool_], videos: int) -> float:
    if videos <= EXACT_VIDEOS:
        return float(extreme.mean())
    return float((1 + extreme.sum()) / (1 + len(extreme)))


def _too_few(videos: int, needed: int) -> str:
    return f"an interval needs {needed} videos, there are {videos}"
