"""SSIM: structural similarity of the luma of two frames (Wang, Bovik, Sheikh and Simoncelli 2004).

    S = (2 m_x m_y + C1)(2 s_xy + C2) / ((m_x^2 + m_y^2 + C1)(s_x^2 + s_y^2 + C2))

with C1 = (0.01 * 255)^2, C2 = (0.03 * 255)^2 and local means, variances and covariance under a window; a frame's value
is the mean of S over all places where the window lies inside the frame.

`ssim_gaussian` (`mcbench@1`) has the paper's window, 11 x 11 Gaussian of sigma 1.5. `ssim_uniform` (`disco-legacy@1`)
has scikit-image's defaults, a 7 x 7 mean with sample covariance. Both equal `skimage.metrics.structural_similarity`
to rounding, several times as fast.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.metrics.frames import check_frames

__all__ = ["luma", "ssim_gaussian", "ssim_uniform"]

Frames = npt.NDArray[np.uint8]
Luma = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2

UNIFORM_RADIUS = 3
GAUSSIAN_RADIUS = 5
GAUSSIAN_WEIGHTS = np.exp(-0.5 * (np.arange(-GAUSSIAN_RADIUS, GAUSSIAN_RADIUS + 1) / 1.5) ** 2)
GAUSSIAN_WEIGHTS /= GAUSSIAN_WEIGHTS.sum()
STRIP = 64
"""Rows of a frame that are worked on at a time."""

LUMA_WEIGHTS = (9798, 19235, 3735)
"""Weights of R, G and B in OpenCV's uint8 luma, in units of 2^-15 (ITU-R BT.601)."""


def luma(frames: Frames) -> Luma:
    """OpenCV's uint8 luma, (9798 R + 19235 G + 3735 B + 16384) >> 15.

    Written out because the numbers hang on it: Pillow's "L" rounds otherwise, in hundreds of pixels of a frame.

    Args:
        frames: uint8 RGB (T, H, W, 3).

    Returns:
        uint8 (T, H, W).
    """
    grey = np.empty(frames.shape[:-1], dtype=np.uint8)
    for i, frame in enumerate(frames):
        total = np.full(frame.shape[:-1], 1 << 14, dtype=np.uint32)
        for channel, weight in enumerate(LUMA_WEIGHTS):
            total += np.multiply(frame[..., channel], np.uint32(weight), dtype=np.uint32)
        grey[i] = total >> np.uint32(15)
    return grey


def ssim_uniform(prediction: Frames, truth: Frames) -> Values:
    """SSIM with scikit-image's default window: 7 x 7 mean, sample covariance.

    Args:
        prediction: uint8 RGB (T, H, W, 3), at least 7 pixels on each side.
        truth: the same shape.

    Returns:
        (T,) float64 in [-1, 1].

    Raises:
        ValueError: for another dtype or shape, or frames smaller than the window.
    """
    return _mean_similarity(prediction, truth, _uniform, UNIFORM_RADIUS)


def ssim_gaussian(prediction: Frames, truth: Frames) -> Values:
    """SSIM with the window of Wang et al. 2004: 11 x 11 Gaussian, sigma 1.5, population covariance.

    Arguments, result and errors as in `ssim_uniform`, but at least 11 pixels on each side.
    """
    return _mean_similarity(prediction, truth, _gaussian, GAUSSIAN_RADIUS)


def _mean_similarity(
    prediction: Frames, truth: Frames, similarity: Callable[[Luma, Luma], Values], radius: int
) -> Values:
    check_frames(prediction, truth)
    frames, height, width = prediction.shape[:3]
    rows, columns = height - 2 * radius, width - 2 * radius
    if min(rows, columns) < 1:
        side = 2 * radius + 1
        raise ValueError(f"frames of {height} x {width} are smaller than the {side} x {side} window of SSIM")
    means = np.empty(frames)
    for i in range(frames):
        x, y = luma(prediction[i : i + 1])[0], luma(truth[i : i + 1])[0]
        # In strips, for a whole frame's intermediate values do not fit into the processor's cache.
        strips = [slice(top, min(top + STRIP, rows) + 2 * radius) for top in range(0, rows, STRIP)]
        means[i] = sum(float(similarity(x[strip], y[strip]).sum()) for strip in strips) / (rows * columns)
    return means


def _uniform(x: Luma, y: Luma) -> Values:
    """S wherever the 7 x 7 window fits into two strips of luma."""
    # Window sums of uint8 values and products, and the differences below, are whole numbers under 2^31: no rounding
    # happens before C1 and C2 come in. Both brackets are scaled alike above and below: by n^2 and by n (n - 1).
    n = (2 * UNIFORM_RADIUS + 1) ** 2
    x16, y16 = x.astype(np.uint16), y.astype(np.uint16)
    sum_x, sum_y = _window_sum(x16), _window_sum(y16)
    sum_squares = _window_sum(x16 * x16) + _window_sum(y16 * y16)
    sum_product = _window_sum(x16 * y16)
    means_product = sum_x * sum_y
    means_squares = sum_x * sum_x + sum_y * sum_y
    covariance = n * sum_product - means_product
    variances = n * sum_squares - means_squares
    c1, c2 = C1 * n * n, C2 * n * (n - 1)
    similarity: Values = (2 * means_product + c1) * (2 * covariance + c2)
    similarity /= (means_squares + c1) * (variances + c2)
    return similarity


def _window_sum(values: npt.NDArray[np.uint16]) -> npt.NDArray[np.int32]:
    side, inside = 2 * UNIFORM_RADIUS + 1, slice(UNIFORM_RADIUS, -UNIFORM_RADIUS)
    sums = cv2.boxFilter(values, cv2.CV_32S, (side, side), normalize=False)
    return np.asarray(sums[inside, inside], dtype=np.int32)


def _gaussian(x: Luma, y: Luma) -> Values:
    """S wherever the 11 x 11 window fits into two strips of luma."""
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    mean_x, mean_y = _window_mean(x64), _window_mean(y64)
    means_product = mean_x * mean_y
    means_squares = mean_x * mean_x + mean_y * mean_y
    covariance = _window_mean(x64 * y64) - means_product
    variances = _window_mean(x64 * x64 + y64 * y64) - means_squares
    similarity: Values = (2 * means_product + C1) * (2 * covariance + C2)
    similarity /= (means_squares + C1) * (variances + C2)
    return similarity


def _window_mean(values: Values) -> Values:
    inside = slice(GAUSSIAN_RADIUS, -GAUSSIAN_RADIUS)
    means = cv2.sepFilter2D(values, cv2.CV_64F, GAUSSIAN_WEIGHTS, GAUSSIAN_WEIGHTS)
    return np.asarray(means[inside, inside], dtype=np.float64)
