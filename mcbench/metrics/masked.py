"""Metrics on a part of the frame, where a clip has instance masks.

They are kept in the measurements and in comparisons, not on boards: few datasets have masks.

Each function returns values and validity: a frame without a character has no value for its characters, a frame that
the dilated characters fill has none for its background. Such entries are 0 and marked invalid; nothing is NaN.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mcbench.metrics.frames import check_frames, check_masks

__all__ = ["DILATION", "background_motion", "l1_characters", "lpips_characters"]

Frames = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Valid = npt.NDArray[np.bool_]

DILATION = 1 / 32
"""How far characters are dilated before the rest counts as background, as a part of the shorter side: 16 pixels at
512. It keeps the soft edge of a character, and a character drawn a little off its place, out of the background."""


def l1_characters(prediction: Frames, truth: Frames, masks: Masks) -> tuple[Values, Valid]:
    """Mean of abs(p - t) / 255 over the pixels of any character, and all channels.

    Args:
        prediction: uint8 (T, H, W, 3).
        truth: the same shape.
        masks: uint8 (T, H, W), 0 for background, anything else for a character of the truth.

    Returns:
        Values (T,) float64 in [0, 1], and bool (T,): False for frames without a character.

    Raises:
        ValueError: for another dtype or shape.
    """
    check_frames(prediction, truth)
    check_masks(masks, truth.shape[:3])
    pairs = zip(prediction, truth, masks, strict=True)
    return _collect([_mean_difference(p, t, mask > 0) for p, t, mask in pairs])


def lpips_characters(distance_map: npt.NDArray[np.floating], masks: Masks) -> tuple[Values, Valid]:
    """Mean of LPIPS' spatial map over the pixels of any character.

    Args:
        distance_map: float (T, H, W), LPIPS brought to the size of the frame.
        masks: uint8 (T, H, W), 0 for background, anything else for a character of the truth.

    Returns:
        Values (T,) float64, and bool (T,): False for frames without a character.

    Raises:
        ValueError: for another dtype or shape.
    """
    if distance_map.ndim != 3:
        raise ValueError(f"the distance map must have the shape (frames, height, width), not {distance_map.shape}")
    check_masks(masks, distance_map.shape)
    values = []
    for distances, mask in zip(distance_map, masks, strict=True):
        inside = distances[mask > 0]
        values.append(float(inside.mean(dtype=np.float64)) if inside.size else None)
    return _collect(values)


def background_motion(prediction: Frames, truth: Frames, masks: Masks) -> tuple[Values, Valid]:
    """How much more the background changes from frame to frame in the prediction than in the truth.

    For frame i, the mean of abs(p[i] - p[i-1]) / 255 outside the characters of both frames, dilated by `DILATION`,
    minus the same mean of the truth. 0 is right, positive is flicker, negative is a background that stands still
    although the camera moves.

    Args:
        prediction: uint8 (T, H, W, 3).
        truth: the same shape.
        masks: uint8 (T, H, W), 0 for background, anything else for a character of the truth.

    Returns:
        For frames 1 to T-1: values (T-1,) float64 in [-1, 1], and bool (T-1,): False where no background is left.

    Raises:
        ValueError: for another dtype or shape.
    """
    check_frames(prediction, truth)
    check_masks(masks, truth.shape[:3])
    reach = 2 * round(min(truth.shape[1:3]) * DILATION) + 1
    square = np.ones((reach, reach), dtype=np.uint8)
    values: list[float | None] = []
    for i in range(1, len(truth)):
        characters = (masks[i] > 0) | (masks[i - 1] > 0)
        background = cv2.dilate(characters.astype(np.uint8), square) == 0
        moved = _mean_difference(prediction[i], prediction[i - 1], background)
        moved_truth = _mean_difference(truth[i], truth[i - 1], background)
        values.append(None if moved is None or moved_truth is None else moved - moved_truth)
    return _collect(values)


def _mean_difference(a: Frames, b: Frames, where: Valid) -> float | None:
    """Mean absolute difference of two frames over some pixels, in [0, 1]; None if there is no pixel."""
    difference = cv2.absdiff(a, b)[where]
    return float(difference.mean(dtype=np.float64)) / 255 if difference.size else None


def _collect(values: list[float | None]) -> tuple[Values, Valid]:
    valid = np.array([value is not None for value in values], dtype=np.bool_)
    return np.array([value or 0.0 for value in values], dtype=np.float64), valid
