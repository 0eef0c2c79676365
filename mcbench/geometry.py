"""The geometry of both protocols: centre-crop to a square, then resize. Never a stretch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from mcbench.errors import VideoError

__all__ = ["check_aspect", "to_square", "to_square_labels"]

Frame = npt.NDArray[np.uint8]

ASPECT_TOLERANCE = 0.01
"""A prediction that is not square must have its truth's aspect ratio to within this fraction."""


def to_square(frame: Frame, size: int) -> Frame:
    """Centre-crop to the largest square, then resize with Pillow's antialiased bilinear filter.

    Args:
        frame: (height, width, 3) uint8.
        size: side of the result in pixels. A square of that size is returned with its bytes untouched.

    Returns:
        (size, size, 3) uint8, contiguous.
    """
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(frame[top : top + side, left : left + side])
    if side == size:
        return square
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BILINEAR))


def to_square_labels(labels: Frame, size: int) -> Frame:
    """The same crop for an instance mask of shape (height, width), resized to the nearest label."""
    height, width = labels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(labels[top : top + side, left : left + side])
    if side == size:
        return square
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.NEAREST))


def check_aspect(prediction: tuple[int, int], truth: tuple[int, int], where: str) -> None:
    """Refuse a prediction that could only be compared with its truth by stretching it.

    Args:
        prediction: height and width in pixels.
        truth: height and width in pixels.
        where: what to name in the error.

    Raises:
        VideoError: unless the prediction is square or has its truth's aspect ratio to within 1%.
    """
    height, width = prediction
    if height == width:
        return
    ratio = (width / height) / (truth[1] / truth[0])
    if abs(ratio - 1) > ASPECT_TOLERANCE:
        raise VideoError(
            f"{where}: {width} x {height} is neither square nor of its truth's aspect ratio ({truth[1]} x {truth[0]});"
            " crop it as the truth is cropped, never stretch it"
        )
