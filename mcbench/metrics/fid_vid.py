"""FID-VID: Fréchet distance of windows in a 3D-ResNet-50, as DisCo's published evaluator names it.

The features are the pooled 2048-d output of the Kinetics-400 network of Hara, Kataoka and Satoh (2017 release) on
windows of 16 frames at 112 x 112: stride 1 in `disco-legacy@1`, stride 16 in `mcbench@1`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.metrics.frechet import frechet_distance

__all__ = ["fid_vid"]


def fid_vid(predictions: Sequence[npt.NDArray[Any]], truths: Sequence[npt.NDArray[Any]]) -> float:
    """FIDVID from the features of each video.

    Args:
        predictions: V arrays (n_v, 2048), the prediction's features video by video.
        truths: V arrays (m_v, 2048), the truth's.

    Returns:
        The squared Fréchet distance of the pooled features, >= 0.

    Raises:
        ValueError: for fewer than two vectors on a side, or NaN or infinite values.
    """
    return frechet_distance(np.concatenate(predictions), np.concatenate(truths))
