"""FID: Fréchet distance of single frames (Heusel et al. 2017), as pytorch-fid 0.3.0 computes their features.

The features are pool3 of the 2015 Inception network, 2048-d, on frames resized to 299 x 299 (bilinear, no antialias).
Every frame of every video counts, the reference frame included, in both protocols. The distance is computed without
a matrix square root (`mcbench.metrics.frechet`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.metrics.frechet import frechet_distance

__all__ = ["fid"]


def fid(predictions: Sequence[npt.NDArray[Any]], truths: Sequence[npt.NDArray[Any]]) -> float:
    """FID from the features of each video.

    Args:
        predictions: V arrays (n_v, 2048), the prediction's features video by video.
        truths: V arrays (m_v, 2048), the truth's.

    Returns:
        The squared Fréchet distance of the pooled features, >= 0.

    Raises:
        ValueError: for fewer than two vectors on a side, or NaN or infinite values.
    """
    return frechet_distance(np.concatenate(predictions), np.concatenate(truths))
