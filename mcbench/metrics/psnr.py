"""PSNR: peak signal-to-noise ratio in dB, per frame; a clip's value is the mean of its frames' decibels.

`psnr` is the definition, in float64. `psnr_wrapped` is what DisCo's published evaluator computes and the field prints:
it subtracts and squares uint8 arrays, both modulo 256. No square passes 249, the largest one modulo 256, so that no
frame can fall below 24.17 dB, and a true 18 dB prints as 29 dB.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.metrics.frames import check_frames

__all__ = ["psnr", "psnr_wrapped"]

Frames = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

IDENTICAL_DB = 100.0
"""What identical frames score, in both protocols: the published evaluator's value in place of infinity."""


def psnr(prediction: Frames, truth: Frames) -> Values:
    """PSNR in float64: 10 log10(255^2 / m) with m the mean squared difference of a frame.

    Args:
        prediction: uint8 (T, H, W, 3).
        truth: the same shape.

    Returns:
        (T,) float64 in dB, 0 to 100.

    Raises:
        ValueError: for another dtype or shape.
    """
    check_frames(prediction, truth)
    # A sum of squares of uint8 differences is a whole number below 2^53: exact in OpenCV's double.
    sums = [cv2.norm(p, t, cv2.NORM_L2SQR) for p, t in zip(prediction, truth, strict=True)]
    # Frames of over 154 million values could differ by so little that they pass 100 dB.
    return np.minimum(_decibels(np.array(sums, dtype=np.float64) / prediction[0].size), IDENTICAL_DB)


def psnr_wrapped(prediction: Frames, truth: Frames) -> Values:
    """PSNR of DisCo's evaluator: 20 log10(255 / sqrt(m)), m the mean of (d * d) mod 256 with d = (p - t) mod 256.

    Arguments, result and errors as in `psnr`, but 100 also for frames that differ only by multiples of 16.
    """
    check_frames(prediction, truth)
    means = np.empty(len(prediction))
    for i, (p, t) in enumerate(zip(prediction, truth, strict=True)):
        difference = p - t
        means[i] = (difference * difference).mean(dtype=np.float64)
    return _decibels(means)


def _decibels(mean_square: Values) -> Values:
    values = np.full(len(mean_square), IDENTICAL_DB)
    differ = mean_square > 0
    values[differ] = 20 * np.log10(255 / np.sqrt(mean_square[differ]))
    return values
