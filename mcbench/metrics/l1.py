"""L1: mean absolute difference of prediction and truth.

`mcbench@1` gives it in [0, 1]. `disco-legacy@1` divides the difference on 0-255 by the number of pixels, as DisCo's
published evaluator does, so it falls with the square of the resolution: 0.73E-04 at 512 x 512 is 19.1 grey levels.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.metrics.frames import check_frames

__all__ = ["absolute_error", "l1_per_area", "l1_unit"]

Frames = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


def absolute_error(prediction: Frames, truth: Frames) -> Values:
    """Mean of abs(p - t) over the pixels and channels of each frame, on the 0-255 scale.

    Args:
        prediction: uint8 (T, H, W, 3).
        truth: the same shape.

    Returns:
        (T,) float64 in [0, 255].

    Raises:
        ValueError: for another dtype or shape.
    """
    check_frames(prediction, truth)
    # A sum of absolute differences of uint8 is a whole number below 2^53: exact in OpenCV's double.
    sums = [cv2.norm(p, t, cv2.NORM_L1) for p, t in zip(prediction, truth, strict=True)]
    return np.asarray(np.array(sums, dtype=np.float64) / prediction[0].size)


def l1_per_area(absolute_error: Values, height: int, width: int) -> Values:
    """L1 of `disco-legacy@1`: the error on 0-255 over the number of pixels of a frame."""
    return absolute_error / (height * width)


def l1_unit(absolute_error: Values) -> Values:
    """L1 of `mcbench@1`: the error in [0, 1]."""
    return absolute_error / 255
