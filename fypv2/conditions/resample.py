"""Maps that go through the same crop and resize as poses and frames."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fypv2.conditions.poses import crop_box

__all__ = ["crop_resize_flow", "crop_resize_map"]


def crop_resize_map(picture: npt.NDArray[np.floating], height: int, width: int) -> npt.NDArray[np.float32]:
    """Takes the largest centred crop of the ratio width : height to that size, as `Poses.crop_resize` does.

    Args:
        picture: float (H, W) or (H, W, C).
        height: wanted, in pixels.
        width: wanted, in pixels.

    Returns:
        float32 (height, width) or (height, width, C): means over the covered area where it shrinks, bilinear where it
        grows; the same values where it has that size already.
    """
    top, left, crop_height, crop_width = crop_box((picture.shape[0], picture.shape[1]), height, width)
    crop = np.ascontiguousarray(picture[top : top + crop_height, left : left + crop_width], np.float32)
    if (crop_height, crop_width) == (height, width):
        return crop
    shrinks = height * width < crop_height * crop_width
    return np.asarray(
        cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.float32
    )


def crop_resize_flow(flow: npt.NDArray[np.floating], height: int, width: int) -> npt.NDArray[np.float32]:
    """The same for flow (H, W, 2), x then y in pixels, whose vectors change their length with the picture's size."""
    _, _, crop_height, crop_width = crop_box((flow.shape[0], flow.shape[1]), height, width)
    return crop_resize_map(flow, height, width) * np.array([width / crop_width, height / crop_height], np.float32)
