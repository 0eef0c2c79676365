"""KID: kernel distance of single frames on FID's features, unbiased over videos (`mcbench.metrics.kernel_distance`).

The kernel is that of Binkowski et al. 2018. It is not torch-fidelity's KID: pairs of frames of one video are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from mcbench.metrics.kernel_distance import kernel_distance, pair_matrix

__all__ = ["kid"]


def kid(predictions: Sequence[npt.NDArray[Any]], truths: Sequence[npt.NDArray[Any]]) -> float:
    """KID from the features of each video.

    Args:
        predictions: V arrays (n_v, 2048), the prediction's features video by video, n_v >= 1, V >= 2.
        truths: V arrays (m_v, 2048), the truth's, in the same order.

    Returns:
        The kernel distance over pairs of different videos; may be negative, exactly 0 for the truth itself.

    Raises:
        ValueError: for fewer than two videos, a video without features, or NaN or infinite values.
    """
    return kernel_distance(pair_matrix(predictions, truths))
