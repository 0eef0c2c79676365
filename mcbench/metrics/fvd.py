"""FVD: Fréchet video distance (Unterthiner et al. 2018).

The features are the 400-d logits of I3D (Carreira and Zisserman 2017; Kinetics-400, the VideoGPT port) on windows of
16 frames at 224 x 224: stride 1 in `disco-legacy@1`, stride 16 in `mcbench@1`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.metrics.frechet import frechet_distance

__all__ = ["fvd"]


def fvd(predictions: Sequence[npt.NDArray[Any]], truths: Sequence[npt.NDArray[Any]]) -> float:
    """FVD from the features of each video.

    Args:
        predictions: V arrays (n_v, 400), the prediction's features video by video.
        truths: V arrays (m_v, 400), the truth's.

    Returns:
        The squared Fréchet distance of the pooled features, >= 0.

    Raises:
        ValueError: for fewer than two vectors on a side, or NaN or infinite values.
    """
    return frechet_distance(np.concatenate(predictions), np.concatenate(truths))
