"""KVD: kernel distance of windows on FVD's features, unbiased over videos (`mcbench.metrics.kernel_distance`).

The kernel is that of Binkowski et al. 2018; Unterthiner et al. 2018 used it for videos. Pairs of windows of one video
are left out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from mcbench.metrics.kernel_distance import kernel_distance, pair_matrix

__all__ = ["kvd"]


def kvd(predictions: Sequence[npt.NDArray[Any]], truths: Sequence[npt.NDArray[Any]]) -> float:
    """KVD from the features of each video.

    Args:
        predictions: V arrays (n_v, 400), the prediction's features video by video, n_v >= 1, V >= 2.
        truths: V arrays (m_v, 400), the truth's, in the same order.

    Returns:
        The kernel distance over pairs of different videos; may be negative, exactly 0 for the truth itself.

    Raises:
        ValueError: for fewer than two videos, a video without features, or NaN or infinite values.
    """
    return kernel_distance(pair_matrix(predictions, truths))
